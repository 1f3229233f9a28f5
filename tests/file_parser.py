"""The header and the GOPs of a sound .nlc file, read as docs/format.md says.

It knows the Python standard library, and shares no code with the product.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

SLOTS = 6


@dataclass
class Place:
    """shown: number in the GOP in the order of showing; slots: the two that are read."""

    shown: int
    level: int
    slots: tuple[int, int] | None  # an intra frame has none
    stored: int | None


@dataclass
class CodedFrame:
    place: Place
    q: int
    pts: int
    payload: bytes


@dataclass
class CodedGop:
    first_frame: int
    symbols_crc: int
    frames: list[CodedFrame]  # in the order of coding


@dataclass
class File:
    width: int
    height: int
    model_sha256: bytes
    gops: list[CodedGop]


def read_file(data: bytes) -> File:
    chunks = list(_chunks(data))
    assert chunks[0][0] == b"HEAD"
    head = chunks[0][1]
    width, height = struct.unpack_from("<II", head)
    name_end = 45 + head[44]
    gops = [read_gop(payload) for kind, payload in chunks if kind == b"GOPS"]
    return File(width, height, head[name_end : name_end + 32], gops)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        end = at + 8 + length
        assert struct.unpack_from("<I", data, end) == (zlib.crc32(data[at:end]),)
        yield data[at : at + 4], data[at + 8 : end]
        at = end + 4


class _Numbers:
    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def varint(self) -> int:
        value = shift = 0
        while (byte := self.byte()) > 127:
            value |= (byte & 127) << shift
            shift += 7
        return value | byte << shift

    def svarint(self) -> int:
        n = self.varint()
        return n // 2 if n % 2 == 0 else -(n + 1) // 2


class _Row(NamedTuple):
    place: Place
    q: int
    length: int


def read_gop(payload: bytes) -> CodedGop:
    first_frame, count, first_pts, crc = struct.unpack_from("<QIqI", payload)
    numbers = _Numbers(payload, 24)
    rows = _rows(numbers, count)
    times = _times(numbers, first_pts, count)
    frames, at = [], numbers.at
    for place, q, length in rows:
        frames.append(CodedFrame(place, q, times[place.shown], payload[at : at + length]))
        at += length
    assert at == len(payload)
    assert sorted(row.place.shown for row in rows) == list(range(count))
    return CodedGop(first_frame, crc, frames)


@dataclass
class _Kind:
    level: int
    stored: int | None  # these three are ranks
    first: int
    second: int
    step: int
    q: int  # of its last row


def _rows(numbers: _Numbers, count: int) -> list[_Row]:
    rows: list[_Row] = []
    kinds: list[_Kind] = []
    by_rank = list(range(SLOTS))
    shown, q = -1, 0
    for _ in range(count):
        k, changes = divmod(numbers.varint(), 2)
        if k == len(kinds):
            stored, level = divmod(numbers.byte(), 8)
            second, first = divmod(numbers.byte(), 8) if kinds else (0, 0)
            step = numbers.svarint() if kinds else 0
            assert max(stored - 1, first, second) < SLOTS
            kinds.append(_Kind(level, stored - 1 if stored else None, first, second, step, q))
        kind = kinds[k]
        q = kind.q = kind.q + (numbers.svarint() if changes else 0)
        shown += 1 + kind.step
        slot = None if kind.stored is None else by_rank[kind.stored]
        slots = (by_rank[kind.first], by_rank[kind.second]) if rows else None
        rows.append(_Row(Place(shown, kind.level, slots, slot), q, numbers.varint()))
        if slot is not None:
            by_rank.remove(slot)
            by_rank.insert(0, slot)
    return rows


def _times(numbers: _Numbers, first: int, count: int) -> list[int]:
    changes: list[int] = []
    while len(changes) < count - 1:
        changes.append(numbers.svarint())
        if changes[-1] == 0:
            changes += [0] * numbers.varint()
    times, difference = [first], 0
    for change in changes:
        difference += change
        times.append(times[-1] + difference)
    return times
