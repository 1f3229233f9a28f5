"""What the motion search does block by block: errors of windows, and the best of several vectors.

The steps of the search, and the same in torch, are in `encoder.motion.motion_search`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neuralcodec.kernels.compiled import compiled, inlined
from neuralcodec.kernels.motion.lanes import absolute_differences
from neuralcodec.kernels.motion.planes import BORDER, CURRENT_BORDER
from neuralcodec.kernels.strips import in_strips

REACH = 64  # samples that a window may reach out of the reference
COST_UNITS = 1024  # costs are errors times the area of a block in these units, and bits
BIT_UNITS = 16
REPEATED_BITS = 1 * BIT_UNITS  # of a vector that a neighbour has too
NEW_BITS = 6 * BIT_UNITS  # of any other, and the bits of its difference to the predictor


@dataclass(frozen=True)
class Support:
    """What is compared for a block: a square around it, of which every `skipped`-th row."""

    block: int
    side: int
    skipped: int

    @property
    def margin(self) -> int:
        return (self.side - self.block) // 2

    @property
    def samples(self) -> int:
        return self.side * len(range(0, self.side, self.skipped))


COARSE, FINE, THOROUGH = Support(16, 24, 4), Support(8, 12, 2), Support(8, 10, 1)
_errors_24 = absolute_differences(24, 24, 4)
_errors_12 = absolute_differences(12, 12, 2)
_errors_10 = absolute_differences(10, 10)

_PICTURES = "int16[:,:,::1], int16[:,:,:,::1]"
_FIELD, _ERRORS = "int32[:,:,:,::1]", "int32[:,:,::1]"


@inlined()
def _error(samples, planes, block, side, item, row, column, x, y):  # type: ignore[no-untyped-def]
    """Sum of absolute differences of a block for the vector (x, y)."""
    rows, columns = planes.shape[2:]
    margin = (side - block) // 2
    top, left = row * block - margin, column * block - margin
    stride = samples.shape[2]
    here = (item * samples.shape[1] + top + CURRENT_BORDER) * stride + left + CURRENT_BORDER
    # Further out, windows see the same
    across = min(max(left + (x >> 2), -side - 2), columns - 2 * BORDER + 1) + BORDER
    down = min(max(top + (y >> 2), -side - 2), rows - 2 * BORDER + 1) + BORDER
    there = ((item * 16 + 4 * (y & 3) + (x & 3)) * rows + down) * columns + across
    if side == 10:
        return np.int64(_errors_10(samples, here, stride, planes, there, columns))
    if side == 12:
        return np.int64(_errors_12(samples, here, stride, planes, there, columns))
    return np.int64(_errors_24(samples, here, stride, planes, there, columns))


@inlined()
def _limits(position, size, room, limit):  # type: ignore[no-untyped-def]
    """Of a component of a vector, so that the window of a block that begins at `position` stays
    within `room` of the picture."""
    return max(-4 * (position + room), -limit), min(4 * (size - position + room), limit)


@inlined()
def _vector(field, item, row, column):  # type: ignore[no-untyped-def]
    return np.int64(field[item, row, column, 0]), np.int64(field[item, row, column, 1])


@inlined()
def _key(x, y):  # type: ignore[no-untyped-def]
    return x * 65536 + y


@compiled(f"void({_PICTURES}, int64, int64, int64, {_FIELD}, {_ERRORS}, int64, int64)")
def _begin(samples, planes, block, side, limit, best, errors, first, end):  # type: ignore[no-untyped-def]
    """Moves vectors inside and gives their errors; rows first..end - 1 of blocks of all items."""
    height, width = best.shape[1:3]
    room = REACH - (side - block) // 2 - 2
    for number in range(first, end):
        item, row = number // height, number % height
        low_y, high_y = _limits(row * block, (height - 1) * block, room, limit)
        for column in range(width):
            low_x, high_x = _limits(column * block, (width - 1) * block, room, limit)
            x, y = _vector(best, item, row, column)
            x, y = min(max(x, low_x), high_x), min(max(y, low_y), high_y)
            best[item, row, column, 0], best[item, row, column, 1] = x, y
            errors[item, row, column] = _error(
                samples, planes, block, side, item, row, column, x, y
            )


@inlined()
def _median(a, b, c, d, e):  # type: ignore[no-untyped-def]
    low, high = max(min(a, b), min(c, d)), min(max(a, b), max(c, d))
    return max(min(low, high), min(max(low, high), e))


@compiled(
    f"void({_PICTURES}, int64[::1], int32[::1], int64[::1], {_FIELD}, {_ERRORS}, {_FIELD},"
    f" {_ERRORS}, int64, int32[:,::1], int32[:,:,:,:,::1], boolean, {_FIELD}, int64, int64)"
)
def _offer(  # type: ignore[no-untyped-def]
    samples, planes, settings, table, weights, best, errors, chosen, chosen_errors,
    distance, moves, fields, is_after, before, first, end,
):  # fmt: skip
    """`SearchLevel.offer`; rows first..end - 1 of blocks of all items."""
    block, side, limit, compared = settings
    height, width = best.shape[1:3]
    room = REACH - (side - block) // 2 - 2
    area = block * block * COST_UNITS
    around = 4 if distance > 0 else 0
    moved = around + len(moves)
    count = moved + len(fields)
    tried = np.empty(1 + count, np.int64)
    for number in range(first, end):
        item, row = number // height, number % height
        weight = weights[item] * compared
        above, below = max(row - 1, 0), min(row + 1, height - 1)
        low_y, high_y = _limits(row * block, (height - 1) * block, room, limit)
        for column in range(width):
            low_x, high_x = _limits(column * block, (width - 1) * block, room, limit)
            before_it, after_it = max(column - 1, 0), min(column + 1, width - 1)
            own_x, own_y = _vector(best, item, row, column)
            left_x, left_y = _vector(best, item, row, before_it)
            right_x, right_y = _vector(best, item, row, after_it)
            up_x, up_y = _vector(best, item, above, column)
            down_x, down_y = _vector(best, item, below, column)
            middle_x = _median(left_x, right_x, up_x, down_x, own_x)
            middle_y = _median(left_y, right_y, up_y, down_y, own_y)
            left, right = _key(left_x, left_y), _key(right_x, right_y)
            up, down = _key(up_x, up_y), _key(down_x, down_y)
            old = down
            if is_after:
                old_x, old_y = _vector(before, item, row, column)
                old = _key(old_x, old_y)
            least = np.int64(-1)
            best_x, best_y, best_error = own_x, own_y, np.int64(errors[item, row, column])
            for i in range(-1, count):
                if i < 0:
                    x, y = own_x, own_y
                elif i < around:
                    r = min(max(row + ((i == 3) - (i == 2)) * distance, 0), height - 1)
                    c = min(max(column + ((i == 1) - (i == 0)) * distance, 0), width - 1)
                    x, y = _vector(best, item, r, c)
                elif i < moved:
                    x, y = own_x + moves[i - around, 0], own_y + moves[i - around, 1]
                else:
                    x, y = _vector(fields[i - moved], item, row, column)
                if i >= 0:
                    x, y = min(max(x, low_x), high_x), min(max(y, low_y), high_y)
                key = _key(x, y)
                tried[i + 1] = key
                if i >= 0 and (i < around or i >= moved):  # moves are all different
                    is_new = True
                    for k in range(i + 1):
                        is_new &= tried[k] != key
                    if not is_new:
                        continue
                bits = NEW_BITS + table[abs(x - middle_x)] + table[abs(y - middle_y)]
                if (key == left) | (key == right) | (key == up) | (key == down) | (key == old):
                    bits = np.int64(REPEATED_BITS)
                cost = bits * weight
                if i < 0:
                    least = cost + best_error * area
                elif cost < least:
                    error = _error(samples, planes, block, side, item, row, column, x, y)
                    cost += error * area
                    if cost < least:
                        least, best_x, best_y, best_error = cost, x, y, error
            chosen[item, row, column, 0], chosen[item, row, column, 1] = best_x, best_y
            chosen_errors[item, row, column] = best_error


class SearchLevel:
    """`encoder.motion.motion_levels.TorchLevel`."""

    def __init__(
        self, samples: Tensor, planes: Tensor, prices: Tensor, weights: Tensor, support: Support,
        limit: int,
    ) -> None:  # fmt: skip
        self._pictures = samples.numpy(), planes.numpy()
        self._support, self._limit = support, limit
        settings = [support.block, support.side, limit, support.samples]
        self._prices = np.array(settings, np.int64), prices.numpy(), weights.numpy()

    def begin(self, vectors: Tensor) -> None:
        self.best = vectors.to(torch.int32, copy=True).contiguous()
        self._errors = torch.empty(vectors.shape[:3], dtype=torch.int32, device="cpu")
        side = self._support.block, self._support.side
        field, errors = self.best.numpy(), self._errors.numpy()
        self._run(_begin, *self._pictures, *side, self._limit, field, errors)

    def offer(
        self,
        fields: Sequence[Tensor] = (),
        *,
        neighbours: int = 0,
        moves: tuple[tuple[int, int], ...] = (),
        step: int = 1,
        before: Tensor | None = None,
    ) -> None:
        chosen, errors = torch.empty_like(self.best), torch.empty_like(self._errors)
        offered = (
            torch.stack(list(fields))
            if fields
            else torch.empty(0, 1, 1, 1, 2, dtype=torch.float32, device="cpu")
        )
        self._run(
            _offer, *self._pictures, *self._prices, self.best.numpy(), self._errors.numpy(),
            chosen.numpy(), errors.numpy(), neighbours,
            np.array(moves, np.int32).reshape(-1, 2) * np.int32(step),
            offered.to(torch.int32).numpy(),
            before is not None, (self.best if before is None else before.contiguous()).numpy(),
        )  # fmt: skip
        self.best, self._errors = chosen, errors

    def _run(self, kernel: Any, *arguments: Any) -> None:
        batch, height = self.best.shape[:2]
        in_strips(kernel, batch * height, *arguments, least=4)
