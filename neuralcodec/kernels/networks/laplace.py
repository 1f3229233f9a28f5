"""Code lengths of values under Laplace distributions, and their slopes, in one pass.

The torch reference is `laplace_bits` of `neuralcodec.model.code_length`, without this file.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neuralcodec.kernels.compiled import compiled
from neuralcodec.kernels.floats import exponential, logarithm

ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)
PER_NAT = np.float32(1 / math.log(2))  # bits
LEAST = np.float32(1e-9)  # probability


@compiled(
    "void(float32[::1], float32[::1], float32, float32, float32[::1], float32[::1], float32[::1])",
    fastmath={"contract"},
)
def _bits_and_slopes(
    values: Any, indices: Any, lowest: Any, step: Any, bits: Any, by_value: Any, by_index: Any
) -> None:
    """lowest, step: of the logarithm of the scale, at index 0 and from index to index."""
    for i in range(values.size):
        value = values[i]
        size = abs(value)
        rate = exponential(-(lowest + step * indices[i]))  # one over the scale
        within = min(size, HALF) * rate
        edge = exponential(-HALF * rate)
        rising, falling = exponential(within), exponential(-within)
        cosine, sine = HALF * (rising + falling), HALF * (rising - falling)
        inner = ONE - edge * cosine
        beyond = max(size - HALF, ZERO)
        whole = edge * edge  # what is left of a density over one unit
        outer = exponential(-beyond * rate) * HALF * (ONE - whole)
        is_inner = size < HALF
        chance = inner if is_inner else outer
        held = max(chance, LEAST)
        bits[i] = -PER_NAT * logarithm(held)
        # d ln(chance) by |value|, and by ln(scale)
        along = -edge * sine * rate / held if is_inner else -rate
        widening = (
            -edge * rate * (HALF * cosine - size * sine) / held
            if is_inner
            else rate * (beyond - whole / (ONE - whole))
        )
        counts = PER_NAT if chance > LEAST else ZERO
        sign = ONE if value > ZERO else (-ONE if value < ZERO else ZERO)
        by_value[i] = -counts * along * sign
        by_index[i] = -counts * widening * step


class LaplaceBits(torch.autograd.Function):
    """value, index: of one shape; lowest, step: logarithm of the scale at index 0, and between
    indices. Gives bits (float32)."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, index: Tensor, lowest: float, step: float) -> Tensor:
        value, index = value.float().contiguous(), index.float().contiguous()
        bits, by_value, by_index = (torch.empty_like(value) for _ in range(3))
        arrays = [part.detach().view(-1).numpy() for part in (value, index)]
        results = [part.view(-1).numpy() for part in (bits, by_value, by_index)]
        _bits_and_slopes(*arrays, np.float32(lowest), np.float32(step), *results)
        ctx.save_for_backward(by_value, by_index)
        return bits

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        by_value, by_index = ctx.saved_tensors
        of_value = gradient * by_value if ctx.needs_input_grad[0] else None
        of_index = gradient * by_index if ctx.needs_input_grad[1] else None
        return of_value, of_index, None, None
