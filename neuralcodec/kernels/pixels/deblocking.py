"""The deblocking filter of planes; `model.deblocking` has the reference and says what it is for."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from neuralcodec.kernels.compiled import compiled, inlined
from neuralcodec.kernels.strips import in_strips

SIDE = 8  # samples across an edge that see it and change
REACH = SIDE // 2  # on each side of the edge

# A tile is SIDE rows around a horizontal edge, and as many columns, from REACH before a vertical
# one on. Its versions are parts of one array, at constant distances: so the compiler knows that
# what it writes is not what it reads next.
COLUMNS = 256
PART = SIDE * COLUMNS
SAMPLES, ACROSS, GRADIENT = 0, PART, 2 * PART  # before and after the vertical edges
RESULT = 2 * PART
SUMS = 3 * PART  # of the gradients of step, slope and ramp, a row each
PARAMETERS = 2 + REACH
ROOM = SUMS + PARAMETERS * COLUMNS

_EIGHT = "UniTuple(float32, 8)"
_FOUR = "UniTuple(float32, 4)"
HALF, ONE, TWO, ZERO = np.float32(0.5), np.float32(1), np.float32(2), np.float32(0)

Real = Any  # a float32
Reals = tuple[Real, ...]


@inlined()
def eight(room: np.ndarray, at: int, stride: int) -> Reals:
    return (
        room[at],
        room[at + stride],
        room[at + 2 * stride],
        room[at + 3 * stride],
        room[at + 4 * stride],
        room[at + 5 * stride],
        room[at + 6 * stride],
        room[at + 7 * stride],
    )


@inlined()
def put_eight(room: np.ndarray, at: int, stride: int, values: Reals) -> None:
    room[at] = values[0]
    room[at + stride] = values[1]
    room[at + 2 * stride] = values[2]
    room[at + 3 * stride] = values[3]
    room[at + 4 * stride] = values[4]
    room[at + 5 * stride] = values[5]
    room[at + 6 * stride] = values[6]
    room[at + 7 * stride] = values[7]


@inlined()
def step_and_steepest(a: Reals) -> Reals:
    """How far the two sides are apart, and their steepest slope."""
    step = (a[4] - a[3]) - ((a[3] - a[2]) + (a[5] - a[4])) * HALF
    before = max(max(abs(a[1] - a[0]), abs(a[2] - a[1])), abs(a[3] - a[2]))
    after = max(max(abs(a[5] - a[4]), abs(a[6] - a[5])), abs(a[7] - a[6]))
    return step, max(before, after)


@inlined()
def deblocked_eight(a: Reals, step_limit: Real, slope_limit: Real, ramp: Reals) -> Reals:
    step, steepest = step_and_steepest(a)
    near = min(max(TWO - abs(step) / step_limit, ZERO), ONE)
    plain = min(max(TWO - steepest / slope_limit, ZERO), ONE)
    move = near * plain * step
    return (
        a[0] + move * ramp[0],
        a[1] + move * ramp[1],
        a[2] + move * ramp[2],
        a[3] + move * ramp[3],
        a[4] - move * ramp[3],
        a[5] - move * ramp[2],
        a[6] - move * ramp[1],
        a[7] - move * ramp[0],
    )


@inlined()
def load_tile(plane: np.ndarray, top: int, left: int, room: np.ndarray, part: int) -> None:
    """Zeros stand for what is outside of the plane."""
    height, width = plane.shape
    before, after = max(-left, 0), min(COLUMNS, width - left)
    for i in range(SIDE):
        line = room[part + COLUMNS * i : part + COLUMNS * (i + 1)]
        if not 0 <= top + i < height:
            line[:] = 0
            continue
        inner, seen = line[before:after], plane[top + i, left + before : left + after]
        for j in range(len(seen)):
            inner[j] = seen[j]
        line[:before] = 0
        line[after:] = 0


@inlined()
def store_tile(room: np.ndarray, part: int, plane: np.ndarray, top: int, left: int) -> None:
    height, width = plane.shape
    before, after = max(-left, 0), min(COLUMNS, width - left)
    for i in range(max(0, -top), min(SIDE, height - top)):
        line = room[part + COLUMNS * i + before : part + COLUMNS * i + after]
        inner = plane[top + i, left + before : left + after]
        for j in range(len(line)):
            inner[j] = line[j]


@inlined()
def edges_of(left: int, width: int) -> tuple[int, int]:
    """Which eights of a row of a tile have a vertical edge of the plane in their middle."""
    return (1 if left < 0 else 0), min(COLUMNS, width - left - REACH) // SIDE


@inlined()
def deblock_rows(
    room: np.ndarray, first: int, end: int, step: Real, slope: Real, ramp: Reals
) -> None:
    """Vertical edges, from SAMPLES to ACROSS."""
    for at in range(PART):
        room[ACROSS + at] = room[SAMPLES + at]
    for i in range(SIDE):
        for n in range(first, end):
            at = COLUMNS * i + SIDE * n
            found = deblocked_eight(eight(room, SAMPLES + at, 1), step, slope, ramp)
            put_eight(room, ACROSS + at, 1, found)


@compiled(
    "void(float32[:,:,::1], float32[::1], float32[::1], float32[::1], float32[:,:,::1], intp, intp)"
)
def deblock(
    planes: np.ndarray,
    steps: np.ndarray,
    slopes: np.ndarray,
    ramp: np.ndarray,
    deblocked: np.ndarray,
    first: int,
    end: int,
) -> None:
    """Bands of SIDE rows around the horizontal edges first..end - 1, counted over all planes; the
    border of a plane counts as an edge above and below."""
    count, height, width = planes.shape
    bands = height // SIDE + 1
    channels = count // len(steps)
    spread = ramp[0], ramp[1], ramp[2], ramp[3]
    room = np.zeros(ROOM, np.float32)
    for number in range(first, end):
        plane, band = number // bands, number % bands
        step, slope = steps[plane // channels], slopes[plane // channels]
        top = SIDE * band - REACH
        for left in range(-REACH, width, COLUMNS):
            load_tile(planes[plane], top, left, room, SAMPLES)
            first_edge, end_edge = edges_of(left, width)
            deblock_rows(room, first_edge, end_edge, step, slope, spread)
            if 0 < band < bands - 1:
                for j in range(COLUMNS):
                    found = deblocked_eight(eight(room, ACROSS + j, COLUMNS), step, slope, spread)
                    put_eight(room, RESULT + j, COLUMNS, found)
                store_tile(room, RESULT, deblocked[plane], top, left)
            else:
                store_tile(room, ACROSS, deblocked[plane], top, left)


@inlined()
def sign(x: Real) -> Real:
    return (ONE if x > ZERO else ZERO) - (ONE if x < ZERO else ZERO)


@inlined()
def steepest_back(first: Real, second: Real, third: Real, gradient: Real) -> Reals:
    """From the gradient of the steepest of three differences to theirs. Equals share it."""
    a, b, c = abs(first), abs(second), abs(third)
    most = max(max(a, b), c)
    is_first = ONE if a == most else ZERO
    is_second = ONE if b == most else ZERO
    is_third = ONE if c == most else ZERO
    share = gradient / (is_first + is_second + is_third)
    return (
        share * is_first * sign(first),
        share * is_second * sign(second),
        share * is_third * sign(third),
    )


@inlined()
def deblocked_eight_back(
    a: Reals, g: Reals, step_limit: Real, slope_limit: Real, ramp: Reals
) -> tuple[Reals, Reals]:
    """From the gradient g to those of the samples a, and of step limit, slope limit and ramp."""
    step, steepest = step_and_steepest(a)
    nearness, plainness = TWO - abs(step) / step_limit, TWO - steepest / slope_limit
    near, plain = min(max(nearness, ZERO), ONE), min(max(plainness, ZERO), ONE)
    strength = near * plain
    move = strength * step
    apart = (g[0] - g[7], g[1] - g[6], g[2] - g[5], g[3] - g[4])
    of_move = apart[0] * ramp[0] + apart[1] * ramp[1] + apart[2] * ramp[2] + apart[3] * ramp[3]
    of_strength = of_move * step
    of_near = of_strength * plain if ZERO <= nearness <= ONE else ZERO
    of_plain = of_strength * near if ZERO <= plainness <= ONE else ZERO
    of_step = of_move * strength - of_near / step_limit * sign(step)
    of_steepest = -of_plain / slope_limit
    before = max(max(abs(a[1] - a[0]), abs(a[2] - a[1])), abs(a[3] - a[2]))
    after = max(max(abs(a[5] - a[4]), abs(a[6] - a[5])), abs(a[7] - a[6]))
    of_before = of_steepest * (HALF if before == after else (ONE if before > after else ZERO))
    of_after = of_steepest - of_before
    b = steepest_back(a[1] - a[0], a[2] - a[1], a[3] - a[2], of_before)
    c = steepest_back(a[5] - a[4], a[6] - a[5], a[7] - a[6], of_after)
    half = HALF * of_step
    of_samples = (
        g[0] - b[0],
        g[1] + b[0] - b[1],
        g[2] + b[1] - b[2] + half,
        g[3] + b[2] - half - of_step,
        g[4] - c[0] + half + of_step,
        g[5] + c[0] - c[1] - half,
        g[6] + c[1] - c[2],
        g[7] + c[2],
    )
    of_parameters = (
        of_near * abs(step) / (step_limit * step_limit),
        of_plain * steepest / (slope_limit * slope_limit),
        apart[0] * move,
        apart[1] * move,
        apart[2] * move,
        apart[3] * move,
    )
    return of_samples, of_parameters


@inlined()
def add_sums(room: np.ndarray, at: int, values: Reals) -> None:
    room[SUMS + at] += values[0]
    room[SUMS + COLUMNS + at] += values[1]
    room[SUMS + 2 * COLUMNS + at] += values[2]
    room[SUMS + 3 * COLUMNS + at] += values[3]
    room[SUMS + 4 * COLUMNS + at] += values[4]
    room[SUMS + 5 * COLUMNS + at] += values[5]


@compiled(
    "void(float32[:,:,::1], float32[::1], float32[::1], float32[::1], float32[:,:,::1],"
    " float32[:,:,::1], float64[:,::1], intp, intp)"
)
def deblock_back(
    planes: np.ndarray,
    steps: np.ndarray,
    slopes: np.ndarray,
    ramp: np.ndarray,
    gradient: np.ndarray,
    of_planes: np.ndarray,
    sums: np.ndarray,
    first: int,
    end: int,
) -> None:
    """Planes first..end - 1: from the gradient of the deblocked planes to those of the planes and,
    for each of them, of step, slope and ramp."""
    count, height, width = planes.shape
    bands = height // SIDE + 1
    channels = count // len(steps)
    spread = ramp[0], ramp[1], ramp[2], ramp[3]
    room = np.zeros(ROOM, np.float32)
    for plane in range(first, end):
        step, slope = steps[plane // channels], slopes[plane // channels]
        room[SUMS:] = 0
        for band in range(bands):
            top = SIDE * band - REACH
            for left in range(-REACH, width, COLUMNS):
                load_tile(planes[plane], top, left, room, SAMPLES)
                load_tile(gradient[plane], top, left, room, GRADIENT)
                first_edge, end_edge = edges_of(left, width)
                deblock_rows(room, first_edge, end_edge, step, slope, spread)
                if 0 < band < bands - 1:
                    for j in range(COLUMNS):
                        a, g = eight(room, ACROSS + j, COLUMNS), eight(room, GRADIENT + j, COLUMNS)
                        of_a, of_p = deblocked_eight_back(a, g, step, slope, spread)
                        put_eight(room, GRADIENT + j, COLUMNS, of_a)
                        add_sums(room, j, of_p)
                for i in range(SIDE):
                    for n in range(first_edge, end_edge):
                        at = COLUMNS * i + SIDE * n
                        a, g = eight(room, SAMPLES + at, 1), eight(room, GRADIENT + at, 1)
                        of_a, of_p = deblocked_eight_back(a, g, step, slope, spread)
                        put_eight(room, GRADIENT + at, 1, of_a)
                        add_sums(room, n, of_p)
                store_tile(room, GRADIENT, of_planes[plane], top, left)
        for k in range(PARAMETERS):
            for j in range(COLUMNS):
                sums[plane, k] += room[SUMS + COLUMNS * k + j]


class _Deblocking(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, planes: Tensor, step: Tensor, slope: Tensor, ramp: Tensor) -> Tensor:
        planes = planes.contiguous()
        ctx.save_for_backward(planes, step, slope, ramp)
        deblocked = torch.empty_like(planes)
        bands = planes.shape[0] * planes.shape[1] * (planes.shape[2] // SIDE + 1)
        known = _arrays(planes, step, slope, ramp)
        in_strips(deblock, bands, *known, deblocked.flatten(0, 1).numpy(), least=4)
        return deblocked

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        planes = ctx.saved_tensors[0]
        batch, channels = planes.shape[:2]
        of_planes = torch.empty_like(planes)
        sums = torch.zeros(batch * channels, PARAMETERS, dtype=torch.float64, device="cpu")
        in_strips(
            deblock_back,
            batch * channels,
            *_arrays(*ctx.saved_tensors),
            gradient.contiguous().flatten(0, 1).numpy(),
            of_planes.flatten(0, 1).numpy(),
            sums.numpy(),
        )
        of_items = sums.unflatten(0, (batch, channels)).sum(1).float()
        return of_planes, of_items[:, 0], of_items[:, 1], of_items[:, 2:].sum(0)


def _arrays(planes: Tensor, step: Tensor, slope: Tensor, ramp: Tensor) -> tuple[np.ndarray, ...]:
    limits = (known.detach().contiguous().numpy() for known in (step, slope, ramp))
    return planes.detach().flatten(0, 1).numpy(), *limits


def deblocked(planes: Tensor, step: Tensor, slope: Tensor, ramp: Tensor) -> Tensor:
    """planes (B, C, H, W) of float32, H and W multiples of SIDE; step and slope: limits (B,);
    ramp (REACH,). Vertical edges first, then horizontal ones."""
    result: Tensor = _Deblocking.apply(planes, step, slope, ramp)
    return result
