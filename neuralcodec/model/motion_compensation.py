"""Motion compensation: planes and features sampled where block vectors point.

Planes are predicted by overlapped block motion compensation (Orchard and Sullivan 1994): each
sample is the mean of what the vectors of the four nearest 8x8 blocks give, weighted bilinearly by
the distance to the block centres. Interpolating the vectors instead looks as smooth, but points
between two true motions: on moving clips it loses 1 to 3 dB.

Each block predicts a window of twice its size around it; the windows, weighted bilinearly, add up
to the picture. All samples of a window have the same fraction of a sample, so that interpolation
is a few multiplications of whole windows: four times faster than sampling whole pictures point by
point, and as much faster to differentiate.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.kernels.compiled import can_run
from neuralcodec.kernels.motion import overlapped_blocks as kernels
from neuralcodec.kernels.motion.warped_features import sample_features
from neuralcodec.model.config import VECTOR_BLOCK

QUARTER = 4  # vector units per luma sample
STRIP = 32  # rows of blocks at a time: bounds memory, and 1080p takes a third of the time
LOBES = kernels.LOBES  # of the Lanczos kernel on each side
TAPS = kernels.TAPS  # of the filter between samples


def warp_feature(feature: Tensor, vectors: Tensor) -> Tensor:
    """(B, C, H/8, W/8) by vectors (B, 2, H/8, W/8): one block is one position, bilinear."""
    if can_run(feature):
        return sample_features(feature.float(), vectors.float(), 1 / (QUARTER * VECTOR_BLOCK))
    return reference_warp_feature(feature, vectors)


def reference_warp_feature(feature: Tensor, vectors: Tensor) -> Tensor:
    height, width = feature.shape[-2:]
    flow = vectors.float() / (QUARTER * VECTOR_BLOCK)
    columns = torch.arange(width, dtype=torch.float32, device=feature.device)
    rows = torch.arange(height, dtype=torch.float32, device=feature.device)[:, None]
    grid = torch.stack(
        [
            (flow[:, 0] + columns) * (2 / max(width - 1, 1)) - 1,
            (flow[:, 1] + rows) * (2 / max(height - 1, 1)) - 1,
        ],
        -1,
    )
    return F.grid_sample(
        feature.float(), grid, mode="bilinear", padding_mode="border", align_corners=True
    )


def warp_planes(
    y: Tensor, uv: Tensor, vectors: Tensor, halves: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Both planes of a frame; shapes as in `planes_to_tokens`, vectors (B, 2, H/8, W/8) in quarter
    luma samples; halves: see `overlapped_blocks`."""
    with torch.autocast(y.device.type, enabled=False):
        luma, chroma = vectors.float() / QUARTER, vectors.float() / (2 * QUARTER)
        return (
            overlapped_blocks(y.float(), luma, VECTOR_BLOCK, halves),
            overlapped_blocks(uv.float(), chroma, VECTOR_BLOCK // 2, halves),
        )


def overlapped_blocks(
    x: Tensor, vectors: Tensor, block: int, halves: Tensor | None = None
) -> Tensor:
    """x (B, C, H, W); vectors (B, 2, H/block, W/block) in samples of x, multiples of 1/8 ->
    (B, C, H, W).

    halves (B, 1, H/block, W/block), 0, 1 or 2: how many halves of its prediction a block takes from
    x; what is given is that part. None: all of it.

    Six taps between samples keep fine detail sharper than a cubic filter's four where a picture
    is predicted from a predicted one a hundred times over.
    """
    if can_run(x, vectors) and x.dtype == torch.float32:
        return kernels.overlapped_blocks(x, vectors, block, _filters(), halves)
    return reference_blocks(x, vectors, block, halves)


def reference_blocks(
    x: Tensor, vectors: Tensor, block: int, halves: Tensor | None = None
) -> Tensor:
    """The same by tensor operations."""
    height, width = x.shape[-2:]
    window = 2 * block
    support = window + TAPS - 1
    # the outer half windows of the blocks at the border fall outside of the picture
    field = F.pad(vectors, (1, 1, 1, 1), mode="replicate")
    rows, columns = field.shape[-2:]
    whole = field.floor()
    fraction = field - whole
    pad = support + block  # beyond it a window sees nothing but the repeated border
    padded = F.pad(x, (pad,) * 4, mode="replicate")
    first = -block - block // 2 - (LOBES - 1)  # of the window of the first block, its first tap
    device = x.device
    top = torch.arange(rows, device=device)[:, None] * block + first + whole[:, 1].long()
    left = torch.arange(columns, device=device)[None] * block + first + whole[:, 0].long()
    top = (top + pad).clamp(0, padded.shape[2] - support)
    left = (left + pad).clamp(0, padded.shape[3] - support)
    if x.requires_grad:
        cut = _cut_to_differentiate
    else:
        cut = _cut
        padded = padded.contiguous(memory_format=torch.channels_last)
    weights = _weights(window, device)
    shares = None
    if halves is not None:
        shares = F.pad(halves.to(x.dtype) / 2, (1, 1, 1, 1), mode="replicate")[:, 0]
    strips = []
    for row in range(0, rows - 1, STRIP):
        strip = slice(row, row + STRIP + 1)
        windows = cut(padded, top[:, strip], left[:, strip], support)
        windows = _interpolate(windows, interpolation_filter(fraction[:, 0, strip]), 5, window)
        windows = _interpolate(windows, interpolation_filter(fraction[:, 1, strip]), 4, window)
        if shares is not None:
            windows = windows * shares[:, strip, :, None, None, None]
        strips.append(_add_up(windows * weights, block))
    picture = strips[0] if len(strips) == 1 else torch.cat(strips, 2)
    half = block // 2
    return picture[:, :, half : half + height, half : half + width]


def _cut(padded: Tensor, top: Tensor, left: Tensor, support: int) -> Tensor:
    """Squares of (B, C, H, W) at corners (B, rows, columns): (B, rows, columns, C, side, side)."""
    views = padded.permute(0, 2, 3, 1).unfold(1, support, 1).unfold(2, support, 1)
    item = torch.arange(padded.shape[0], device=padded.device)[:, None, None]
    return views[item, top, left]


def _cut_to_differentiate(padded: Tensor, top: Tensor, left: Tensor, support: int) -> Tensor:
    """The same, twice as slow, with a gradient that is one `scatter_add`."""
    batch, channels, height, width = padded.shape
    planes = torch.arange(batch * channels, device=padded.device).view(batch, 1, 1, channels)
    corner = (top * width + left)[..., None] + planes * (height * width)
    along = torch.arange(support, device=padded.device)
    places = corner[..., None, None] + (along[:, None] * width + along)
    return torch.gather(padded.flatten(), 0, places.flatten()).view(places.shape)


class _Interpolation(torch.autograd.Function):
    """Sums of shifted windows, whose gradient is sums of shifted windows too. Left to autograd,
    each shift would fill a whole tensor with zeros first: an eighth of a training step."""

    @staticmethod
    def forward(ctx: Any, windows: Tensor, weights: Tensor, dim: int, size: int) -> Tensor:
        ctx.save_for_backward(weights)
        ctx.dim, ctx.shape = dim, windows.shape
        result = windows.narrow(dim, 0, size) * weights[0]
        for k in range(1, len(weights)):
            result.addcmul_(windows.narrow(dim, k, size), weights[k])
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (weights,) = ctx.saved_tensors
        result = gradient.new_zeros(ctx.shape)
        for k in range(len(weights)):
            result.narrow(ctx.dim, k, gradient.shape[ctx.dim]).addcmul_(gradient, weights[k])
        return result, None, None, None


class _Overlap(torch.autograd.Function):
    """The sum of what four windows give to the square between their block centres; (B, rows - 1,
    columns - 1, C, block, block). Its gradient is written out for the same reason."""

    @staticmethod
    def forward(ctx: Any, windows: Tensor, block: int) -> Tensor:
        ctx.block, ctx.shape = block, windows.shape
        upper_left, *others = _quarters(windows, block)
        return upper_left + others[0] + others[1] + others[2]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        result = gradient.new_zeros(ctx.shape)
        for quarter in _quarters(result, ctx.block):
            quarter.add_(gradient)
        return result, None


def _quarters(windows: Tensor, block: int) -> tuple[Tensor, ...]:
    """Views of the quarters that lie on the same square between four block centres."""
    return (
        windows[:, :-1, :-1, :, block:, block:],
        windows[:, :-1, 1:, :, block:, :block],
        windows[:, 1:, :-1, :, :block, block:],
        windows[:, 1:, 1:, :, :block, :block],
    )


def _interpolate(windows: Tensor, weights: Tensor, dim: int, size: int) -> Tensor:
    """weights (taps, B, rows, columns): each window is filtered along dim, to `size` samples."""
    result: Tensor = _Interpolation.apply(windows, weights[..., None, None, None], dim, size)
    return result


def interpolation_filter(fraction: Tensor) -> Tensor:
    """Weights (TAPS, ...) of the samples around a position at fraction (...) in [0, 1).

    Samples at 1 - LOBES .. LOBES: a sinc windowed by a wider one (Duchon 1979); sum 1.
    """
    places = torch.arange(1 - LOBES, LOBES + 1, device=fraction.device)
    distance = fraction - places.view(-1, *(1,) * fraction.dim())
    weights = torch.sinc(distance) * torch.sinc(distance / LOBES)
    return weights / weights.sum(0)


@lru_cache
def _filters() -> np.ndarray:
    """(UNITS, TAPS), as kernels take them."""
    fractions = torch.arange(kernels.UNITS, dtype=torch.float32) / kernels.UNITS
    return np.ascontiguousarray(interpolation_filter(fractions).T.numpy())


def _weights(window: int, device: torch.device) -> Tensor:
    """(window, window), a pyramid; four of them half overlapping add up to one everywhere."""
    centre = (window - 1) / 2
    places = torch.arange(window, dtype=torch.float32, device=device)
    ramp = 1 - (places - centre).abs() / (window / 2)
    return ramp[:, None] * ramp[None]


def _add_up(windows: Tensor, block: int) -> Tensor:
    """Windows (B, rows, columns, C, 2 block, 2 block) -> the picture between the centres of the
    outer blocks, (B, C, block (rows - 1), block (columns - 1))."""
    squares: Tensor = _Overlap.apply(windows, block)
    batch, rows, columns, channels = squares.shape[:4]
    return squares.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels, rows * block, columns * block)
