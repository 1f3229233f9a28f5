"""A block of the float networks while it learns on a CPU: matrix products by PyTorch, and what is
between them by loops that pass over it once.

The torch reference is `neuralcodec.model.layers.Block` without this file. What differs is the order
of a few sums, and that nothing is rounded to bfloat16 within a gate.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.kernels.compiled import compiled
from neuralcodec.kernels.floats import exponential, from_bfloat16, to_bfloat16

ONE = np.float32(1)


@compiled("void(float32[:,::1], float32[:,::1])", fastmath={"contract"})
def _gate32(seen: Any, out: Any) -> None:
    channels = out.shape[1]
    for p in range(out.shape[0]):
        row, result = seen[p], out[p]
        for c in range(channels):
            value = row[c]
            result[c] = value / (ONE + exponential(-value)) * row[channels + c]


@compiled("void(uint16[:,::1], uint16[:,::1])", fastmath={"contract"})
def _gate16(seen: Any, out: Any) -> None:
    channels = out.shape[1]
    for p in range(out.shape[0]):
        row, result = seen[p], out[p]
        for c in range(channels):
            value, gate = from_bfloat16(row[c]), from_bfloat16(row[channels + c])
            result[c] = to_bfloat16(value / (ONE + exponential(-value)) * gate)


@compiled("void(float32[:,::1], float32[:,::1], float32[:,::1])", fastmath={"contract"})
def _gate_slopes32(seen: Any, gradient: Any, out: Any) -> None:
    channels = gradient.shape[1]
    for p in range(gradient.shape[0]):
        values, gates, above = seen[p, :channels], seen[p, channels:], gradient[p]
        of_values, of_gates = out[p, :channels], out[p, channels:]
        for c in range(channels):
            value = values[c]
            share = ONE / (ONE + exponential(-value))
            of_values[c] = above[c] * gates[c] * share * (ONE + value * (ONE - share))
            of_gates[c] = above[c] * value * share


@compiled("void(uint16[:,::1], uint16[:,::1], uint16[:,::1])", fastmath={"contract"})
def _gate_slopes16(seen: Any, gradient: Any, out: Any) -> None:
    channels = gradient.shape[1]
    for p in range(gradient.shape[0]):
        row, above, result = seen[p], gradient[p], out[p]
        for c in range(channels):
            value, gate = from_bfloat16(row[c]), from_bfloat16(row[channels + c])
            here = from_bfloat16(above[c])
            share = ONE / (ONE + exponential(-value))
            result[c] = to_bfloat16(here * gate * share * (ONE + value * (ONE - share)))
            result[channels + c] = to_bfloat16(here * value * share)


@compiled("void(float32[::1], float32[::1], float32, float32[::1])")
def _passed32(raw: Any, gradient: Any, limit: Any, out: Any) -> None:
    for i in range(raw.size):
        x, g = raw[i], gradient[i]
        passes = ((x >= -limit) | (g < 0)) & ((x <= limit) | (g > 0))
        out[i] = g if passes else np.float32(0)


@compiled("void(uint16[::1], uint16[::1], float32, uint16[::1])")
def _passed16(raw: Any, gradient: Any, limit: Any, out: Any) -> None:
    for i in range(raw.size):
        x, g = from_bfloat16(raw[i]), from_bfloat16(gradient[i])
        passes = ((x >= -limit) | (g < 0)) & ((x <= limit) | (g > 0))
        out[i] = gradient[i] if passes else np.uint16(0)


class GatedBlock(torch.autograd.Function):
    """x (B, C, h, w), then weight and bias of `Block`'s five layers in order, the slope of its
    leaky rectifier and its bound: what the block gives, in channels-last layout. In bfloat16 under
    autocast, else as x is."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *rest: Any) -> Tensor:
        *parameters, slope, limit = rest
        precision = torch.bfloat16 if torch.is_autocast_enabled("cpu") else x.dtype
        with torch.autocast("cpu", enabled=False):
            weights = [_flat(parameter.to(precision)) for parameter in parameters]
            mix_in, mix_in_bias, depthwise, depthwise_bias, *others = weights
            mix_out, mix_out_bias, gate_in, gate_in_bias, gate_out, gate_out_bias = others
            seen = _rows(x.to(precision))
            mixed = F.leaky_relu_(F.linear(seen, mix_in, mix_in_bias), slope)
            around = _rows(
                F.conv2d(_maps(mixed, x), depthwise, depthwise_bias, padding=1, groups=x.shape[1])
            )
            middle = F.linear(around, mix_out, mix_out_bias).add_(seen)
            pair = F.linear(middle, gate_in, gate_in_bias)
            gated = torch.empty_like(middle)
            (_gate32 if precision == torch.float32 else _gate16)(_numpy(pair), _numpy(gated))
            raw = F.linear(gated, gate_out, gate_out_bias).add_(middle)
            ctx.slope, ctx.limit = slope, limit
            ctx.save_for_backward(
                seen, mixed, around, middle, pair, gated, raw,
                mix_in, depthwise, mix_out, gate_in, gate_out,
            )  # fmt: skip
            ctx.like, ctx.types = x, [parameter.dtype for parameter in parameters]
            return _maps(raw.clamp(-limit, limit), x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        seen, mixed, around, middle, pair, gated, raw, *weights = ctx.saved_tensors
        mix_in, depthwise, mix_out, gate_in, gate_out = weights
        wide = raw.dtype == torch.float32
        above = _rows(gradient.to(raw.dtype))
        of_raw = torch.empty_like(raw)
        (_passed32 if wide else _passed16)(
            _numpy(raw).ravel(),
            _numpy(above).ravel(),
            np.float32(ctx.limit),
            _numpy(of_raw).ravel(),
        )
        of_pair = torch.empty_like(pair)
        (_gate_slopes32 if wide else _gate_slopes16)(
            _numpy(pair), _numpy(of_raw.mm(gate_out)), _numpy(of_pair)
        )
        of_middle = torch.addmm(of_raw, of_pair, gate_in)
        of_mixed, of_depthwise, of_depthwise_bias = torch.ops.aten.convolution_backward(
            _maps(of_middle.mm(mix_out), ctx.like), _maps(mixed, ctx.like), depthwise,
            [depthwise.shape[0]], [1, 1], [1, 1], [1, 1], False, [0, 0], depthwise.shape[0],
            [True, True, True],
        )  # fmt: skip
        of_inner = torch.ops.aten.leaky_relu_backward(_rows(of_mixed), mixed, ctx.slope, True)
        of_x = torch.addmm(of_middle, of_inner, mix_in)
        found = [
            *_of_layer(of_inner, seen),
            of_depthwise.flatten().view_as(depthwise), of_depthwise_bias,
            *_of_layer(of_middle, around), *_of_layer(of_pair, middle), *_of_layer(of_raw, gated),
        ]  # fmt: skip
        typed = [part.to(kind) for part, kind in zip(found, ctx.types, strict=True)]
        return _maps(of_x, ctx.like).to(ctx.like.dtype), *typed, None, None


def _of_layer(gradient: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Of weight (as a 1x1 convolution's) and bias."""
    return gradient.t().mm(inputs)[:, :, None, None], gradient.sum(0)


def _flat(parameter: Tensor) -> Tensor:
    """A 1x1 convolution's weight as a matrix; others as they are."""
    return parameter.flatten(1) if parameter.shape[2:] == (1, 1) else parameter


def _rows(maps: Tensor) -> Tensor:
    """(B, C, h, w) -> (B h w, C), without a copy of what is in channels-last layout."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def _maps(rows: Tensor, like: Tensor) -> Tensor:
    """The inverse, a view; like: (B, any, h, w)."""
    batch, _, height, width = like.shape
    return rows.view(batch, height, width, -1).permute(0, 3, 1, 2)


def _numpy(rows: Tensor) -> np.ndarray:
    """The same memory; bfloat16 as its bits."""
    array: np.ndarray = (
        (rows if rows.dtype == torch.float32 else rows.view(torch.int16)).contiguous().numpy()
    )
    return array if rows.dtype == torch.float32 else array.view(np.uint16)
