"""The layers of `neuralcodec.model.exact` in integers: the same numbers, a quarter of the memory.

Activations and weights are the k of k * 2**-a, as int8, sums are int32. Maps are (positions,
columns) of one wide array, in which a layer finds its inputs side by side and leaves its outputs
for the next one. Rounding is to the nearest integer, halves to the even one, as in floats.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.kernels.compiled import compiled

WEIGHT_UNITS = 64  # weights are multiples of 2**-6
ACTIVATION_UNITS = 16  # activations are multiples of 2**-4
LIMIT = 127  # of |k| for weights and activations
INDEX_GAIN = 8  # an output of 1.0 moves an index by 8 steps
INDEX_CENTRE = 16
SCALES = 64  # entries of the scale alphabet

ACTIVATION_SHIFT = 6  # sums to activations: 2**-10 to 2**-4
INDEX_SHIFT = 7  # sums to indices
assert 1 << ACTIVATION_SHIFT == WEIGHT_UNITS
assert INDEX_GAIN << INDEX_SHIFT == WEIGHT_UNITS * ACTIVATION_UNITS


@dataclass(frozen=True)
class IntegerLayer:
    """weight: int8 (outputs, inputs), of a depthwise 3x3 layer (9, channels); bias int32, in units
    of the sums."""

    weight: Tensor
    bias: np.ndarray

    def with_inputs(self, sizes: list[int], order: list[int]) -> "IntegerLayer":
        """The same layer for inputs that come in another order: parts of these sizes."""
        parts = self.weight.split(sizes, 1)
        return IntegerLayer(torch.cat([parts[i] for i in order], 1), self.bias)


def sums(x: Tensor, layer: IntegerLayer) -> np.ndarray:
    """Matrix products, without bias: x int8 (n, inputs), rows any distance apart, to int32
    (n, outputs). Reference: `F.linear` of what these integers stand for."""
    if _has_fast_integers():
        products = torch._int_mm(x, layer.weight.T)
    else:
        products = F.linear(x.float(), layer.weight.float()).to(torch.int32)
    array: np.ndarray = products.numpy()
    return array


@cache
def _has_fast_integers() -> bool:
    """Whether PyTorch multiplies int8 to int32 here, exactly and faster than floats: where the CPU
    has instructions for it. It does so since 2.6, but does not say that it always will."""
    x = torch.full((128, 256), LIMIT, dtype=torch.int8, device="cpu")
    weight = torch.full((64, 256), -LIMIT, dtype=torch.int8, device="cpu")
    wide, wide_weight = x.float(), weight.float()
    try:
        products = torch._int_mm(x, weight.T)
    except (AttributeError, RuntimeError):
        return False
    if products.dtype != torch.int32 or not bool((products == -LIMIT * LIMIT * 256).all()):
        return False
    in_floats = _least_time(lambda: F.linear(wide, wide_weight))
    return _least_time(lambda: torch._int_mm(x, weight.T)) < in_floats


def _least_time(work: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


@compiled("void(int32[:,::1], int32[::1], int8[:,::1], int64)")
def rectify_sums(sums: np.ndarray, bias: np.ndarray, out: np.ndarray, column: int) -> None:
    """out[:, column...] = activations. Reference: `exact.rectify`."""
    rows, columns = sums.shape
    for i in range(rows):
        source, target = sums[i], out[i, column : column + columns]
        for j in range(columns):
            s = source[j] + bias[j]
            units = (s + np.int32(31) + ((s >> np.int32(6)) & np.int32(1))) >> np.int32(6)
            target[j] = min(max(units, np.int32(0)), np.int32(LIMIT))


@compiled("void(int32[:,::1], int32[::1], uint8[:,::1])")
def index_sums(sums: np.ndarray, bias: np.ndarray, out: np.ndarray) -> None:
    """Reference: `exact.to_index`."""
    rows, columns = sums.shape
    for i in range(rows):
        source, target = sums[i], out[i]
        for j in range(columns):
            s = source[j] + bias[j]
            units = (s + np.int32(63) + ((s >> np.int32(7)) & np.int32(1))) >> np.int32(7)
            units += np.int32(INDEX_CENTRE)
            target[j] = min(max(units, np.int32(0)), np.int32(SCALES - 1))


@compiled("void(int8[:,::1], int64, int8[:,::1], int32[::1], int64, int64, int8[:,::1], int64)")
def look_around(
    maps: np.ndarray,
    column: int,
    weight: np.ndarray,
    bias: np.ndarray,
    height: int,
    width: int,
    out: np.ndarray,
    out_column: int,
) -> None:
    """Depthwise 3x3 of the channels from `column` on, rectified. maps has a row of zeros after its
    last position, for what is outside. Reference: `exact.ExactDepthwise`, then `exact.rectify`."""
    channels = weight.shape[1]
    outside = height * width
    rows = np.empty(9, np.int64)
    last = column + channels
    for y in range(height):
        for x in range(width):
            for k in range(9):
                r, c = y + k // 3 - 1, x + k % 3 - 1
                is_inside = 0 <= r < height and 0 <= c < width
                rows[k] = r * width + c if is_inside else outside
            a0 = maps[rows[0], column:last]
            a1 = maps[rows[1], column:last]
            a2 = maps[rows[2], column:last]
            b0 = maps[rows[3], column:last]
            b1 = maps[rows[4], column:last]
            b2 = maps[rows[5], column:last]
            c0 = maps[rows[6], column:last]
            c1 = maps[rows[7], column:last]
            c2 = maps[rows[8], column:last]
            target = out[y * width + x, out_column : out_column + channels]
            for j in range(channels):
                s = bias[j]
                s = np.int32(s + np.int16(a0[j]) * np.int16(weight[0, j]))
                s = np.int32(s + np.int16(a1[j]) * np.int16(weight[1, j]))
                s = np.int32(s + np.int16(a2[j]) * np.int16(weight[2, j]))
                s = np.int32(s + np.int16(b0[j]) * np.int16(weight[3, j]))
                s = np.int32(s + np.int16(b1[j]) * np.int16(weight[4, j]))
                s = np.int32(s + np.int16(b2[j]) * np.int16(weight[5, j]))
                s = np.int32(s + np.int16(c0[j]) * np.int16(weight[6, j]))
                s = np.int32(s + np.int16(c1[j]) * np.int16(weight[7, j]))
                s = np.int32(s + np.int16(c2[j]) * np.int16(weight[8, j]))
                units = (s + np.int32(31) + ((s >> np.int32(6)) & np.int32(1))) >> np.int32(6)
                target[j] = min(max(units, np.int32(0)), np.int32(LIMIT))
