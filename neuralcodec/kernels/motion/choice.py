"""The choice of motion by its price, one step of the motion prior at a time: the same as
`encoder.motion_choice` does in torch."""

from typing import Any

import numpy as np
from torch import Tensor

from neuralcodec.kernels.compiled import compiled, inlined
from neuralcodec.kernels.motion.lanes import transformed_differences
from neuralcodec.kernels.motion.planes import BORDER, CURRENT_BORDER
from neuralcodec.kernels.motion.search import REACH
from neuralcodec.kernels.parsing.motion_walk import (
    BOTH_USED,
    CANDIDATES,
    SCALES_AT,
    SECOND_USED,
    mirrored,
)
from neuralcodec.kernels.strips import in_strips

BLOCK, SIDE = 8, 12  # of what is compared, all rows
ERROR_COST = 16384  # of a unit of transformed differences; see `BIT_COST`
BIT_COST = 9  # times the weight, of a 256th of a bit
_MARGIN = (SIDE - BLOCK) // 2
_ROOM = REACH - _MARGIN - 2
_NEVER = np.iinfo(np.int64).max
_FIRST, _SECOND, _BOTH = 0, 1, 2
_errors = transformed_differences(SIDE, SIDE)
_blended_errors = transformed_differences(SIDE, SIDE, blended=True)


@inlined()
def _leaves(planes, left, top, x, y):  # type: ignore[no-untyped-def]
    """Whether the window of a block at (left, top) would leave the padded reference."""
    rows, columns = planes.shape[2:]
    return (
        x < -4 * (left + _ROOM) or x > 4 * (columns - 2 * BORDER - BLOCK - left + _ROOM)
        or y < -4 * (top + _ROOM) or y > 4 * (rows - 2 * BORDER - BLOCK - top + _ROOM)
    )  # fmt: skip


@inlined()
def _window(planes, item, left, top, x, y):  # type: ignore[no-untyped-def]
    """Where it begins."""
    rows, columns = planes.shape[2:]
    # Further out, windows see the same
    across = min(max(left - _MARGIN + (x >> 2), -SIDE - 2), columns - 2 * BORDER + 1) + BORDER
    down = min(max(top - _MARGIN + (y >> 2), -SIDE - 2), rows - 2 * BORDER + 1) + BORDER
    return ((item * 16 + 4 * (y & 3) + (x & 3)) * rows + down) * columns + across


@inlined()
def _error(samples, planes, other_planes, item, left, top, motion):  # type: ignore[no-untyped-def]
    """Transformed error of the block at (left, top) for a motion (5,); -1 if it leaves a
    reference."""
    stride, columns = samples.shape[2], planes.shape[3]
    border = CURRENT_BORDER - _MARGIN
    here = (item * samples.shape[1] + top + border) * stride + left + border
    which = motion[0]
    if which != _SECOND:
        if _leaves(planes, left, top, motion[1], motion[2]):
            return np.int64(-1)
        there = _window(planes, item, left, top, motion[1], motion[2])
        if which == _FIRST:
            return np.int64(_errors(samples, here, stride, planes, there, columns))
    if _leaves(planes, left, top, motion[3], motion[4]):
        return np.int64(-1)
    other = _window(planes, item, left, top, motion[3], motion[4])
    if which == _SECOND:
        return np.int64(_errors(samples, here, stride, other_planes, other, columns))
    return np.int64(
        _blended_errors(samples, here, stride, planes, there, columns, other_planes, other, columns)
    )


@inlined()
def _new_bits(motion, prediction, indices, away, decisions, differences):  # type: ignore[no-untyped-def]
    """Of a motion (5,) that is described as new, without those of what was refused."""
    which, bits = motion[0], np.int64(0)
    if away[0] != away[1]:
        bits += decisions[np.int64(which == _BOTH), np.int64(indices[BOTH_USED])]
        if which != _BOTH:
            bits += decisions[which, np.int64(indices[SECOND_USED])]
    for part in range(4):
        if which != (_SECOND if part < 2 else _FIRST):
            predicted = np.int64(prediction[part])
            if part >= 2 and which == _BOTH:
                predicted = np.int64(mirrored(motion[part - 1], away[1], away[0]))
            size = abs(motion[1 + part] - predicted)
            bits += differences[np.int64(indices[SCALES_AT + part]), size]
    return bits


