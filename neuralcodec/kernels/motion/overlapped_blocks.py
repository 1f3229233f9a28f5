"""Overlapped block motion compensation of planes; `model.motion_compensation` is the reference.

The picture between the centres of four blocks is a square that their four vectors predict. Vectors
that are the same predict it together: where four blocks move alike, one filter is enough, and none
where they move by whole samples. A block may take the whole of its prediction from a reference,
half of it or nothing; what takes nothing costs nothing.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neuralcodec.kernels.compiled import compiled, inlined
from neuralcodec.kernels.strips import in_strips

LOBES = 3  # of the filter between samples, on each side
TAPS = 2 * LOBES
UNITS = 8  # of vectors, in a sample
BEFORE = LOBES - 1  # samples that the filter sees before the position
MARGIN = TAPS - 1  # samples that it sees beyond a square
ALL = 15  # the group of all four vectors

# Squares are made in one array, in rows of as many samples as the largest vector registers have:
# within one array, at constant distances, the compiler knows that what it writes is not what it
# reads next. Beyond the samples of a square rows hold anything (predictions) or zero (gradients).
PITCH = 16
PATCH, LINES, FILTERED, SQUARE = 0, 256, 512, 640  # where each part begins
# Of gradients. Zeros lie around SPREAD, MARGIN rows of it, and before LINES_GRADIENT.
SPREAD, LINES_GRADIENT, PATCH_GRADIENT, SQUARE_GRADIENT = 0, 304, 512, 768
ROOM = 896


@inlined()
def find_vectors(field: np.ndarray, row: int, column: int, corners: np.ndarray) -> int:
    """corners (4, 3): vectors of the blocks around a square, and how many halves of its prediction
    each takes; blocks at the border are repeated. Gives those that take nothing, as bits."""
    upper, lower = max(row - 1, 0), min(row, field.shape[1] - 1)
    before, after = max(column - 1, 0), min(column, field.shape[2] - 1)
    nothing = 0
    for part in range(3):
        corners[0, part] = field[part, upper, before]
        corners[1, part] = field[part, upper, after]
        corners[2, part] = field[part, lower, before]
        corners[3, part] = field[part, lower, after]
    for k in range(4):
        if corners[k, 2] == 0:
            nothing |= 1 << k
    return nothing


@inlined()
def same_vectors(corners: np.ndarray, k: int) -> int:
    """Which of the corners from k on have the vector of k and take as much, as bits."""
    group = 0
    for other in range(k, 4):
        same = corners[other, 0] == corners[k, 0] and corners[other, 1] == corners[k, 1]
        if same and corners[other, 2] == corners[k, 2]:
            group |= 1 << other
    return group


@inlined()
def cut(plane: np.ndarray, top: int, left: int, support: int, room: np.ndarray) -> None:
    """A square of `support` samples, to PATCH. The border of the plane is repeated."""
    height, width = plane.shape
    if 0 <= left <= width - support and 0 <= top <= height - support:
        for i in range(support):
            line = plane[top + i, left : left + support]
            for j in range(support):
                room[PATCH + PITCH * i + j] = line[j]
    else:
        for i in range(support):
            line = plane[min(max(top + i, 0), height - 1)]
            for j in range(support):
                room[PATCH + PITCH * i + j] = line[min(max(left + j, 0), width - 1)]


@inlined(fastmath={"contract"})
def interpolate(room: np.ndarray, block: int, right: int, down: int, filters: np.ndarray) -> None:
    """From PATCH, which begins BEFORE samples before the square in both directions, to FILTERED.
    right, down: fractions, in units."""
    if right:
        a = filters[right]
        for i in range(block + MARGIN):
            for j in range(PITCH):
                at = PATCH + PITCH * i + j
                room[LINES - PATCH + at] = (
                    a[0] * room[at]
                    + a[1] * room[at + 1]
                    + a[2] * room[at + 2]
                    + a[3] * room[at + 3]
                    + a[4] * room[at + 4]
                    + a[5] * room[at + 5]
                )
    else:
        for at in range(PITCH * (block + MARGIN)):
            room[LINES + at] = room[PATCH + BEFORE + at]
    if down:
        b = filters[down]
        for i in range(block):
            for j in range(PITCH):
                at = LINES + PITCH * i + j
                room[FILTERED - LINES + at] = (
                    b[0] * room[at]
                    + b[1] * room[at + PITCH]
                    + b[2] * room[at + 2 * PITCH]
                    + b[3] * room[at + 3 * PITCH]
                    + b[4] * room[at + 4 * PITCH]
                    + b[5] * room[at + 5 * PITCH]
                )
    else:
        for at in range(PITCH * block):
            room[FILTERED + at] = room[LINES + PITCH * BEFORE + at]


@compiled(
    "void(float32[:,:,::1], int32[:,:,:,::1], intp, float32[:,::1], float32[:,::1],"
    " float32[:,:,::1], intp, intp)",
    fastmath={"contract"},
)
def predict(
    planes: np.ndarray,
    vectors: np.ndarray,
    block: int,
    filters: np.ndarray,
    weights: np.ndarray,
    predicted: np.ndarray,
    first: int,
    end: int,
) -> None:
    """Rows of squares first..end - 1, counted over all planes."""
    count, height, width = planes.shape
    channels = count // vectors.shape[0]
    rows, columns = vectors.shape[2] + 1, vectors.shape[3] + 1
    room = np.zeros(ROOM, np.float32)
    corners = np.empty((4, 3), np.int32)
    for number in range(first, end):
        plane, row = number // rows, number % rows
        source = planes[plane]
        top = row * block - block // 2
        upper, lower = max(0, -top), min(block, height - top)
        for column in range(columns):
            done = find_vectors(vectors[plane // channels], row, column, corners)
            left = column * block - block // 2
            before, after = max(0, -left), min(block, width - left)
            if done == ALL:
                for i in range(upper, lower):
                    for j in range(before, after):
                        predicted[plane, top + i, left + j] = np.float32(0)
                continue
            is_begun = False
            for k in range(4):
                if done >> k & 1:
                    continue
                group = same_vectors(corners, k)
                right, down = corners[k, 0] % UNITS, corners[k, 1] % UNITS
                x, y = left + corners[k, 0] // UNITS, top + corners[k, 1] // UNITS
                whole = group == ALL and right == 0 and down == 0 and corners[k, 2] == 2
                if whole and 0 <= x <= width - block and 0 <= y <= height - block:
                    for i in range(upper, lower):
                        for j in range(before, after):
                            predicted[plane, top + i, left + j] = source[y + i, x + j]
                    break
                cut(source, y - BEFORE, x - BEFORE, block + MARGIN, room)
                interpolate(room, block, right, down, filters)
                weight = weights[ALL * (corners[k, 2] - 1) + group]
                if is_begun:
                    for at in range(PITCH * block):
                        room[SQUARE + at] += weight[at] * room[FILTERED + at]
                else:
                    for at in range(PITCH * block):
                        room[SQUARE + at] = weight[at] * room[FILTERED + at]
                is_begun = True
                done |= group
            else:
                for i in range(upper, lower):
                    for j in range(before, after):
                        predicted[plane, top + i, left + j] = room[SQUARE + PITCH * i + j]


@inlined(fastmath={"contract"})
def interpolate_back(
    room: np.ndarray, block: int, right: int, down: int, filters: np.ndarray
) -> None:
    """From SPREAD to PATCH_GRADIENT: `interpolate`, transposed."""
    if down:
        b = filters[down]
        for i in range(block + MARGIN):
            for j in range(PITCH):
                at = SPREAD + PITCH * i + j
                room[LINES_GRADIENT - SPREAD + at] = (
                    b[5] * room[at]
                    + b[4] * room[at + PITCH]
                    + b[3] * room[at + 2 * PITCH]
                    + b[2] * room[at + 3 * PITCH]
                    + b[1] * room[at + 4 * PITCH]
                    + b[0] * room[at + 5 * PITCH]
                )
    else:
        for at in range(PITCH * (block + MARGIN)):
            room[LINES_GRADIENT + at] = room[SPREAD + PITCH * (MARGIN - BEFORE) + at]
    if right:
        a = filters[right]
        for i in range(block + MARGIN):
            for j in range(PITCH):
                at = LINES_GRADIENT - MARGIN + PITCH * i + j
                room[PATCH_GRADIENT - LINES_GRADIENT + MARGIN + at] = (
                    a[5] * room[at]
                    + a[4] * room[at + 1]
                    + a[3] * room[at + 2]
                    + a[2] * room[at + 3]
                    + a[1] * room[at + 4]
                    + a[0] * room[at + 5]
                )
    else:
        for at in range(PITCH * (block + MARGIN)):
            room[PATCH_GRADIENT + at] = room[LINES_GRADIENT - BEFORE + at]


@inlined()
def add_patch(plane: np.ndarray, top: int, left: int, support: int, room: np.ndarray) -> None:
    """`cut`, transposed."""
    height, width = plane.shape
    if 0 <= left <= width - support and 0 <= top <= height - support:
        for i in range(support):
            line = plane[top + i, left : left + support]
            for j in range(support):
                line[j] += room[PATCH_GRADIENT + PITCH * i + j]
    else:
        for i in range(support):
            line = plane[min(max(top + i, 0), height - 1)]
            for j in range(support):
                line[min(max(left + j, 0), width - 1)] += room[PATCH_GRADIENT + PITCH * i + j]


@compiled(
    "void(float32[:,:,::1], int32[:,:,:,::1], intp, float32[:,::1], float32[:,::1],"
    " float32[:,:,::1], intp, intp)"
)
def predict_back(
    gradient: np.ndarray,
    vectors: np.ndarray,
    block: int,
    filters: np.ndarray,
    weights: np.ndarray,
    of_planes: np.ndarray,
    first: int,
    end: int,
) -> None:
    """Planes first..end - 1 of `of_planes`, which are zero before: what the gradient of the
    predicted ones makes of them."""
    count, height, width = gradient.shape
    channels = count // vectors.shape[0]
    room = np.zeros(ROOM, np.float32)
    corners = np.empty((4, 3), np.int32)
    for plane in range(first, end):
        for row in range(vectors.shape[2] + 1):
            top = row * block - block // 2
            for column in range(vectors.shape[3] + 1):
                done = find_vectors(vectors[plane // channels], row, column, corners)
                if done == ALL:
                    continue
                left = column * block - block // 2
                for i in range(block):
                    for j in range(block):
                        y, x = top + i, left + j
                        inside = 0 <= y < height and 0 <= x < width
                        value = gradient[plane, y, x] if inside else np.float32(0)
                        room[SQUARE_GRADIENT + PITCH * i + j] = value
                for k in range(4):
                    if done >> k & 1:
                        continue
                    group = same_vectors(corners, k)
                    done |= group
                    weight = weights[ALL * (corners[k, 2] - 1) + group]
                    for at in range(PITCH * block):
                        room[SPREAD + PITCH * MARGIN + at] = weight[at] * room[SQUARE_GRADIENT + at]
                    right, down = corners[k, 0] % UNITS, corners[k, 1] % UNITS
                    x, y = left + corners[k, 0] // UNITS, top + corners[k, 1] // UNITS
                    interpolate_back(room, block, right, down, filters)
                    add_patch(of_planes[plane], y - BEFORE, x - BEFORE, block + MARGIN, room)


@lru_cache
def _weights(block: int) -> np.ndarray:
    """(2 · ALL + 1, block · PITCH): what the vectors of a group, the bits of its number, have to
    say in each sample of a square: where each takes one half, then, from ALL on, where it takes
    both. They fall off linearly from a block's centre; those of all four make 1."""
    rising = (np.arange(block, dtype=np.float32) + np.float32(0.5)) / np.float32(block)
    of_corners = [np.outer(a, b) for a in (1 - rising, rising) for b in (1 - rising, rising)]
    weights = np.zeros((2 * ALL + 1, block, PITCH), np.float32)
    for group in range(1, ALL + 1):
        for k in range(4):
            if group >> k & 1:
                weights[ALL + group, :, :block] += of_corners[k]
        weights[group] = weights[ALL + group] / 2
    return weights.reshape(len(weights), -1)


