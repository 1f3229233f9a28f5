"""Every offset of 16x16 blocks, at a fraction of the resolution."""

import numpy as np
import torch
from torch import Tensor

from neuralcodec.kernels.compiled import compiled
from neuralcodec.kernels.motion.planes import BORDER, CURRENT_BORDER
from neuralcodec.kernels.motion.search import COARSE, COST_UNITS
from neuralcodec.kernels.strips import in_strips

_BLOCK = COARSE.block
_AREA = _BLOCK**2 * COST_UNITS
_MARGIN = 1  # of a support around its block, at the resolution of the search


@compiled("void(int16[:,:,:,::1], int64, int64, int64, float32[:,:,::1], int64, int64)")
def _pool(pictures, border, scale, reach, sums, first, end):  # type: ignore[no-untyped-def]
    """Sums of scale x scale samples of pictures[:, 0] without its border; repeated around that by
    `reach`. Rows first..end - 1 of all items."""
    rows, columns = sums.shape[1:]
    height, width = rows - 2 * reach, columns - 2 * reach
    line = np.empty(width * scale, np.float32)
    for number in range(first, end):
        item, row = number // rows, number % rows
        top = min(max(row - reach, 0), height - 1) * scale + border
        line[:] = np.float32(0)
        for y in range(top, top + scale):
            samples = pictures[item, 0, y, border : border + width * scale]
            for x in range(len(line)):
                line[x] += np.float32(samples[x])
        out = sums[item, row]
        for x in range(width):
            total = np.float32(0)
            for k in range(scale):
                total += line[x * scale + k]
            out[reach + x] = total
        out[:reach] = out[reach]
        out[reach + width :] = out[reach + width - 1]


@compiled(
    "void(float32[:,:,::1], float32[:,:,::1], int64, int64, int32[::1], int64[::1],"
    " int32[:,:,:,::1], int64, int64)"
)
def _search(small, other, reach, scale, bits, weights, best, first, end):  # type: ignore[no-untyped-def]
    """Rows first..end - 1 of blocks of all items."""
    height, width = small.shape[1:]
    rows, columns = best.shape[1:3]
    block = _BLOCK // scale
    compared = (scale * (block + 2 * _MARGIN)) ** 2
    sums = np.empty(width, np.float32)
    least = np.empty(columns, np.int64)
    for number in range(first, end):
        item, row = number // rows, number % rows
        least[:] = np.iinfo(np.int64).max
        for down in range(-reach, reach + 1):
            for across in range(-reach, reach + 1):
                sums[:] = np.float32(0)
                for y in range(row * block - _MARGIN, (row + 1) * block + _MARGIN):
                    y = min(max(y, 0), height - 1)
                    ours = small[item, y]
                    theirs = other[item, y + reach + down, reach + across : reach + across + width]
                    for x in range(width):
                        sums[x] += abs(ours[x] - theirs[x])
                step = 4 * scale
                taken = np.int64(bits[abs(across) * step]) + np.int64(bits[abs(down) * step])
                price = taken * weights[item] * compared
                for column in range(columns):
                    left = column * block
                    total = sums[max(left - 1, 0)] + sums[min(left + block, width - 1)]
                    for x in range(left, left + block):
                        total += sums[x]
                    cost = np.int64(total) * _AREA + price
                    if cost < least[column]:
                        least[column] = cost
                        best[item, row, column, 0] = across * step
                        best[item, row, column, 1] = down * step


def full_search(
    samples: Tensor, planes: Tensor, prices: Tensor, weights: Tensor, scale: int, reach: int
) -> Tensor:
    """`encoder.motion.motion_search.full_search`."""
    batch, rows, columns = (samples.shape[0], *samples.shape[1:])
    height, width = rows - 2 * CURRENT_BORDER, columns - 2 * CURRENT_BORDER
    small = _pooled(samples[:, None], CURRENT_BORDER, scale, 0)
    other = _pooled(planes, BORDER, scale, reach)
    best = torch.empty(batch, height // _BLOCK, width // _BLOCK, 2, dtype=torch.int32, device="cpu")
    in_strips(
        _search, batch * best.shape[1], small, other, reach, scale, prices.numpy(),
        weights.numpy(), best.numpy(), least=2,
    )  # fmt: skip
    return best


def _pooled(pictures: Tensor, border: int, scale: int, reach: int) -> np.ndarray:
    batch, _, rows, columns = pictures.shape
    size = [(side - 2 * border) // scale + 2 * reach for side in (rows, columns)]
    sums = np.empty((batch, *size), np.float32)
    in_strips(_pool, batch * size[0], pictures.numpy(), border, scale, reach, sums, least=8)
    return sums
