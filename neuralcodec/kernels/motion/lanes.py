"""Errors of small windows, in SIMD lanes.

LLVM makes SIMD code of loops over whole rows of a picture, but not of ten samples: a sum of
absolute differences of 10x10 is 14 times faster when its vector instructions are written out. They
are LLVM's own, of any width, which it turns into whatever the processor has.

Samples are int16 and their differences at most 2047: sixteen times that fits into a lane.

Numba does not see that a kernel is stale when another file has changed: after an edit here, edit
or touch those that use it.
"""

from collections.abc import Callable, Sequence
from typing import Any

from neuralcodec.kernels.compiled import emitted

_WIDE, _NARROW = 16, 8


class _Lanes:
    """Writes vector instructions of `count` samples each."""

    def __init__(self, builder: Any, count: int) -> None:
        from llvmlite import ir

        self.ir, self.builder, self.count = ir, builder, count
        self.type = ir.VectorType(ir.IntType(16), count)
        self._wide = ir.VectorType(ir.IntType(32), count)
        self.zero = self.constant([0] * count)

    def constant(self, values: Sequence[int]) -> Any:
        return self.ir.Constant(self.type, list(values))

    def load(self, row: Any, column: int) -> Any:
        builder = self.builder
        start = builder.gep(row, [self.ir.Constant(self.ir.IntType(64), column)])
        value = builder.load(builder.bitcast(start, self.type.as_pointer()))
        value.align = 2
        return value

    def difference(self, one: Any, other: Any, column: int) -> Any:
        return self.builder.sub(self.load(one, column), self.load(other, column))

    def difference_of(self, rows: list[Any]) -> Any:
        """Of the first row and the other one, or the mean of two others."""
        first, *others = (self.load(row, 0) for row in rows)
        if len(others) == 1:
            return self.builder.sub(first, others[0])
        ones = self.constant([1] * self.count)
        total = self.builder.add(self.builder.add(*others), ones)
        return self.builder.sub(first, self.builder.ashr(total, ones))

    def magnitude(self, value: Any) -> Any:
        negative = self.builder.sub(self.zero, value)
        return self.builder.select(self.builder.icmp_signed(">", value, negative), value, negative)

    def butterfly(self, value: Any, distance: int) -> Any:
        """Sums and differences of lanes that lie `distance` apart."""
        ir, builder = self.ir, self.builder
        order = ir.Constant(
            ir.VectorType(ir.IntType(32), self.count), [i ^ distance for i in range(self.count)]
        )
        other = builder.shuffle_vector(value, value, order)
        is_first = ir.Constant(
            ir.VectorType(ir.IntType(1), self.count),
            [int(not i & distance) for i in range(self.count)],
        )
        signed = builder.select(is_first, value, builder.sub(self.zero, value))
        return builder.add(other, signed)

    def wide(self, value: Any, used: int) -> Any:
        """As int32, taken as unsigned; lanes after the first `used` are zero."""
        mask = self.constant([-1] * used + [0] * (self.count - used))
        return self.builder.zext(self.builder.and_(value, mask), self._wide)

    def total(self, wide: Any) -> Any:
        """int32: the sum of all lanes."""
        ir, module = self.ir, self.builder.module
        name = f"llvm.vector.reduce.add.v{self.count}i32"
        known = module.globals.get(name)
        kind = ir.FunctionType(ir.IntType(32), [self._wide])
        return self.builder.call(known or ir.Function(module, kind, name), [wide])


# (builder, rows of each window) -> int32; rows: a function of their number
_Emit = Callable[[Any, list[Callable[[int], Any]]], Any]


def _windows(count: int, emit: _Emit) -> Any:
    """What kernels call as `f(a, start, stride, b, start, stride, ...)`: `count` windows of int16
    arrays whose first sample lies at a flat index. Lanes beyond a window are read too, but do not
    count."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from llvmlite import ir

        def rows(place: int) -> Callable[[int], Any]:
            array = target.make_array(signature.args[place])(target, builder, arguments[place])
            start, stride = arguments[place + 1 : place + 3]

            def row(number: int) -> Any:
                skipped = builder.mul(stride, ir.Constant(ir.IntType(64), number))
                return builder.gep(array.data, [builder.add(start, skipped)])

            return row

        return emit(builder, [rows(3 * number) for number in range(count)])

    def typed(*arrays: Any) -> Any:
        from numba import types

        each = [part for array in arrays for part in (array, types.int64, types.int64)]
        return types.int32(*each), generate

    # Numba counts the arguments
    def of_two(context: Any, a: Any, i: Any, step: Any, b: Any, j: Any, pace: Any) -> Any:
        return typed(a, b)

    def of_three(
        context: Any, a: Any, i: Any, step: Any, b: Any, j: Any, pace: Any,
        c: Any, k: Any, pitch: Any,
    ) -> Any:  # fmt: skip
        return typed(a, b, c)

    return emitted(of_two if count == 2 else of_three)


def absolute_differences(columns: int, rows: int, skipped: int = 1) -> Any:
    """Their sum over a window, of every `skipped`-th row."""

    def emit(builder: Any, windows: list[Callable[[int], Any]]) -> Any:
        one, other = windows
        total, start = None, 0
        while start < columns:
            lanes = _Lanes(builder, _WIDE if columns - start > _NARROW else _NARROW)
            piece = lanes.zero
            for row in range(0, rows, skipped):
                difference = lanes.difference(one(row), other(row), start)
                piece = builder.add(piece, lanes.magnitude(difference))
            found = lanes.total(lanes.wide(piece, min(lanes.count, columns - start)))
            total = found if total is None else builder.add(total, found)
            start += lanes.count
        return total

    return _windows(2, emit)


def transformed_differences(columns: int, rows: int, blended: bool = False) -> Any:
    """The sum of the absolute coefficients of a Hadamard transform, unscaled, of the differences
    in squares of 4x4 samples; columns, rows: multiples of 4, up to 16 columns. blended: between the
    first window and the mean of two others, halves rounded up."""

    def emit(builder: Any, windows: list[Callable[[int], Any]]) -> Any:
        lanes = _Lanes(builder, _WIDE)
        total = None
        for top in range(0, rows, 4):
            a, b, c, d = (
                lanes.difference_of([window(r) for window in windows]) for r in range(top, top + 4)
            )
            a, b, c, d = builder.add(a, b), builder.sub(a, b), builder.add(c, d), builder.sub(c, d)
            for down in (
                builder.add(a, c),
                builder.sub(a, c),
                builder.add(b, d),
                builder.sub(b, d),
            ):
                both = lanes.butterfly(lanes.butterfly(down, 1), 2)
                found = lanes.wide(lanes.magnitude(both), columns)
                total = found if total is None else builder.add(total, found)
        return lanes.total(total)

    return _windows(3 if blended else 2, emit)
