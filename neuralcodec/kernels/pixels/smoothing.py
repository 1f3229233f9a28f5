"""The smoothing filter of planes; `model.smoothing` has the reference and says what it is for."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.kernels.compiled import compiled, inlined
from neuralcodec.kernels.strips import in_strips

REACH = 2  # samples that a neighbour is away at most
PAIRS, LEVELS = 6, 3  # of neighbours, and of limits
TOKEN = 8  # samples per side of a block that strengths are given for

# Tiles of a plane are filtered in one array whose parts are at constant distances: so the compiler
# knows that what it writes is not what it reads next.
ROWS, COLUMNS = 8, 80  # of a tile
PITCH = 96  # of its rows, with a margin of REACH samples on all sides
HERE = PITCH * REACH + REACH  # the first sample, from the corner of the margin
PART = PITCH * (ROWS + 2 * REACH)
SAMPLES, STRENGTHS, CORRECTIONS = 0, PART, PART * (1 + LEVELS)
STEPS, TOTALS, SLOPES = PART, PART * (1 + LEVELS), PART * (1 + 2 * LEVELS)
ROOM = PART * (2 + 2 * LEVELS)

HALF, ONE, TWO = np.float32(0.5), np.float32(1), np.float32(2)
LARGEST = np.float32(80)  # whose exponential is finite
LOG2_E = np.float32(1.442695041)
LN_2, LN_2_REST = np.float32(0.693359375), np.float32(-2.12194440e-4)

_VALUES = f"UniTuple(float32, {2 * PAIRS})"
_WEIGHTS = f"UniTuple(float32, {PAIRS})"

Real = Any  # a float32
Reals = tuple[Real, ...]


@inlined(fastmath={"contract"})
def strength(x: Real) -> Real:
    """2 * sigmoid(x). The exponential is that of a remainder, by its series, times a power of 2:
    loops over it become vector code, which those over a library's function do not."""
    x = min(max(-x, -LARGEST), LARGEST)
    power = np.floor(x * LOG2_E + HALF)
    rest = (x - power * LN_2) - power * LN_2_REST
    series = ONE + rest / np.float32(7)
    series = ONE + rest * series * np.float32(1 / 6)
    series = ONE + rest * series * np.float32(1 / 5)
    series = ONE + rest * series * np.float32(1 / 4)
    series = ONE + rest * series * np.float32(1 / 3)
    series = ONE + rest * series * HALF
    series = ONE + rest * series
    scale = np.int32((np.int32(power) + np.int32(127)) << np.int32(23)).view(np.float32)
    return TWO / (ONE + scale * series)


@inlined()
def neighbours(room: np.ndarray, at: int) -> Reals:
    """Of a sample; at: the corner of the square of its neighbours. The second of each pair is
    opposite the first."""
    return (
        room[at + HERE + 1],
        room[at + HERE - 1],
        room[at + HERE + 2],
        room[at + HERE - 2],
        room[at + HERE + PITCH - 1],
        room[at + HERE - PITCH + 1],
        room[at + HERE + PITCH],
        room[at + HERE - PITCH],
        room[at + HERE + PITCH + 1],
        room[at + HERE - PITCH - 1],
        room[at + HERE + 2 * PITCH],
        room[at + HERE - 2 * PITCH],
    )


@inlined()
def clipped(one: Real, opposite: Real, here: Real, limit: Real) -> Real:
    one, opposite = one - here, opposite - here
    return min(max(one, -limit), limit) + min(max(opposite, -limit), limit)


@inlined(fastmath={"contract"})
def clipped_total(around: Reals, here: Real, weights: Reals, limit: Real) -> Real:
    return (
        weights[0] * clipped(around[0], around[1], here, limit)
        + weights[1] * clipped(around[2], around[3], here, limit)
        + weights[2] * clipped(around[4], around[5], here, limit)
        + weights[3] * clipped(around[6], around[7], here, limit)
        + weights[4] * clipped(around[8], around[9], here, limit)
        + weights[5] * clipped(around[10], around[11], here, limit)
    )


@inlined()
def weights_of(weights: np.ndarray, level: int) -> Reals:
    return (
        weights[level],
        weights[LEVELS + level],
        weights[2 * LEVELS + level],
        weights[3 * LEVELS + level],
        weights[4 * LEVELS + level],
        weights[5 * LEVELS + level],
    )


