"""Numbers and elements of EBML (RFC 8794), which Matroska consists of."""

from dataclasses import dataclass

Bytes = bytes | bytearray
_LONGEST_NUMBER = 8  # bytes


@dataclass(frozen=True)
class ElementHead:
    """What stands before the content of an element."""

    id: bytes
    start: int  # of the content
    size: int | None  # of it, in bytes; None where that is not known


def number(data: Bytes, position: int = 0) -> tuple[int, int] | None:
    """A number and how many bytes it takes; None where there is none, or not all of it."""
    length = _length(data, position)
    if length is None:
        return None
    value = int.from_bytes(data[position : position + length], "big")
    return value & ((1 << 7 * length) - 1), length


def element_head(data: Bytes, position: int = 0) -> ElementHead | None:
    """Of the element that begins there; None where there is none, or not all of its head."""
    id_length = _length(data, position)
    if id_length is None:
        return None
    size = number(data, position + id_length)
    if size is None:
        return None
    is_known = size[0] != (1 << 7 * size[1]) - 1
    id_end = position + id_length
    return ElementHead(
        bytes(data[position:id_end]), id_end + size[1], size[0] if is_known else None
    )


def _length(data: Bytes, position: int) -> int | None:
    """Bytes of a number: one more than the zero bits that it starts with."""
    if position >= len(data):
        return None
    length = 9 - data[position].bit_length()
    return length if length <= min(_LONGEST_NUMBER, len(data) - position) else None
