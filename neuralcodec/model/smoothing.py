"""The smoothing filter: takes noise of quantisation out of decoded pictures, in the coding loop.

Each sample moves towards its neighbours by weighted differences, each clipped so that edges stay:
the non-linear adaptive loop filter of VVC (Taquet et al., "Non-linear adaptive loop filtering
improvements", JVET-O0216, 2019), with weights that are learned for each quality instead of sent,
several clipping limits a neighbour, and a strength for each luma sample that the networks give.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralcodec.kernels.compiled import can_run
from neuralcodec.kernels.pixels import smoothing as kernels
from neuralcodec.model.layers import Pointwise, QualityVector

# Rows and columns away; the neighbour opposite has the same weights.
PAIRS = ((0, 1), (0, 2), (1, -1), (1, 0), (1, 1), (2, 0))
REACH = 2
LIMITS = (1.0, 4.0, 24.0)  # of differences, in units that are learned
UNITS = (2.5 / 255, 2.5 / 255)  # of luma and chroma, to begin with
# At once where no gradient is kept. A CPU's cache holds them, and PyTorch shares out no operation
# of less than 32,768: a thousand of them a frame would each wait for a core that is busy parsing.
STRIP = 32_000  # samples
TOKEN = 8  # luma samples per side of a feature's position


class SmoothingFilter(nn.Module):
    """channels: of the feature maps. Begins as a filter that changes nothing."""

    def __init__(self, channels: int, anchors: int) -> None:
        super().__init__()
        self.log_units = QualityVector(2, anchors)
        self.weights = QualityVector(2 * len(PAIRS) * len(LIMITS), anchors)
        self.strength = Pointwise(channels, len(LIMITS) * TOKEN**2)
        with torch.no_grad():
            for channel, unit in enumerate(UNITS):
                self.log_units.anchors[:, channel] = math.log(unit)
            self.strength.weight.zero_()
            assert self.strength.bias is not None
            self.strength.bias.zero_()

    def forward(self, y: Tensor, uv: Tensor, feature: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        """Planes (B, 1, H, W), (B, 2, H/2, W/2) in about [0, 1], feature (B, C, H/8, W/8), q
        (B,)."""
        units = self.log_units(q).exp().flatten(1).unbind(1)
        of_luma, of_chroma = self.weights(q).flatten(1).chunk(2, 1)
        logits = self.strength(feature).float()
        return (
            smoothed(y, units[0], of_luma, logits),
            smoothed(uv, units[1], of_chroma, None),
        )


def smoothed(plane: Tensor, unit: Tensor, weights: Tensor, logits: Tensor | None) -> Tensor:
    """plane (B, C, H, W); unit (B,); weights (B, pairs x limits); logits (B, limits x TOKEN²,
    H/8, W/8) of half the strength in one plane, or None: the strength is 1."""
    if can_run(plane) and plane.dtype == torch.float32:
        limits = np.array(LIMITS, np.float32)
        return kernels.smoothed(plane, unit, weights, limits, logits)
    return reference_smoothed(plane, unit, weights, logits)


def reference_smoothed(
    plane: Tensor, unit: Tensor, weights: Tensor, logits: Tensor | None
) -> Tensor:
    """The same by tensor operations."""
    strength = None if logits is None else F.pixel_shuffle(2 * torch.sigmoid(logits), TOKEN)
    of_pairs = weights[..., None, None, None].unbind(1)
    return _smoothed(plane, unit.view(-1, 1, 1, 1), of_pairs, strength)


def _smoothed(
    plane: Tensor, unit: Tensor, weights: Sequence[Tensor], strength: Tensor | None
) -> Tensor:
    """weights: (B, 1, 1, 1) of each limit of each pair; strength (B, limits, H, W), or None for
    1 everywhere."""
    rows = plane.shape[-2]
    padded = F.pad(plane / unit, (REACH,) * 4, mode="replicate")
    whole = torch.is_grad_enabled() or plane.is_cuda
    at_once = rows if whole else max(1, STRIP * rows // plane.numel())
    strips = []
    for top in range(0, rows, at_once):
        part = slice(top, top + at_once)
        around = padded[..., top : min(top + at_once, rows) + 2 * REACH, :]
        strips.append(
            _correction(around, weights, None if strength is None else strength[..., part, :])
        )
    return torch.addcmul(plane, unit, torch.cat(strips, -2))


def _correction(around: Tensor, weights: Sequence[Tensor], strength: Tensor | None) -> Tensor:
    """In units, of what `around` holds without its margin of REACH samples."""
    height, width = (size - 2 * REACH for size in around.shape[-2:])

    def shifted(down: int, right: int) -> Tensor:
        top, left = REACH + down, REACH + right
        return around[..., top : top + height, left : left + width]

    here = shifted(0, 0)
    totals = [torch.zeros_like(here) for _ in LIMITS]
    weight = iter(weights)
    for down, right in PAIRS:
        one, opposite = shifted(down, right) - here, shifted(-down, -right) - here
        for level, limit in enumerate(LIMITS):
            clipped = one.clamp(-limit, limit).add_(opposite.clamp(-limit, limit))
            totals[level].addcmul_(next(weight), clipped)
    if strength is not None:
        totals = [total * strength[:, n : n + 1] for n, total in enumerate(totals)]
    return totals[0] + totals[1] + totals[2]
