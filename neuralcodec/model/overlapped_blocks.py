"""Overlapped block motion compensation by windows.

Each block predicts a window of twice its size around it; the windows, weighted bilinearly, add up
to the picture. All samples of a window have the same fraction of a sample, so that interpolation
is a few multiplications of whole windows: four times faster than sampling whole pictures point by
point, and as much faster to differentiate.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

STRIP = 32  # rows of blocks at a time: bounds memory, and 1080p takes a third of the time
SHARPNESS = -0.75  # the parameter of the cubic kernel that torch uses (Keys 1981)


def overlapped_blocks(x: Tensor, vectors: Tensor, block: int, taps: int) -> Tensor:
    """x (B, C, H, W); vectors (B, 2, H/block, W/block) in samples of x -> (B, C, H, W).

    taps: of the filter between samples, 4 (cubic) or 6 (Lanczos). Six keep fine detail sharper
    where a picture is predicted from a predicted one a hundred times over.
    """
    height, width = x.shape[-2:]
    window = 2 * block
    support = window + taps - 1
    # the outer half windows of the blocks at the border fall outside of the picture
    field = F.pad(vectors, (1, 1, 1, 1), mode="replicate")
    rows, columns = field.shape[-2:]
    whole = field.floor()
    fraction = field - whole
    pad = support + block  # beyond it a window sees nothing but the repeated border
    padded = F.pad(x, (pad,) * 4, mode="replicate")
    first = -block - block // 2 - (taps // 2 - 1)  # of the window of the first block, its first tap
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
    strips = []
    for row in range(0, rows - 1, STRIP):
        strip = slice(row, row + STRIP + 1)
        windows = cut(padded, top[:, strip], left[:, strip], support)
        windows = _interpolate(
            windows, interpolation_filter(fraction[:, 0, strip], taps), 5, window
        )
        windows = _interpolate(
            windows, interpolation_filter(fraction[:, 1, strip], taps), 4, window
        )
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


def interpolation_filter(fraction: Tensor, taps: int) -> Tensor:
    """Weights (taps, ...) of the samples around a position at fraction (...) in [0, 1)."""
    return _cubic(fraction) if taps == 4 else _lanczos(fraction, taps // 2)


def _lanczos(t: Tensor, lobes: int) -> Tensor:
    """Samples at 1 - lobes .. lobes: a sinc windowed by a wider one (Duchon 1979); sum 1."""
    places = torch.arange(1 - lobes, lobes + 1, device=t.device)
    distance = t - places.view(-1, *(1,) * t.dim())
    weights = torch.sinc(distance) * torch.sinc(distance / lobes)
    return weights / weights.sum(0)


def _cubic(t: Tensor) -> Tensor:
    """Samples at -1, 0, 1, 2."""
    a = SHARPNESS

    def near(d: Tensor) -> Tensor:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Tensor) -> Tensor:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return torch.stack([far(t + 1), near(t), near(1 - t), far(2 - t)])


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
