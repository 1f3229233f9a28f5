"""Feature maps sampled where vectors point, bilinearly; `model.motion_compensation` has the
reference."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from neuralcodec.kernels.compiled import compiled, inlined
from neuralcodec.kernels.strips import in_strips

ONE = np.float32(1)


@inlined()
def _place(at: Any, vector: Any, unit: Any, size: Any) -> Any:
    """The position before, the one after and the latter's share, within 0..size - 1."""
    place = min(max(np.float32(at) + vector * unit, np.float32(0)), np.float32(size - 1))
    low = np.int64(place)
    return low, min(low + 1, size - 1), place - np.float32(low)


@compiled(
    "void(float32[:,:,:,::1], float32[:,:,:,::1], float32, float32[:,:,:,::1], int64, int64)",
    fastmath={"contract"},
)
def _sample(maps: Any, vectors: Any, unit: Any, out: Any, first: Any, end: Any) -> None:
    """Rows of all items, one after the other. maps, out (B, h, w, C); vectors (B, 2, h, w), unit:
    what one of theirs is in positions."""
    height, width, channels = maps.shape[1:]
    for number in range(first, end):
        item, row = number // height, number % height
        for column in range(width):
            top, bottom, down = _place(row, vectors[item, 1, row, column], unit, height)
            left, right, across = _place(column, vectors[item, 0, row, column], unit, width)
            a, b = maps[item, top, left], maps[item, top, right]
            c, d = maps[item, bottom, left], maps[item, bottom, right]
            result = out[item, row, column]
            of_a, of_b = (ONE - down) * (ONE - across), (ONE - down) * across
            of_c, of_d = down * (ONE - across), down * across
            for n in range(channels):
                result[n] = a[n] * of_a + b[n] * of_b + c[n] * of_c + d[n] * of_d


@compiled(
    "void(float32[:,:,:,::1], float32[:,:,:,::1], float32, float32[:,:,:,::1], int64, int64)",
    fastmath={"contract"},
)
def _sample_back(gradient: Any, vectors: Any, unit: Any, out: Any, first: Any, end: Any) -> None:
    """The gradient of maps, for items first..end - 1; out: zeros."""
    height, width, channels = gradient.shape[1:]
    for item in range(first, end):
        for row in range(height):
            for column in range(width):
                top, bottom, down = _place(row, vectors[item, 1, row, column], unit, height)
                left, right, across = _place(column, vectors[item, 0, row, column], unit, width)
                above = gradient[item, row, column]
                for corner in range(4):
                    is_low, is_right = corner >= 2, corner % 2 == 1
                    share = (down if is_low else ONE - down) * (
                        across if is_right else ONE - across
                    )
                    target = out[item, bottom if is_low else top, right if is_right else left]
                    for n in range(channels):
                        target[n] += above[n] * share


class _Sampled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, vectors: Tensor, unit: float) -> Tensor:
        ctx.vectors, ctx.unit = vectors.detach().contiguous().numpy(), np.float32(unit)
        known = maps.detach().permute(0, 2, 3, 1).contiguous()
        out = torch.empty_like(known)
        rows = known.shape[0] * known.shape[1]
        in_strips(_sample, rows, known.numpy(), ctx.vectors, ctx.unit, out.numpy(), least=4)
        return out.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        above = gradient.permute(0, 2, 3, 1).contiguous()
        out = torch.zeros_like(above)
        in_strips(_sample_back, len(above), above.numpy(), ctx.vectors, ctx.unit, out.numpy())
        return out.permute(0, 3, 1, 2), None, None


def sample_features(maps: Tensor, vectors: Tensor, unit: float) -> Tensor:
    """maps (B, C, h, w) by vectors (B, 2, h, w), float32; unit: what one of theirs is in positions.
    In channels-last layout."""
    sampled: Tensor = _Sampled.apply(maps, vectors, unit)
    return sampled
