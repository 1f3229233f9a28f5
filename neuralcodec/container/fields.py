"""Elements of varying size within a payload: appended to bytes, and taken from them in order.

Every `append_` function raises `Malformed` for a value that breaks a rule of the format, and every
method of `FieldReader` for bytes that do: nothing is allocated for a count or length before it has
been compared with the bytes that are there.
"""

import struct
from fractions import Fraction

from neuralcodec.container import layout
from neuralcodec.container.layout import Malformed, check_range
from neuralcodec.container.varint import append_varint, read_signed_varint, read_varint
from neuralcodec.streams import Metadata


def append_text(out: bytearray, text: str) -> None:
    """Append a u8 length and UTF-8."""
    data = _utf8(text)
    check_range("the length of a text", len(data), 0, layout.MAX_TEXT_BYTES)
    out.append(len(data))
    out += data


def append_metadata(out: bytearray, metadata: Metadata) -> None:
    """Append the number of pairs, then each key and value."""
    check_range("the number of tags", len(metadata), 0, layout.MAX_METADATA)
    append_varint(out, len(metadata))
    for pair in metadata:
        for text in pair:
            data = _utf8(text)
            append_varint(out, len(data))
            out += data


class FieldReader:
    """The elements of a payload, one after the other."""

    def __init__(self, payload: bytes):
        self._payload = payload
        self._at = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        if count > len(self._payload) - self._at:
            raise Malformed("it ends inside its elements")
        self._at += count
        return self._payload[self._at - count : self._at]

    def take_rest(self) -> bytes:
        """All that follows."""
        return self.take(len(self._payload) - self._at)

    def unpack(self, fields: struct.Struct) -> tuple[int, ...]:
        """Integers of fixed sizes."""
        return fields.unpack(self.take(fields.size))

    def varint(self) -> int:
        """An unsigned integer of at most 64 bits."""
        value, self._at = read_varint(self._payload, self._at)
        return value

    def signed_varint(self) -> int:
        """A signed integer of at most 64 bits."""
        value, self._at = read_signed_varint(self._payload, self._at)
        return value

    def text(self) -> str:
        """A u8 length and UTF-8."""
        return self._decoded(self.take(1)[0])

    def metadata(self) -> Metadata:
        """The number of pairs, then each key and value."""
        count = self.varint()
        check_range("the number of tags", count, 0, layout.MAX_METADATA)
        return tuple(
            (self._decoded(self.varint()), self._decoded(self.varint())) for _ in range(count)
        )

    def end(self) -> None:
        """Raise Malformed where bytes are left."""
        if rest := len(self._payload) - self._at:
            raise Malformed(f"{rest} bytes follow its last element")

    def _decoded(self, count: int) -> str:
        try:
            return self.take(count).decode()
        except UnicodeDecodeError:
            raise Malformed("a text is not UTF-8") from None


def ratio_of(name: str, numerator: int, denominator: int) -> Fraction:
    """A ratio above 0; raises Malformed otherwise."""
    if numerator == 0 or denominator == 0:
        raise Malformed(f"{name} is {numerator}/{denominator} (allowed: above 0)")
    return Fraction(numerator, denominator)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Malformed(f"{text[:60]!r} cannot be written as UTF-8") from None