@compiled(
    "void(int16[:,:,::1], int16[:,:,:,::1], int16[:,:,:,::1], int64[::1], int32[:,::1],"
    " int32[:,::1], int64[:,::1], int64[::1], float32[:,:,:,::1], boolean[:,:,::1],"
    " float32[:,:,::1], float32[:,:,::1], float32[:,:,:,::1], float32[:,:,::1], int64, int64)"
)
def _choose(  # type: ignore[no-untyped-def]
    samples, planes, other_planes, weights, decisions, differences, distances, blocks, candidates,
    usable, prediction, indices, found, chosen, first, end,
):  # fmt: skip
    """decisions (2, indices): of no and of yes; differences (indices, size). Blocks first..end - 1
    of a step, of all items, one after the other."""
    count, options = len(blocks), CANDIDATES + found.shape[1]
    width = (planes.shape[3] - 2 * BORDER) // BLOCK
    motion, best = np.empty(5, np.int64), np.empty(5, np.int64)
    predicted = np.empty(4, np.float32)
    for number in range(first, end):
        item, n = number // count, number % count
        block = blocks[n]
        left, top = block % width * BLOCK, block // width * BLOCK
        weight = weights[item] * BIT_COST
        refused = np.int64(0)
        least = np.int64(_NEVER)
        for part in range(4):
            predicted[part] = prediction[item, part, n]
        for i in range(options):
            if i < CANDIDATES:
                if not usable[item, i, n]:
                    continue
                for part in range(5):
                    motion[part] = np.int64(candidates[item, i, part, n])
                index = np.int64(indices[item, n, i])
                bits = refused + decisions[1, index]
                refused += decisions[0, index]
            else:
                for part in range(5):
                    motion[part] = np.int64(found[item, i - CANDIDATES, part, block])
                bits = refused + _new_bits(
                    motion, predicted, indices[item, n], distances[item], decisions, differences
                )
            cost = bits * weight
            if cost >= least:
                continue
            error = _error(samples, planes, other_planes, item, left, top, motion)
            cost += error * ERROR_COST
            if error >= 0 and cost < least:
                least = cost
                best[:] = motion
        for part in range(5):
            chosen[item, part, block] = best[part]


class StepChoice:
    """Between motions of blocks whose windows are taken from the same pictures."""

    def __init__(
        self, samples: Tensor, planes: tuple[Tensor, Tensor], weights: Tensor, distances: Tensor,
        tables: tuple[Tensor, Tensor], found: Tensor,
    ) -> None:  # fmt: skip
        """planes: of both references; distances (B, 2); tables: of `code_length.price_tables`;
        found: new motions (B, options, 5, h, w)."""
        decisions, differences = tables
        self._batch = len(samples)
        self._fixed = (
            samples.numpy(), planes[0].numpy(), planes[1].numpy(), weights.numpy(),
            decisions.numpy(), differences.numpy(), distances.long().contiguous().numpy(),
        )  # fmt: skip
        self._found = _floats(found.flatten(3))

    def choose(
        self, blocks: Tensor, candidates: Tensor, usable: Tensor, prediction: Tensor,
        indices: Tensor, chosen: Tensor,
    ) -> None:  # fmt: skip
        """Into `chosen`, (B, 5, h, w), contiguous; the rest as in `StepContext`."""
        in_strips(
            _choose, self._batch * len(blocks), *self._fixed, blocks.numpy(),
            _floats(candidates), usable.contiguous().numpy(), _floats(prediction),
            _floats(indices), self._found, chosen.flatten(2).numpy(), least=64,
        )  # fmt: skip


def _floats(tensor: Tensor) -> Any:
    return tensor.float().contiguous().numpy()
