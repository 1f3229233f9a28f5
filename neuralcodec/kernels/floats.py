"""Single floats as loops need them: bfloat16 as its bits, exponential and logarithm for LLVM to
vectorise.

A library's functions are called once for each number; these are polynomials (Cephes, Moshier 1989),
within 2 units in the last place of the true value.
"""

from typing import Any

import numpy as np

from neuralcodec.kernels.compiled import emitted, inlined


@emitted
def reinterpreted(context: Any, value: Any) -> Any:
    """The bits of a float32 as uint32, or the other way round."""
    from llvmlite import ir
    from numba import types

    is_float = value == types.float32
    kind = ir.IntType(32) if is_float else ir.FloatType()

    def generate(_: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], kind)

    return (types.uint32(types.float32) if is_float else types.float32(types.uint32)), generate


SMALLEST, LARGEST = np.float32(-87.0), np.float32(88.0)
LOG2_E = np.float32(1.44269504)
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
HALF, ONE = np.float32(0.5), np.float32(1.0)
C0, C1, C2 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
C3, C4, C5 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)
ROOT_HALF = np.float32(0.707106781186547524)
L0, L1, L2 = np.float32(7.0376836292e-2), np.float32(-1.1514610310e-1), np.float32(1.1676998740e-1)
L3, L4, L5 = np.float32(-1.2420140846e-1), np.float32(1.4249322787e-1), np.float32(-1.6668057665e-1)
L6, L7, L8 = np.float32(2.0000714765e-1), np.float32(-2.4999993993e-1), np.float32(3.3333331174e-1)


@inlined()
def exponential(x: Any) -> Any:
    """From -87 to 88; beyond, as there."""
    x = min(max(x, SMALLEST), LARGEST)
    whole = np.floor(x * LOG2_E + HALF)
    rest = x - whole * LN2_HIGH - whole * LN2_LOW
    power = ((((C0 * rest + C1) * rest + C2) * rest + C3) * rest + C4) * rest + C5
    power = power * rest * rest + rest + ONE
    return power * reinterpreted(np.uint32((np.int32(whole) + np.int32(127)) << np.int32(23)))


@inlined()
def logarithm(x: Any) -> Any:
    """The natural one, of a normal number above 0."""
    bits = reinterpreted(x)
    power = np.float32(np.int32(bits >> np.uint32(23)) - np.int32(126))
    part = reinterpreted((bits & np.uint32(0x7FFFFF)) | np.uint32(0x3F000000))  # 0.5 to 1
    is_low = part < ROOT_HALF
    power = power - ONE if is_low else power
    rest = (part + part if is_low else part) - ONE
    square = rest * rest
    y = (
        ((((((L0 * rest + L1) * rest + L2) * rest + L3) * rest + L4) * rest + L5) * rest + L6)
        * rest
        + L7
    ) * rest + L8
    y = y * rest * square + power * LN2_LOW - HALF * square
    return rest + y + power * LN2_HIGH


@inlined()
def from_bfloat16(bits: Any) -> Any:
    return reinterpreted(np.uint32(bits) << np.uint32(16))


@inlined()
def to_bfloat16(value: Any) -> Any:
    """The nearest one, ties to even, of a number that is finite."""
    bits = reinterpreted(value)
    bits += np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return np.uint16(bits >> np.uint32(16))
