"""The choice of vectors by their price, one step of the vector prior at a time: the same as
`encoder.motion_choice` does in torch."""

from typing import Any

import numpy as np
from torch import Tensor

from neuralcodec.kernels.compiled import compiled, inlined
from neuralcodec.kernels.motion.lanes import transformed_differences
from neuralcodec.kernels.motion.planes import BORDER, CURRENT_BORDER
from neuralcodec.kernels.motion.search import REACH
from neuralcodec.kernels.strips import in_strips

BLOCK, SIDE = 8, 12  # of what is compared, all rows
ERROR_COST = 16384  # of a unit of transformed differences; see `BIT_COST`
BIT_COST = 9  # times the weight, of a 256th of a bit
_MARGIN = (SIDE - BLOCK) // 2
_ROOM = REACH - _MARGIN - 2
_OPTIONS = 7
_NEVER = np.iinfo(np.int64).max
_errors = transformed_differences(SIDE, SIDE)


@inlined()
def _error(samples, planes, item, left, top, x, y):  # type: ignore[no-untyped-def]
    """Transformed error of the block at (left, top) for a vector; -1 if it leaves the reference."""
    rows, columns = planes.shape[2:]
    if (
        x < -4 * (left + _ROOM) or x > 4 * (columns - 2 * BORDER - BLOCK - left + _ROOM)
        or y < -4 * (top + _ROOM) or y > 4 * (rows - 2 * BORDER - BLOCK - top + _ROOM)
    ):  # fmt: skip
        return np.int64(-1)
    stride = samples.shape[2]
    border = CURRENT_BORDER - _MARGIN
    here = (item * samples.shape[1] + top + border) * stride + left + border
    # Further out, windows see the same
    across = min(max(left - _MARGIN + (x >> 2), -SIDE - 2), columns - 2 * BORDER + 1) + BORDER
    down = min(max(top - _MARGIN + (y >> 2), -SIDE - 2), rows - 2 * BORDER + 1) + BORDER
    there = ((item * 16 + 4 * (y & 3) + (x & 3)) * rows + down) * columns + across
    return np.int64(_errors(samples, here, stride, planes, there, columns))


@compiled(
    "void(int16[:,:,::1], int16[:,:,:,::1], int64[::1], int32[:,::1], int32[:,::1],"
    " int64[::1], float32[:,:,:,::1], boolean[:,:,::1], float32[:,:,::1], float32[:,:,::1],"
    " float32[:,:,::1], float32[:,:,::1], int64, int64)"
)
def _choose(  # type: ignore[no-untyped-def]
    samples, planes, weights, decisions, differences, blocks, candidates, usable,
    prediction, indices, found, chosen, first, end,
):  # fmt: skip
    """decisions (2, indices): of no and of yes; differences (indices, size). Blocks first..end - 1
    of a step, of all items, one after the other."""
    count = len(blocks)
    width = (planes.shape[3] - 2 * BORDER) // BLOCK
    for number in range(first, end):
        item, n = number // count, number % count
        block = blocks[n]
        left, top = block % width * BLOCK, block // width * BLOCK
        weight = weights[item] * BIT_COST
        refused = np.int64(0)
        least = np.int64(_NEVER)
        best_x, best_y = np.int64(0), np.int64(0)
        for i in range(_OPTIONS):
            if i < _OPTIONS - 1:
                if not usable[item, i, n]:
                    continue
                x, y = np.int64(candidates[item, i, 0, n]), np.int64(candidates[item, i, 1, n])
                index = np.int64(indices[item, n, i])
                bits = refused + decisions[1, index]
                refused += decisions[0, index]
            else:
                x, y = np.int64(found[item, 0, block]), np.int64(found[item, 1, block])
                bits = refused
                by = abs(x - np.int64(prediction[item, 0, n]))
                bits += differences[np.int64(indices[item, n, i]), by]
                by = abs(y - np.int64(prediction[item, 1, n]))
                bits += differences[np.int64(indices[item, n, i + 1]), by]
            cost = bits * weight
            if cost >= least:
                continue
            error = _error(samples, planes, item, left, top, x, y)
            cost += error * ERROR_COST
            if error >= 0 and cost < least:
                least, best_x, best_y = cost, x, y
        chosen[item, 0, block], chosen[item, 1, block] = best_x, best_y


class StepChoice:
    """Between vectors of blocks whose windows are taken from the same pictures."""

    def __init__(
        self, samples: Tensor, planes: Tensor, weights: Tensor, tables: tuple[Tensor, Tensor],
    ) -> None:  # fmt: skip
        """tables: of `model.code_length.price_tables`."""
        decisions, differences = tables
        self._batch = len(samples)
        self._fixed = (
            samples.numpy(), planes.numpy(), weights.numpy(), decisions.numpy(),
            differences.numpy(),
        )  # fmt: skip

    def choose(
        self, blocks: Tensor, candidates: Tensor, usable: Tensor, prediction: Tensor,
        indices: Tensor, found: Tensor, chosen: Tensor,
    ) -> None:  # fmt: skip
        """Into `chosen`, (B, 2, h, w) as `found`; the rest as in `StepContext`."""
        in_strips(
            _choose, self._batch * len(blocks), *self._fixed, blocks.numpy(),
            _floats(candidates), usable.contiguous().numpy(), _floats(prediction),
            _floats(indices), _floats(found.flatten(2)), chosen.flatten(2).numpy(), least=64,
        )  # fmt: skip


def _floats(tensor: Tensor) -> Any:
    return tensor.float().contiguous().numpy()
