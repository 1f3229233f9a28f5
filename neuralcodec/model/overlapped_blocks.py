"""Overlapped block motion compensation by windows.

Each block predicts a window of twice its size around it; the windows, weighted bilinearly, add up
to the picture. All samples of a window have the same fraction of a sample, so that interpolation
is a few multiplications of whole windows: four times faster than sampling whole pictures point by
point, and as much faster to differentiate.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

TAPS = 4
STRIP = 32  # rows of blocks at a time: bounds memory, and 1080p takes a third of the time
SHARPNESS = -0.75  # the parameter of the cubic kernel that torch uses (Keys 1981)


def overlapped_blocks(x: Tensor, vectors: Tensor, block: int) -> Tensor:
    """x (B, C, H, W); vectors (B, 2, H/block, W/block) in samples of x -> (B, C, H, W)."""
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
    first = -block - block // 2 - 1  # of the window of the first block, its first tap
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
        windows = _interpolate(windows, fraction[:, 0, strip], 5, window)
        windows = _interpolate(windows, fraction[:, 1, strip], 4, window)
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


def _interpolate(windows: Tensor, fraction: Tensor, dim: int, size: int) -> Tensor:
    taps = _cubic_taps(fraction)
    result = windows.narrow(dim, 0, size) * taps[0][..., None, None, None]
    for k in range(1, TAPS):
        result.addcmul_(windows.narrow(dim, k, size), taps[k][..., None, None, None])
    return result


def _cubic_taps(t: Tensor) -> list[Tensor]:
    """Weights of the samples at -1, 0, 1, 2 for a position at fraction t in [0, 1)."""
    a = SHARPNESS

    def near(d: Tensor) -> Tensor:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Tensor) -> Tensor:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _weights(window: int, device: torch.device) -> Tensor:
    """(window, window), a pyramid; four of them half overlapping add up to one everywhere."""
    centre = (window - 1) / 2
    ramp = 1 - (torch.arange(window, device=device) - centre).abs() / (window / 2)
    return ramp[:, None] * ramp[None]


def _add_up(windows: Tensor, block: int) -> Tensor:
    """Windows (B, rows, columns, C, 2 block, 2 block) -> the picture between the centres of the
    outer blocks, (B, C, block (rows - 1), block (columns - 1))."""
    # quarters of windows that lie on the same square between four block centres
    squares = (
        windows[:, :-1, :-1, :, block:, block:]
        + windows[:, :-1, 1:, :, block:, :block]
        + windows[:, 1:, :-1, :, :block, block:]
        + windows[:, 1:, 1:, :, :block, :block]
    )
    batch, rows, columns, channels = squares.shape[:4]
    return squares.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels, rows * block, columns * block)
