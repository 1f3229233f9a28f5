"""The choice of motion by its price, one step of the motion prior at a time: the same as
`encoder.motion.motion_choice` does in torch."""

import numpy as np
from torch import Tensor

from neuralcodec.kernels.compiled import compiled, inlined
from neuralcodec.kernels.motion.lanes import coefficient_costs
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
BIT_SHIFT = 12  # a 256th of a bit costs 2**BIT_SHIFT; see `motion_choice.ErrorPrices`
_MARGIN = (SIDE - BLOCK) // 2
_ROOM = REACH - _MARGIN - 2
NOT_KNOWN = -2  # of errors; -1: a window that leaves the reference
_NEVER = np.iinfo(np.int64).max
_FIRST, _SECOND, _BOTH = 0, 1, 2
_errors = coefficient_costs(SIDE, SIDE)
_blended_errors = coefficient_costs(SIDE, SIDE, blended=True)


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
def _error(samples, planes, other_planes, item, left, top, motion, limit):  # type: ignore[no-untyped-def]
    """Of the block at (left, top) for a motion (5,), see `coefficient_costs`; -1 if it leaves a
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
            return np.int64(_errors(samples, here, stride, planes, there, columns, limit))
    if _leaves(planes, left, top, motion[3], motion[4]):
        return np.int64(-1)
    other = _window(planes, item, left, top, motion[3], motion[4])
    if which == _SECOND:
        return np.int64(_errors(samples, here, stride, other_planes, other, columns, limit))
    return np.int64(
        _blended_errors(
            samples, here, stride, planes, there, columns, other_planes, other, columns, limit
        )
    )


@inlined()
def _new_bits(motion, prediction, indices, away, decisions, differences):  # type: ignore[no-untyped-def]
    """Of a motion (5,) that is described as new, without those of what was refused."""
    which, bits = motion[0], np.int64(0)
    if away[0] != away[1]:
        bits += decisions[np.int64(which == _BOTH), indices[BOTH_USED]]
        if which != _BOTH:
            bits += decisions[which, indices[SECOND_USED]]
    for part in range(4):
        if which != (_SECOND if part < 2 else _FIRST):
            predicted = np.int64(prediction[part])
            if part >= 2 and which == _BOTH:
                predicted = np.int64(mirrored(motion[part - 1], away[1], away[0]))
            size = abs(motion[1 + part] - predicted)
            bits += differences[indices[SCALES_AT + part], size]
    return bits


@inlined()
def _same(motion, others, first, end):  # type: ignore[no-untyped-def]
    """Whether it is one of first..end - 1 of others (n, 5)."""
    for i in range(first, end):
        is_same = True
        for part in range(5):
            is_same &= others[i, part] == motion[part]
        if is_same:
            return True
    return False


@compiled(
    "void(int16[:,:,::1], int16[:,:,:,::1], int16[:,:,:,::1], int64, int64, int64, int32[:,::1],"
    " int32[:,::1], int64[::1], int32[:,:,::1], int32[:,::1], int64[::1], int32[:,:,::1],"
    " boolean[:,::1], int32[:,::1], uint8[:,::1], float32[:,::1], int64, int64)"
)
def _choose(  # type: ignore[no-untyped-def]
    samples, planes, other_planes, item, weight, limit, decisions, differences, distances, found,
    errors, blocks, candidates, usable, prediction, indices, chosen, first, end,
):  # fmt: skip
    """Blocks first..end - 1 of a step of one item. decisions (2, indices): of no and of yes;
    differences (indices, size); errors (options, h w): those of `found` so far, NOT_KNOWN at
    first."""
    options = found.shape[0]
    width = (planes.shape[3] - 2 * BORDER) // BLOCK
    tried, best = np.empty((CANDIDATES + options, 5), np.int64), np.empty(5, np.int64)
    for n in range(first, end):
        block = blocks[n]
        left, top = block % width * BLOCK, block // width * BLOCK
        refused = np.int64(0)
        least = np.int64(_NEVER)
        named = count = 0
        for i in range(CANDIDATES + options):
            motion = tried[count]
            if i < CANDIDATES:
                if not usable[n, i]:
                    continue
                motion[:] = candidates[n, i]
                bits = refused + decisions[1, indices[n, i]]
                refused += decisions[0, indices[n, i]]
                named += 1
            else:
                for part in range(5):
                    motion[part] = found[i - CANDIDATES, part, block]
                if _same(motion, tried, named, count):
                    continue
                bits = refused + _new_bits(
                    motion, prediction[n], indices[n], distances, decisions, differences
                )
            count += 1
            cost = bits << BIT_SHIFT
            if cost >= least:
                continue
            if i < CANDIDATES:
                error = _error(samples, planes, other_planes, item, left, top, motion, limit)
            else:
                error = np.int64(errors[i - CANDIDATES, block])
                if error == NOT_KNOWN:
                    error = _error(samples, planes, other_planes, item, left, top, motion, limit)
                    errors[i - CANDIDATES, block] = error
            cost += error * weight
            if error >= 0 and cost < least:
                least = cost
                best[:] = motion
        for part in range(5):
            chosen[part, block] = best[part]


class StepChoice:
    """Between motions of blocks of one item, whose windows are taken from the same pictures."""

    def __init__(
        self, samples: Tensor, planes: tuple[Tensor, Tensor], item: int, weight: int, limit: int,
        tables: tuple[Tensor, Tensor], distances: tuple[int, int], found: np.ndarray,
        errors: np.ndarray,
    ) -> None:  # fmt: skip
        """samples, planes of both references: of a batch; weight, limit: see
        `motion_choice.ErrorPrices`; tables: of `code_length.price_tables`;
        found: new motions (options, 5, h w), int32; errors: see `_choose`."""
        decisions, differences = tables
        self._fixed = (
            samples.numpy(), planes[0].numpy(), planes[1].numpy(), item, weight, limit,
            decisions.numpy(), differences.numpy(), np.array(distances, np.int64), found, errors,
        )  # fmt: skip

    def choose(
        self, blocks: np.ndarray, candidates: np.ndarray, usable: np.ndarray,
        prediction: np.ndarray, indices: np.ndarray, chosen: np.ndarray,
    ) -> None:  # fmt: skip
        """Into `chosen`, (5, h w), float32; the rest as in `motion_integers.StepArrays`."""
        step = blocks, candidates, usable, prediction, indices
        in_strips(_choose, len(blocks), *self._fixed, *step, chosen, least=64)
