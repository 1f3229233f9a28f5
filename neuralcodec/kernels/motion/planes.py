"""Luma as the motion search compares it: whole numbers, with the planes between samples."""

import numpy as np
import torch
from torch import Tensor

from neuralcodec.kernels.compiled import compiled, inlined
from neuralcodec.kernels.strips import in_strips

PEAK = 1023  # white
BORDER = 32  # samples repeated around a reference: windows further out see nothing new
CURRENT_BORDER = 8  # around the current picture: as far as the widest window reaches
PHASES = 4  # positions per sample
# The filter of motion compensation in 128ths, for each position. After the first of two passes
# samples are rounded to 32nds: all sums stay below 2**24, exact in float32.
FILTERS = (
    (0, 0, 128, 0, 0, 0),
    (4, -17, 114, 35, -9, 1),
    (3, -17, 78, 78, -17, 3),
    (1, -9, 35, 114, -17, 4),
)
FILTER_UNITS, MIDDLE_UNITS = 128, 32
_TAPS = len(FILTERS[0])
_BEFORE = 2  # taps to the left of a sample


@compiled("void(float32[:,:,::1], int64, int16[:,:,::1], int64, int64)")
def _round(picture, border, samples, first, end):  # type: ignore[no-untyped-def]
    """Rows first..end - 1 of all pictures of a batch, one after the other."""
    height, width = picture.shape[1:]
    for row in range(first, end):
        item, y = row // samples.shape[1], row % samples.shape[1] - border
        line, out = picture[item, min(max(y, 0), height - 1)], samples[item, y + border]
        inner = out[border : border + width]
        for x in range(width):
            value = line[x] * np.float32(PEAK)
            inner[x] = np.int16(np.rint(min(max(value, np.float32(0)), np.float32(PEAK))))
        out[:border] = inner[0]
        out[border + width :] = inner[width - 1]


@inlined(fastmath={"contract"})
def _filter_row(picture, y, border, line, weights, phases):  # type: ignore[no-untyped-def]
    """The row of a picture at all four positions between samples, in 32nds."""
    height, width = picture.shape
    samples = picture[min(max(y, 0), height - 1)]
    left = border + _BEFORE
    unit, half = np.float32(MIDDLE_UNITS / FILTER_UNITS), np.float32(0.5)
    line[:left] = np.float32(samples[0])
    for x in range(width):
        line[left + x] = np.float32(samples[x])
    line[left + width :] = np.float32(samples[width - 1])
    for phase in range(4):
        a, b, c = weights[phase, 0], weights[phase, 1], weights[phase, 2]
        d, e, f = weights[phase, 3], weights[phase, 4], weights[phase, 5]
        out = phases[phase]
        for x in range(len(out)):
            value = (
                a * line[x] + b * line[x + 1] + c * line[x + 2]
                + d * line[x + 3] + e * line[x + 4] + f * line[x + 5]
            )  # fmt: skip
            out[x] = np.floor(value * unit + half)


@compiled(
    "void(int16[:,:,::1], int64, float32[:,::1], int16[:,:,:,::1], int64, int64)",
    fastmath={"contract"},
)
def _fill_planes(samples, border, weights, planes, first, end):  # type: ignore[no-untyped-def]
    """Rows first..end - 1 of all planes of all items, one after the other."""
    rows, columns = planes.shape[2:]
    line = np.empty(columns + _TAPS - 1, np.float32)
    near = np.empty((_TAPS, 4, columns), np.float32)  # the filtered rows around, by row % 6
    unit, half = np.float32(1 / MIDDLE_UNITS), np.float32(0.5)
    small_unit = np.float32(1 / (MIDDLE_UNITS * FILTER_UNITS))
    for row in range(first, end):
        item, y = row // rows, row % rows
        is_begun = row > first and y > 0
        for tap in range(_TAPS - 1 if is_begun else 0, _TAPS):
            at = y - border + tap - _BEFORE
            _filter_row(samples[item], at, border, line, weights, near[(y + tap) % 6])
        for x in range(4):
            n0, n1, n2 = near[y % 6, x], near[(y + 1) % 6, x], near[(y + 2) % 6, x]
            n3, n4, n5 = near[(y + 3) % 6, x], near[(y + 4) % 6, x], near[(y + 5) % 6, x]
            out = planes[item, x, y]
            for i in range(columns):
                out[i] = np.int16(np.floor(n2[i] * unit + half))
            for phase in range(1, 4):
                a, b, c = weights[phase, 0], weights[phase, 1], weights[phase, 2]
                d, e, f = weights[phase, 3], weights[phase, 4], weights[phase, 5]
                out = planes[item, 4 * phase + x, y]
                for i in range(columns):
                    value = a * n0[i] + b * n1[i] + c * n2[i] + d * n3[i] + e * n4[i] + f * n5[i]
                    out[i] = np.int16(np.floor(value * small_unit + half))


def samples_of(picture: Tensor, border: int) -> Tensor:
    """`encoder.motion.motion_search.samples_of`: luma (B, 1, H, W) in [0, 1] -> (B, H + 2 border,
    W + 2 border), int16, 0..PEAK."""
    source = picture.detach().float()[:, 0].contiguous()
    batch, height, width = source.shape
    samples = torch.empty(
        batch, height + 2 * border, width + 2 * border, dtype=torch.int16, device="cpu"
    )
    rows = batch * samples.shape[1]
    in_strips(_round, rows, source.numpy(), border, samples.numpy(), least=64)
    return samples


def padded_planes(reference: Tensor) -> Tensor:
    """`encoder.motion.motion_search.padded_planes`."""
    samples = samples_of(reference, 0)
    batch, height, width = samples.shape
    planes = torch.empty(
        batch, PHASES**2, height + 2 * BORDER, width + 2 * BORDER, dtype=torch.int16, device="cpu"
    )
    weights = np.array(FILTERS, np.float32)
    rows = batch * planes.shape[2]
    in_strips(_fill_planes, rows, samples.numpy(), BORDER, weights, planes.numpy(), least=32)
    return planes


@compiled("void(int16[:,:,:,::1], int32[:,:,:,::1], int64, int16[:,:,::1], int64, int64)")
def _predict(planes, vectors, block, predicted, first, end):  # type: ignore[no-untyped-def]
    """Rows first..end - 1 of blocks of all items."""
    rows, columns = planes.shape[2:]
    height = vectors.shape[2]
    for number in range(first, end):
        item, row = number // height, number % height
        for column in range(vectors.shape[3]):
            x, y = np.int64(vectors[item, 0, row, column]), np.int64(vectors[item, 1, row, column])
            # Further out, windows see the same
            across = min(max(column * block + (x >> 2) + BORDER, 0), columns - block)
            down = min(max(row * block + (y >> 2) + BORDER, 0), rows - block)
            plane = planes[item, PHASES * (y & 3) + (x & 3)]
            for i in range(block):
                out = predicted[item, row * block + i, column * block : (column + 1) * block]
                line = plane[down + i, across : across + block]
                for j in range(block):
                    out[j] = line[j]


def predicted_blocks(planes: Tensor, vectors: Tensor, block: int) -> Tensor:
    """`encoder.motion.motion_search.predicted_blocks`."""
    batch, _, rows, columns = vectors.shape
    size = batch, rows * block, columns * block
    predicted = torch.empty(size, dtype=torch.int16, device="cpu")
    field = vectors.to(torch.int32).contiguous().numpy()
    in_strips(_predict, batch * rows, planes.numpy(), field, block, predicted.numpy(), least=4)
    return predicted
