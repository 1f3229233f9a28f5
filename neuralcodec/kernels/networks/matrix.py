"""Matrix products of float32 rows, as the float networks of encoder and decoder need them.

The torch reference is `torch.nn.functional.linear`. A tile of rows by columns is kept in registers
while all inputs pass, a multiplication and an addition in one instruction each (Goto and van de
Geijn, "Anatomy of high-performance matrix multiplication", 2008): 97 % of what a core can do, where
the library that PyTorch calls reaches 70 to 85 % of it. A sum begins with the bias and goes on in
the order of the inputs, on every machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neuralcodec.kernels.compiled import compiled, emitted, has_feature, inlined
from neuralcodec.kernels.strips import in_strips

# Of a tile: sums of all its rows and columns, columns of one row of weights and a row's input fill
# the vector registers (32 of 16 numbers with AVX-512, else at least 16 of 8 or 32 of 4).
LANES, ROWS = (16, 8) if has_feature("avx512f") else (8, 4)
VECTORS = 3
COLUMNS = VECTORS * LANES


@emitted
def multiply_tile(
    context: Any, x: Any, start: Any, stride: Any, inputs: Any,
    weights: Any, part: Any, bias: Any, column: Any, out: Any, place: Any, row: Any,
) -> Any:  # fmt: skip
    """ROWS by COLUMNS of a product. x: flat, first number and distance of rows; weights, from
    `part` on: COLUMNS for each input in turn; bias from `column` on; out: flat, as x."""
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils

    signature = types.void(
        x, start, stride, inputs, weights, part, bias, column, out, place, row
    )  # fmt: skip

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(ir.FloatType(), LANES)
        whole = ir.IntType(64)

        def pointer(n: int) -> Any:
            return target.make_array(signature.args[n])(target, builder, arguments[n]).data

        def at(base: Any, first: Any, offset: Any) -> Any:
            address = builder.gep(base, [builder.add(first, offset)])
            return builder.bitcast(address, vector.as_pointer())

        def constant(n: int) -> Any:
            return ir.Constant(whole, n)

        def load(base: Any, first: Any, n: int) -> Any:
            value = builder.load(at(base, first, constant(n * LANES)))
            value.align = 4
            return value

        xs, ws, biases, outs = (pointer(n) for n in (0, 4, 6, 8))
        _, start, stride, inputs, _, part, _, column, _, place, row = arguments
        fused = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fma.v{LANES}f32"
        )
        nothing = ir.Constant(vector, ir.Undefined)
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        begin = [load(biases, column, v) for v in range(VECTORS)]
        before, body = builder.block, builder.append_basic_block("inputs")
        after = builder.append_basic_block("sums")
        builder.branch(body)
        builder.position_at_end(body)
        k = builder.phi(whole)
        k.add_incoming(constant(0), before)
        sums = [builder.phi(vector) for _ in range(ROWS * VECTORS)]
        for n, total in enumerate(sums):
            total.add_incoming(begin[n % VECTORS], before)
        first = builder.add(part, builder.mul(k, constant(COLUMNS)))
        columns = [load(ws, first, v) for v in range(VECTORS)]
        grown = []
        for r in range(ROWS):
            offset = builder.add(builder.mul(stride, constant(r)), k)
            value = builder.load(builder.gep(xs, [builder.add(start, offset)]))
            lane = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
            spread = builder.shuffle_vector(lane, nothing, everywhere)
            grown += [
                builder.call(fused, [spread, columns[v], sums[r * VECTORS + v]])
                for v in range(VECTORS)
            ]
        following = builder.add(k, constant(1))
        k.add_incoming(following, body)
        for total, larger in zip(sums, grown, strict=True):
            total.add_incoming(larger, body)
        builder.cbranch(builder.icmp_signed("<", following, inputs), body, after)
        builder.position_at_end(after)
        for n, total in enumerate(grown):
            r, v = divmod(n, VECTORS)
            offset = builder.add(builder.mul(row, constant(r)), constant(v * LANES))
            builder.store(total, at(outs, place, offset)).align = 4
        return target.get_dummy_value()

    return signature, generate


@inlined()
def multiply_rows(
    x: Any, start: Any, stride: Any, inputs: Any,
    weights: Any, bias: Any, out: Any, place: Any, row: Any, rows: Any,
) -> None:  # fmt: skip
    """rows: a multiple of ROWS; weights, bias: from `packed`; out has room for all columns of the
    bias, in rows that are `row` apart."""
    for p in range(0, rows, ROWS):
        for n in range(0, bias.size, COLUMNS):
            multiply_tile(
                x, start + p * stride, stride, inputs,
                weights, n * inputs, bias, n, out, place + p * row + n, row,
            )  # fmt: skip


@compiled("void(float32[:,::1], float32[::1], float32[::1])")
def _pack(weight: Any, packed: Any, padded: Any) -> None:
    outputs, inputs = weight.shape
    for n in range(padded.size):
        part, column = n // COLUMNS * COLUMNS, n % COLUMNS
        for k in range(inputs):
            place = part * inputs + k * COLUMNS + column
            packed[place] = weight[n, k] if n < outputs else np.float32(0)
        if n >= outputs:
            padded[n] = 0


@dataclass(frozen=True)
class Packed:
    """A layer as `multiply_rows` reads it: weights and bias with zeros up to whole tiles."""

    weights: np.ndarray
    bias: np.ndarray
    outputs: int


def packed(weight: Tensor, bias: Tensor | None) -> Packed:
    """weight (N, K), float32; bias (N,), None for zeros."""
    outputs, inputs = weight.shape
    columns = -(-outputs // COLUMNS) * COLUMNS
    weights, padded = np.empty(columns * inputs, np.float32), np.zeros(columns, np.float32)
    if bias is not None:
        padded[:outputs] = bias.detach().numpy()
    _pack(weight.detach().contiguous().numpy(), weights, padded)
    return Packed(weights, padded, outputs)


TILE = 64  # rows that are multiplied before they are copied to where they belong


@compiled(
    "void(float32[:,::1], float32[:,::1], float32[:,::1], float32[::1], float32[::1], "
    "float32[:,::1], float32[:,::1], int64, int64)"
)
def _product(
    x: Any, second: Any, third: Any, weights: Any, bias: Any, plus: Any, out: Any,
    first: Any, end: Any,
) -> None:  # fmt: skip
    """x, second, third: parts of the inputs; those without columns, and a `plus` without rows, are
    not there."""
    inputs, outputs = x.shape[1] + second.shape[1] + third.shape[1], out.shape[1]
    columns = bias.size
    is_whole = x.shape[1] == inputs
    flat = x.reshape(x.size)
    buffer, seen = np.empty(TILE * columns, np.float32), np.zeros(TILE * inputs, np.float32)
    for top in range(first, end, TILE):
        rows = min(TILE, end - top)
        if is_whole and rows == TILE:
            multiply_rows(
                flat, top * inputs, inputs, inputs, weights, bias, buffer, 0, columns, TILE
            )
        else:
            for r in range(rows):
                at = r * inputs
                for part in (x, second, third):
                    target = seen[at : at + part.shape[1]]
                    for k in range(target.size):
                        target[k] = part[top + r, k]
                    at += target.size
            whole = (rows + ROWS - 1) // ROWS * ROWS
            multiply_rows(seen, 0, inputs, inputs, weights, bias, buffer, 0, columns, whole)
        for r in range(rows):
            result, found = out[top + r], buffer[r * columns : r * columns + outputs]
            if plus.size:
                more = plus[top + r]
                for n in range(outputs):
                    result[n] = found[n] + more[n]
            else:
                for n in range(outputs):
                    result[n] = found[n]


_NO_ROWS = np.empty((0, 0), np.float32)


def product(parts: Sequence[Tensor], layer: Packed, plus: Tensor | None = None) -> Tensor:
    """parts (..., K) float32, up to three, whose K are the layer's inputs; plus (..., N), to be
    added -> (..., N). Without gradients."""
    shape = parts[0].shape[:-1]
    rows = [_rows(part) for part in parts]
    missing = [np.empty((len(rows[0]), 0), np.float32)] * (3 - len(rows))
    out = torch.empty(len(rows[0]), layer.outputs, dtype=torch.float32, device="cpu")
    more = _NO_ROWS if plus is None else _rows(plus)
    in_strips(
        _product, len(out), *rows, *missing, layer.weights, layer.bias, more, out.numpy(),
        least=TILE,
    )  # fmt: skip
    return out.view(*shape, layer.outputs)


def _rows(x: Tensor) -> np.ndarray:
    array: np.ndarray = x.detach().reshape(-1, x.shape[-1]).contiguous().numpy()
    return array
