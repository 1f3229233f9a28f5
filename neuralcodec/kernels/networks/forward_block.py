"""A block of the float networks where no gradient is wanted: two passes over its rows, each a tile
at a time through all that it needs, so that what is between two matrix products stays in the cache.

The torch reference is `neuralcodec.model.layers.Block` without this file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neuralcodec.kernels.compiled import compiled
from neuralcodec.kernels.floats import exponential
from neuralcodec.kernels.networks.matrix import ROWS, Packed, multiply_rows, packed
from neuralcodec.kernels.strips import in_strips

ONE = np.float32(1)
POSITIONS = 32  # of a tile: of 96 channels, two in and one out take 36 KiB, a level-1 cache
assert POSITIONS % ROWS == 0


@compiled(
    "void(float32[:,::1], float32[::1], float32[::1], float32, float32[::1], int64, int64)",
    fastmath={"contract"},
)
def _mix_in(x: Any, weights: Any, bias: Any, slope: Any, mixed: Any, first: Any, end: Any) -> None:
    """The leaky product of tiles of POSITIONS; mixed: in rows of all columns, whole tiles."""
    inputs, columns = x.shape[1], bias.size
    flat = x.reshape(x.size)
    rest = np.zeros(POSITIONS * inputs, np.float32)
    for tile in range(first, end):
        top = tile * POSITIONS
        rows = min(POSITIONS, x.shape[0] - top)
        if rows == POSITIONS:
            multiply_rows(
                flat, top * inputs, inputs, inputs, weights, bias,
                mixed, top * columns, columns, POSITIONS,
            )  # fmt: skip
        else:
            for n in range(rows * inputs):
                rest[n] = flat[top * inputs + n]
            multiply_rows(
                rest, 0, inputs, inputs, weights, bias, mixed, top * columns, columns, POSITIONS
            )
        results = mixed[top * columns : (top + rows) * columns]
        for n in range(results.size):
            value = results[n]
            results[n] = max(value, slope * value)


@compiled(
    "void(float32[:,::1], float32[::1], float32[:,::1], int64, int64, float32[:,::1], "
    "float32[::1], float32[::1], float32[::1], float32[::1], float32[::1], float32[::1], "
    "float32[::1], float32, int64, int64)",
    fastmath={"contract"},
)
def _gated(
    x: Any, mixed: Any, out: Any, height: Any, width: Any, taps: Any, taps_bias: Any,
    mix_out: Any, mix_out_bias: Any, gate_in: Any, gate_in_bias: Any, gate_out: Any,
    gate_out_bias: Any, limit: Any, first: Any, end: Any,
) -> None:  # fmt: skip
    """All but the first layer, rows first..end - 1 of all pictures one above the other. taps
    (9, channels)."""
    channels, columns, pairs = x.shape[1], mix_out_bias.size, gate_in_bias.size
    around = np.zeros(POSITIONS * columns, np.float32)
    middle = np.zeros(POSITIONS * columns, np.float32)
    pair = np.zeros(POSITIONS * pairs, np.float32)
    nothing = np.zeros(channels, np.float32)
    for row in range(first, end):
        y = row % height
        for left in range(0, width, POSITIONS):
            places = min(POSITIONS, width - left)
            for n in range(places):
                here = (row * width + left + n) * columns
                up, down = here - width * columns, here + width * columns
                is_first, is_last = left + n == 0, left + n == width - 1
                a1 = mixed[up : up + channels] if y > 0 else nothing
                a0 = (
                    mixed[up - columns : up - columns + channels]
                    if y > 0 and not is_first
                    else nothing
                )
                a2 = (
                    mixed[up + columns : up + columns + channels]
                    if y > 0 and not is_last
                    else nothing
                )
                b1 = mixed[here : here + channels]
                b0 = mixed[here - columns : here - columns + channels] if not is_first else nothing
                b2 = mixed[here + columns : here + columns + channels] if not is_last else nothing
                below = y < height - 1
                c1 = mixed[down : down + channels] if below else nothing
                c0 = (
                    mixed[down - columns : down - columns + channels]
                    if below and not is_first
                    else nothing
                )
                c2 = (
                    mixed[down + columns : down + columns + channels]
                    if below and not is_last
                    else nothing
                )
                result = around[n * columns : n * columns + channels]
                for c in range(channels):
                    result[c] = (
                        taps_bias[c]
                        + a0[c] * taps[0, c] + a1[c] * taps[1, c] + a2[c] * taps[2, c]
                        + b0[c] * taps[3, c] + b1[c] * taps[4, c] + b2[c] * taps[5, c]
                        + c0[c] * taps[6, c] + c1[c] * taps[7, c] + c2[c] * taps[8, c]
                    )  # fmt: skip
            rows = (places + ROWS - 1) // ROWS * ROWS
            multiply_rows(
                around, 0, columns, channels, mix_out, mix_out_bias, middle, 0, columns, rows
            )
            for n in range(places):
                skipped = x[row * width + left + n]
                result = middle[n * columns : n * columns + channels]
                for c in range(channels):
                    result[c] += skipped[c]
            multiply_rows(middle, 0, columns, channels, gate_in, gate_in_bias, pair, 0, pairs, rows)
            for n in range(places):
                values = pair[n * pairs : n * pairs + channels]
                gates = pair[n * pairs + channels : n * pairs + 2 * channels]
                result = around[n * columns : n * columns + channels]
                for c in range(channels):
                    value = values[c]
                    result[c] = value / (ONE + exponential(-value)) * gates[c]
            multiply_rows(
                around, 0, columns, channels, gate_out, gate_out_bias, pair, 0, columns, rows
            )
            for n in range(places):
                result = out[row * width + left + n]
                above = middle[n * columns : n * columns + channels]
                raw = pair[n * columns : n * columns + channels]
                for c in range(channels):
                    result[c] = min(max(above[c] + raw[c], -limit), limit)


@dataclass(frozen=True)
class PackedBlock:
    """The layers of `Block` as its kernels read them; taps (9, C): of the depthwise one."""

    mix_in: Packed
    taps: np.ndarray
    taps_bias: np.ndarray
    others: tuple[Packed, ...]


def packed_block(layers: Sequence[tuple[Tensor, Tensor]]) -> PackedBlock:
    """layers: weight and bias of the five, float32, in their order."""
    (mix_in, mix_in_bias), (depthwise, depthwise_bias), *others = layers
    return PackedBlock(
        packed(mix_in.flatten(1), mix_in_bias),
        depthwise.detach().view(-1, 9).t().contiguous().numpy(),
        depthwise_bias.detach().contiguous().numpy(),
        tuple(packed(weight.flatten(1), bias) for weight, bias in others),
    )


def forward_block(x: Tensor, block: PackedBlock, slope: float, limit: float) -> Tensor:
    """x (B, C, h, w) float32; slope: of its leaky rectifier; limit: of what it gives, which is in
    channels-last layout."""
    batch, channels, height, width = x.shape
    rows = x.detach().permute(0, 2, 3, 1).reshape(-1, channels).contiguous()
    tiles = -(-len(rows) // POSITIONS)
    first = block.mix_in
    mixed = np.empty(tiles * POSITIONS * first.bias.size, np.float32)
    in_strips(
        _mix_in, tiles, rows.numpy(), first.weights, first.bias, np.float32(slope), mixed, least=4
    )
    out = torch.empty_like(rows)
    arrays = [array for layer in block.others for array in (layer.weights, layer.bias)]
    in_strips(
        _gated, batch * height, rows.numpy(), mixed, out.numpy(), height, width, block.taps,
        block.taps_bias, *arrays, np.float32(limit),
    )  # fmt: skip
    return out.view(batch, height, width, channels).permute(0, 3, 1, 2)
