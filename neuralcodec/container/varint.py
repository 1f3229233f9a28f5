"""LEB128: integers in 7-bit groups, least significant first; bit 7 of a byte says more follow.

Guarantee: reading ends within `MAX_VARINT_BYTES` bytes and gives at most 64 bits.
"""

from neuralcodec.container.layout import MAX_VARINT_BYTES, Malformed


def append_varint(out: bytearray, value: int) -> None:
    """Append an unsigned value, 0..2⁶⁴ − 1, in its shortest form."""
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The unsigned value at `at` and the position after it.

    Raises Malformed where it runs past the data, is too long or exceeds 64 bits.
    """
    value = 0
    for index, byte in enumerate(data[at : at + MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if value >> 64:
                break
            return value, at + index + 1
    raise Malformed("a variable-length integer does not end or exceeds 64 bits")


def append_signed_varint(out: bytearray, value: int) -> None:
    """Append a signed value, −2⁶³..2⁶³ − 1, as zig-zag: 0, −1, 1, −2, ... become 0, 1, 2, 3, ..."""
    append_varint(out, value << 1 if value >= 0 else ~(value << 1))


def read_signed_varint(data: bytes, at: int) -> tuple[int, int]:
    """The zig-zag value at `at` and the position after it; raises Malformed as `read_varint`."""
    value, end = read_varint(data, at)
    return value >> 1 ^ -(value & 1), end