@inlined()
def load_tile(
    plane: np.ndarray,
    top: int,
    left: int,
    scale: Real,
    outside: Real,
    room: np.ndarray,
    part: int,
) -> None:
    """Scaled samples of a tile that begins there, and its margin. outside: 1 where the border of
    the plane is repeated, 0 where zeros are."""
    height, width = plane.shape
    for i in range(ROWS + 2 * REACH):
        y = top + i - REACH
        row = plane[min(max(y, 0), height - 1)]
        factor = scale if 0 <= y < height else scale * outside
        line = room[part + PITCH * i : part + PITCH * i + COLUMNS + 2 * REACH]
        before = min(max(REACH - left, 0), len(line))
        after = max(min(width + REACH - left, len(line)), before)
        for j in range(before):
            line[j] = factor * outside * row[0]
        seen = row[left - REACH + before : left - REACH + after]
        inner = line[before:after]
        for j in range(len(inner)):
            inner[j] = factor * seen[j]
        for j in range(after, len(line)):
            line[j] = factor * outside * row[width - 1]


@compiled(
    "void(float32[:,:,::1], float32[::1], float32[:,::1], float32[::1],"
    " float32[:,:,:,::1], float32[:,:,::1], intp, intp)",
    fastmath={"contract"},
)
def smooth(
    planes: np.ndarray,
    units: np.ndarray,
    weights: np.ndarray,
    limits: np.ndarray,
    logits: np.ndarray,
    smoothed: np.ndarray,
    first: int,
    end: int,
) -> None:
    """Rows of tiles first..end - 1, counted over all planes. logits (B, H/8, W/8, 192) of
    strengths, or none at all: 1 everywhere."""
    count, height, width = planes.shape
    rows = height // ROWS
    channels = count // len(units)
    low, middle, high = limits[0], limits[1], limits[2]
    room = np.ones(ROOM, np.float32)
    for number in range(first, end):
        plane, row = number // rows, number % rows
        item = plane // channels
        unit = units[item]
        of_low = weights_of(weights[item], 0)
        of_middle = weights_of(weights[item], 1)
        of_high = weights_of(weights[item], 2)
        for left in range(0, width, COLUMNS):
            used = min(COLUMNS, width - left)
            load_tile(
                planes[plane], ROWS * row, left, np.float32(1) / unit, np.float32(1), room, SAMPLES
            )
            if len(logits):
                for token in range(used // TOKEN):
                    given = logits[item, row, left // TOKEN + token]
                    for level in range(LEVELS):
                        for i in range(ROWS):
                            at = STRENGTHS + PART * level + PITCH * i + TOKEN * token
                            for j in range(TOKEN):
                                room[at + j] = given[TOKEN * ROWS * level + TOKEN * i + j]
                for level in range(LEVELS):
                    for i in range(ROWS):
                        for j in range(COLUMNS):
                            at = STRENGTHS + PART * level + PITCH * i + j
                            room[at] = strength(room[at])
            for i in range(ROWS):
                for j in range(COLUMNS):
                    at = PITCH * i + j
                    around, here = neighbours(room, at), room[HERE + at]
                    room[CORRECTIONS + at] = (
                        room[STRENGTHS + at] * clipped_total(around, here, of_low, low)
                        + room[STRENGTHS + PART + at]
                        * clipped_total(around, here, of_middle, middle)
                        + room[STRENGTHS + 2 * PART + at]
                        * clipped_total(around, here, of_high, high)
                    )
            for i in range(ROWS):
                source = planes[plane, ROWS * row + i, left : left + used]
                result = smoothed[plane, ROWS * row + i, left : left + used]
                correction = room[CORRECTIONS + PITCH * i : CORRECTIONS + PITCH * i + used]
                for j in range(used):
                    result[j] = source[j] + unit * correction[j]


@inlined()
def passed(
    one: Real, opposite: Real, here: Real, limit: Real, one_step: Real, opposite_step: Real
) -> Real:
    """The steps of the differences that are not clipped: those at a limit pass as well."""
    total = one_step if abs(one - here) <= limit else np.float32(0)
    return total + (opposite_step if abs(opposite - here) <= limit else np.float32(0))


@inlined(fastmath={"contract"})
def passed_total(
    around: Reals, here: Real, steps: Reals, step: Real, weights: Reals, limit: Real
) -> Real:
    """What a sample takes part in, as a neighbour and with its own neighbours."""
    a, s = around, steps
    return (
        weights[0] * passed(a[0], a[1], here, limit, s[0] - step, s[1] - step)
        + weights[1] * passed(a[2], a[3], here, limit, s[2] - step, s[3] - step)
        + weights[2] * passed(a[4], a[5], here, limit, s[4] - step, s[5] - step)
        + weights[3] * passed(a[6], a[7], here, limit, s[6] - step, s[7] - step)
        + weights[4] * passed(a[8], a[9], here, limit, s[8] - step, s[9] - step)
        + weights[5] * passed(a[10], a[11], here, limit, s[10] - step, s[11] - step)
    )


@inlined(fastmath={"contract"})
def turn_back(room: np.ndarray, weights: np.ndarray, limits: np.ndarray) -> None:
    """Of a tile, from SAMPLES and STEPS: SLOPES and, of each level, TOTALS."""
    of_low, of_middle, of_high = (
        weights_of(weights, 0),
        weights_of(weights, 1),
        weights_of(weights, 2),
    )
    low, middle, high = limits[0], limits[1], limits[2]
    for i in range(ROWS):
        for j in range(COLUMNS):
            at = PITCH * i + j
            around, here = neighbours(room, at), room[HERE + at]
            room[TOTALS + at] = clipped_total(around, here, of_low, low)
            room[TOTALS + PART + at] = clipped_total(around, here, of_middle, middle)
            room[TOTALS + 2 * PART + at] = clipped_total(around, here, of_high, high)
            first = neighbours(room, STEPS + at)
            second = neighbours(room, STEPS + PART + at)
            third = neighbours(room, STEPS + 2 * PART + at)
            step = STEPS + HERE + at
            room[SLOPES + at] = (
                passed_total(around, here, first, room[step], of_low, low)
                + passed_total(around, here, second, room[step + PART], of_middle, middle)
                + passed_total(around, here, third, room[step + 2 * PART], of_high, high)
            )


@inlined(fastmath={"reassoc", "contract"})
def clipped_sum(room: np.ndarray, away: int, limit: Real, steps: int) -> Real:
    """Over a tile: the clipped differences of a pair of neighbours, times the steps."""
    here, step = room[HERE:], room[steps + HERE :]
    one, opposite = room[HERE + away :], room[HERE - away :]
    total = np.float32(0)
    for i in range(ROWS):
        for j in range(COLUMNS):
            at = PITCH * i + j
            total += step[at] * clipped(one[at], opposite[at], here[at], limit)
    return total


@inlined(fastmath={"reassoc", "contract"})
def unit_sum(room: np.ndarray) -> Real:
    """Over a tile: the gradient of the unit, times the unit."""
    total = np.float32(0)
    for i in range(ROWS):
        for j in range(COLUMNS):
            at = PITCH * i + j
            step = STEPS + HERE + at
            total += (
                room[step] * room[TOTALS + at]
                + room[step + PART] * room[TOTALS + PART + at]
                + room[step + 2 * PART] * room[TOTALS + 2 * PART + at]
                - room[SLOPES + at] * room[HERE + at]
            )
    return total


@compiled(
    "void(float32[:,:,::1], float32[:,:,:,::1], float32[:,::1], float32[::1], float32[:,:,::1],"
    " float32[:,:,:,::1], float64[::1], float64[:,::1], intp, intp)"
)
def smooth_back(
    samples: np.ndarray,
    steps: np.ndarray,
    weights: np.ndarray,
    limits: np.ndarray,
    slopes: np.ndarray,
    totals: np.ndarray,
    of_units: np.ndarray,
    of_weights: np.ndarray,
    first: int,
    end: int,
) -> None:
    """Planes first..end - 1, of whole tiles and a margin of REACH samples.

    samples: in units; steps, for each level: their strength, times the gradient, times the unit.
    slopes become the gradient of the samples, totals that of each strength over gradient and unit;
    of_units and of_weights, of each plane, are zero before."""
    channels = len(samples) // len(weights)
    room = np.zeros(ROOM, np.float32)
    aways = (1, 2, PITCH - 1, PITCH, PITCH + 1, 2 * PITCH)
    for plane in range(first, end):
        for top in range(0, slopes.shape[1], ROWS):
            for left in range(0, slopes.shape[2], COLUMNS):
                for i in range(ROWS + 2 * REACH):
                    for j in range(COLUMNS + 2 * REACH):
                        room[SAMPLES + PITCH * i + j] = samples[plane, top + i, left + j]
                for level in range(LEVELS):
                    for i in range(ROWS + 2 * REACH):
                        at = STEPS + PART * level + PITCH * i
                        for j in range(COLUMNS + 2 * REACH):
                            room[at + j] = steps[plane, level, top + i, left + j]
                turn_back(room, weights[plane // channels], limits)
                of_units[plane] += unit_sum(room)
                for pair in range(PAIRS):
                    for level in range(LEVELS):
                        of_weights[plane, LEVELS * pair + level] += clipped_sum(
                            room, aways[pair], limits[level], STEPS + PART * level
                        )
                for i in range(ROWS):
                    for j in range(COLUMNS):
                        at = PITCH * i + j
                        slopes[plane, top + i, left + j] = room[SLOPES + at]
                        for level in range(LEVELS):
                            total = room[TOTALS + PART * level + at]
                            totals[plane, level, top + i, left + j] = total


class _Smoothing(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, planes: Tensor, unit: Tensor, weights: Tensor, limits: np.ndarray, logits: Tensor
    ) -> Tensor:
        planes, logits = planes.contiguous(), logits.contiguous()
        ctx.save_for_backward(planes, unit, weights, logits)
        ctx.limits = limits
        smoothed = torch.empty_like(planes)
        known = _arrays(planes, unit, weights, limits, logits)
        rows = known[0].shape[0] * (planes.shape[2] // ROWS)
        in_strips(smooth, rows, *known, smoothed.flatten(0, 1).numpy(), least=2)
        return smoothed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        planes, unit, weights, logits = ctx.saved_tensors
        batch, channels, height, width = planes.shape
        per_item = unit.view(-1, 1, 1, 1)
        if len(logits):
            maps = F.pixel_shuffle(logits.permute(0, 3, 1, 2), TOKEN)
            strengths = 2 * maps.contiguous().sigmoid()
        else:
            strengths = torch.ones(1, LEVELS, 1, 1, dtype=torch.float32, device="cpu")
        pull = gradient * per_item
        steps = (pull[:, :, None] * strengths[:, None]).flatten(0, 1)
        # Neighbours beyond the border have a share too, which the border is given.
        rows, columns = height + 2 * REACH, width + 2 * REACH
        below, beyond = -rows % ROWS, -columns % COLUMNS
        margin = 2 * REACH, 2 * REACH + beyond, 2 * REACH, 2 * REACH + below
        slopes = torch.empty(
            batch * channels, rows + below, columns + beyond, dtype=torch.float32, device="cpu"
        )
        totals = torch.empty(
            batch * channels,
            LEVELS,
            rows + below,
            columns + beyond,
            dtype=torch.float32,
            device="cpu",
        )
        of_units = torch.zeros(batch * channels, dtype=torch.float64, device="cpu")
        of_weights = torch.zeros(
            batch * channels, weights.shape[1], dtype=torch.float64, device="cpu"
        )
        in_strips(
            smooth_back,
            batch * channels,
            F.pad(planes / per_item, margin, mode="replicate").flatten(0, 1).contiguous().numpy(),
            F.pad(steps, margin).contiguous().numpy(),
            weights.numpy(),
            ctx.limits,
            slopes.numpy(),
            totals.numpy(),
            of_units.numpy(),
            of_weights.numpy(),
        )
        inner = slice(REACH, REACH + height), slice(REACH, REACH + width)
        for axis, length in ((1, height), (2, width)):
            for border, outside in ((REACH, 0), (REACH + length - 1, REACH + length)):
                outer = slopes.narrow(axis, outside, REACH).sum(axis)
                slopes.select(axis, border).add_(outer)
        of_planes = gradient + slopes[:, *inner].reshape(planes.shape) / per_item
        of_logits = None
        if len(logits):
            slope = pull * totals[:, :, *inner] * (strengths - strengths.square() / 2)
            of_logits = F.pixel_unshuffle(slope, TOKEN).permute(0, 2, 3, 1)
        of_items = of_units.unflatten(0, (batch, channels)).sum(1).float() / unit
        return (
            of_planes,
            of_items,
            of_weights.unflatten(0, (batch, channels)).sum(1).float(),
            None,
            of_logits,
        )


def _arrays(
    planes: Tensor, unit: Tensor, weights: Tensor, limits: np.ndarray, logits: Tensor
) -> tuple[np.ndarray, ...]:
    return (
        planes.detach().flatten(0, 1).numpy(),
        unit.detach().numpy(),
        weights.detach().numpy(),
        limits,
        logits.detach().numpy(),
    )


def smoothed(
    planes: Tensor, unit: Tensor, weights: Tensor, limits: np.ndarray, logits: Tensor | None
) -> Tensor:
    """planes (B, C, H, W) of float32, H and W multiples of 8; unit (B,); weights (B, 18) of each
    limit of each pair; limits (3,); logits (B, 192, H/8, W/8) of half the strength of each limit
    for each sample of a block, the planes having one channel; or None: the strength is 1."""
    tokens = planes.new_empty(0, 0, 0, 0) if logits is None else logits.permute(0, 2, 3, 1)
    result: Tensor = _Smoothing.apply(
        planes, unit.contiguous(), weights.contiguous(), limits, tokens
    )
    return result