class _OverlappedBlocks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, vectors: Tensor, block: int, filters: np.ndarray) -> Tensor:
        """vectors (B, 3, rows, columns): in units, and halves."""
        ctx.save_for_backward(vectors)
        ctx.block, ctx.filters = block, filters
        planes = x.detach().contiguous().flatten(0, 1).numpy()
        predicted = torch.empty(x.shape, dtype=x.dtype, device="cpu")
        rows = planes.shape[0] * (vectors.shape[2] + 1)
        known = planes, vectors.numpy(), block, filters, _weights(block)
        in_strips(predict, rows, *known, predicted.flatten(0, 1).numpy())
        return predicted

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (vectors,) = ctx.saved_tensors
        of_x = torch.zeros(gradient.shape, dtype=gradient.dtype, device="cpu")
        planes = gradient.contiguous().flatten(0, 1).numpy()
        known = planes, vectors.numpy(), ctx.block, ctx.filters, _weights(ctx.block)
        in_strips(predict_back, len(planes), *known, of_x.flatten(0, 1).numpy())
        return of_x, None, None, None


def overlapped_blocks(
    x: Tensor, vectors: Tensor, block: int, filters: np.ndarray, halves: Tensor | None
) -> Tensor:
    """x (B, C, H, W) of float32; vectors (B, 2, H/block, W/block) in samples of x, rounded to
    UNITS; block 8 or 4; filters (UNITS, TAPS) of each fraction; halves (B, 1, H/block, W/block) of
    its prediction that each block takes, 0 to 2; None: all of it."""
    units = (vectors * UNITS).round().to(torch.int32)
    taken = torch.full_like(units[:, :1], 2) if halves is None else halves.to(torch.int32)
    predicted: Tensor = _OverlappedBlocks.apply(x, torch.cat([units, taken], 1), block, filters)
    return predicted
