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

COST_SHIFT, SLOPE_SHIFT = 8, 2
LARGEST_LIMIT = 16000  # 144 coefficients of 2047 * 16 stay below 2**31
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

    def wide_constant(self, value: int) -> Any:
        return self.ir.Constant(self._wide, [value] * self.count)

    def wide_copies(self, value: Any) -> Any:
        """Of an int64 that fits into 31 bits, in all lanes, as int32."""
        i32 = self.ir.IntType(32)
        none = self.ir.Constant(self._wide, self.ir.Undefined)
        zero = self.ir.Constant(i32, 0)
        first = self.builder.insert_element(none, self.builder.trunc(value, i32), zero)
        return self.builder.shuffle_vector(first, none, self.wide_constant(0))

    def total(self, wide: Any) -> Any:
        """int32: the sum of all lanes."""
        ir, module = self.ir, self.builder.module
        name = f"llvm.vector.reduce.add.v{self.count}i32"
        known = module.globals.get(name)
        kind = ir.FunctionType(ir.IntType(32), [self._wide])
        return self.builder.call(known or ir.Function(module, kind, name), [wide])


# (builder, rows of each window, limit) -> int32; rows: a function of their number
_Emit = Callable[[Any, list[Callable[[int], Any]], Any], Any]


def _windows(count: int, emit: _Emit, limited: bool) -> Any:
    """What kernels call as `f(a, start, stride, b, start, stride, ...)`: `count` windows of int16
    arrays whose first sample lies at a flat index. Lanes beyond a window are read too, but do not
    count. limited: the last argument is a limit, int64."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from llvmlite import ir

        def rows(place: int) -> Callable[[int], Any]:
            array = target.make_array(signature.args[place])(target, builder, arguments[place])
            start, stride = arguments[place + 1 : place + 3]

            def row(number: int) -> Any:
                skipped = builder.mul(stride, ir.Constant(ir.IntType(64), number))
                return builder.gep(array.data, [builder.add(start, skipped)])

            return row

        limit = arguments[-1] if limited else None
        return emit(builder, [rows(3 * number) for number in range(count)], limit)

    def typed(*arrays: Any) -> Any:
        from numba import types

        each = [part for array in arrays for part in (array, types.int64, types.int64)]
        if limited:
            each.append(types.int64)
        return types.int32(*each), generate

    # Numba counts the arguments
    def of_two(context: Any, a: Any, i: Any, step: Any, b: Any, j: Any, pace: Any) -> Any:
        return typed(a, b)

    def of_two_limited(
        context: Any, a: Any, i: Any, step: Any, b: Any, j: Any, pace: Any, limit: Any
    ) -> Any:
        return typed(a, b)

    def of_three_limited(
        context: Any, a: Any, i: Any, step: Any, b: Any, j: Any, pace: Any,
        c: Any, k: Any, pitch: Any, limit: Any,
    ) -> Any:  # fmt: skip
        return typed(a, b, c)

    if not limited:
        return emitted(of_two)
    return emitted(of_two_limited if count == 2 else of_three_limited)


def absolute_differences(columns: int, rows: int, skipped: int = 1) -> Any:
    """Their sum over a window, of every `skipped`-th row."""

    def emit(builder: Any, windows: list[Callable[[int], Any]], limit: None) -> Any:
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

    return _windows(2, emit, limited=False)


def coefficient_costs(columns: int, rows: int, blended: bool = False) -> Any:
    """What the coefficients of a Hadamard transform, unscaled, of the differences in squares of
    4x4 samples cost, summed: c² up to the limit, from there on a quarter of limit · |c|; in units
    of 2**COST_SHIFT, rounded down. columns, rows: multiples of 4, up to 16 columns. blended:
    between the first window and the mean of two others, halves rounded up. The limit is at most
    LARGEST_LIMIT."""

    def emit(builder: Any, windows: list[Callable[[int], Any]], limit: Any) -> Any:
        lanes = _Lanes(builder, _WIDE)
        most = lanes.wide_copies(limit)
        of_square, of_rest = map(lanes.wide_constant, (COST_SHIFT, COST_SHIFT + SLOPE_SHIFT))
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
                size = lanes.wide(lanes.magnitude(both), columns)
                small = builder.select(builder.icmp_signed("<", size, most), size, most)
                square = builder.ashr(builder.mul(small, small), of_square)
                rest = builder.mul(builder.sub(size, small), most)
                found = builder.add(square, builder.ashr(rest, of_rest))
                total = found if total is None else builder.add(total, found)
        return lanes.total(total)

    return _windows(3 if blended else 2, emit, limited=True)
