"""The deblocking filter: smooths the edges of the transform's blocks, inside the coding loop.

What stands there in the decoded picture but is no edge of the scene: a small step between two
sides that are both smooth, as in H.264 (List et al., IEEE TCSVT 2003). The limits of "small" and
"smooth" are learned, for each quality, and so is how far a step is spread.
"""

import math

import torch
from torch import Tensor, nn

from neuralcodec.kernels.compiled import can_run
from neuralcodec.kernels.pixels import deblocking as kernels
from neuralcodec.model.layers import QualityVector

SIDE = kernels.SIDE  # samples per side of a block, of luma as of chroma
REACH = kernels.REACH  # samples on each side of an edge that change
LUMA_STEP, CHROMA_STEP = 8 / 255, 4 / 255  # limits at q = 0 to begin with; of slopes, half of it
COARSEST = (LUMA_STEP, CHROMA_STEP, LUMA_STEP / 2, CHROMA_STEP / 2)
FINEST = 1 / math.sqrt(12.6)  # what is left of them at the highest quality
RAMP = (1 / 16, 3 / 16, 5 / 16, 7 / 16)  # a step becomes a straight line


class DeblockingFilter(nn.Module):
    """Limits and spread of luma, then of chroma."""

    def __init__(self, anchors: int) -> None:
        super().__init__()
        self.log_limits = QualityVector(4, anchors)  # steps of both, slopes of both
        self.ramps = nn.Parameter(torch.tensor([RAMP, RAMP], dtype=torch.float32))
        # Without tensors' logarithms: of the meta device, where models are built before their
        # weights are loaded, they take PyTorch's compiler along, for a second and 100 MiB.
        with torch.no_grad():
            for anchor, row in enumerate(self.log_limits.anchors):
                finer = math.log(FINEST) * anchor / max(anchors - 1, 1)
                for channel, limit in enumerate(COARSEST):
                    row[channel] = math.log(limit) + finer

    def forward(self, y: Tensor, uv: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        """Planes (B, 1, H, W), (B, 2, H/2, W/2) in about [0, 1], H and W multiples of 16; q (B,).

        Columns of edges first, then rows."""
        luma_step, chroma_step, luma_slope, chroma_slope = (
            self.log_limits(q).exp().flatten(1).unbind(1)
        )
        return (
            deblocked(y, luma_step, luma_slope, self.ramps[0]),
            deblocked(uv, chroma_step, chroma_slope, self.ramps[1]),
        )


def deblocked(plane: Tensor, step: Tensor, slope: Tensor, ramp: Tensor) -> Tensor:
    """plane (B, C, H, W); step, slope: limits (B,); ramp (REACH,)."""
    if can_run(plane) and plane.dtype == torch.float32:
        return kernels.deblocked(plane, step, slope, ramp)
    return reference_deblocked(plane, step, slope, ramp)


def reference_deblocked(plane: Tensor, step: Tensor, slope: Tensor, ramp: Tensor) -> Tensor:
    """The same by tensor operations."""
    step, slope = step.view(-1, 1, 1, 1), slope.view(-1, 1, 1, 1)
    for axis in (-1, -2):
        plane = _filtered(plane, axis, step, slope, ramp)
    return plane


def _filtered(plane: Tensor, axis: int, step: Tensor, slope: Tensor, ramp: Tensor) -> Tensor:
    """The edges across one axis: -1 or -2. step, slope: limits (B, 1, 1, 1)."""
    length = plane.shape[axis]
    first, inner, last = plane.split([REACH, length - SIDE, REACH], axis)
    # one edge each, in the middle of SIDE samples
    around = inner.unflatten(axis, (length // SIDE - 1, SIDE))
    before, jump, after = around.diff(dim=axis).split([REACH - 1, 1, REACH - 1], axis)
    step_size = jump - (before.narrow(axis, -1, 1) + after.narrow(axis, 0, 1)) / 2
    steepest = torch.maximum(
        before.abs().amax(axis, keepdim=True), after.abs().amax(axis, keepdim=True)
    )
    step, slope = step[..., None], slope[..., None]
    strength = _gate(step_size.abs() / step) * _gate(steepest / slope)
    spread = torch.cat([ramp, -ramp.flip(0)])
    spread = spread if axis == -1 else spread[:, None]
    smoothed = around + strength * step_size * spread
    return torch.cat([first, smoothed.flatten(axis - 1, axis), last], axis)


def _gate(size: Tensor) -> Tensor:
    """1 up to the limit, 0 from twice of it on. size: in limits."""
    return (2 - size).clamp(0, 1)
