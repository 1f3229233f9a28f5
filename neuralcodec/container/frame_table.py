"""What a GOPS payload says of its frames before their payloads: a row for each, and their times.

Rows stand in the order of coding. What a row says of its frame's place in the GOP is mostly what
some row before it has said, which then takes one byte with q: a GOP of one structure that repeats
takes two or three bytes a frame. Times stand in the order of showing.

Functions raise `Malformed`, and nothing else, for bytes or frames that break a rule of the format.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from neuralcodec.container import layout
from neuralcodec.container.frame_times import MAX_TIME_BYTES, pack_times, read_times
from neuralcodec.container.layout import Malformed, check_range
from neuralcodec.container.records import FrameRecord
from neuralcodec.container.varint import (
    append_signed_varint,
    append_varint,
    read_signed_varint,
    read_varint,
)
from neuralcodec.references import HIGHEST_LEVEL, SLOTS, Placement

_SLOT_BITS = 3
_DEPTH_BITS = 2 * _SLOT_BITS
_PLACE = struct.Struct("<2B")
# Kind, difference of the number shown, two bytes of its place, difference of q, length
MAX_ROW_BYTES = 4 * layout.MAX_VARINT_BYTES + _PLACE.size


@dataclass(frozen=True, slots=True)
class FrameRow:
    """A row of the table."""

    place: Placement
    q: int
    length: int  # bytes of the frame's payload


@dataclass(frozen=True, slots=True)
class _Kind:
    """What rows have in common. Slots go by rank: so the same pyramid again is the same rows."""

    step: int  # the frame's number in the order of showing minus that which follows the last
    level: int
    ranks: tuple[int, int] | None
    stored_rank: int | None


class _Ranks:
    """Of slots: 0 is the one written last; those never written come last, in ascending order."""

    def __init__(self) -> None:
        self._slots = list(range(SLOTS))  # by rank

    def of(self, slot: int) -> int:
        return self._slots.index(slot)

    def slot(self, rank: int) -> int:
        check_range("the rank of a slot", rank, 0, SLOTS - 1)
        return self._slots[rank]

    def write(self, slot: int | None) -> None:
        if slot is not None:
            self._slots.remove(slot)
            self._slots.insert(0, slot)


class PlacementRules:
    """Told each frame of a GOP in the order of coding, raises Malformed at the first that breaks a
    rule."""

    def __init__(self, frames: int) -> None:
        """frames: of the GOP."""
        self._frames = frames
        self._written = [False] * SLOTS
        self._coded: set[int] = set()  # of those not shown so far
        self._next = 0  # to be shown

    def check(self, place: Placement) -> None:
        is_first = not self._next and not self._coded
        if place.is_intra != is_first:
            raise Malformed(
                "an intra frame has its place at the beginning of a GOP, and only there"
            )
        check_range("the number shown of a frame", place.shown, 0, self._frames - 1)
        if is_first and place.shown:
            raise Malformed("the first frame of a GOP is not the first one shown")
        check_range("a level", place.level, 0, HIGHEST_LEVEL)
        for slot in place.slots or ():
            check_range("a slot", slot, 0, SLOTS - 1)
            if not self._written[slot]:
                raise Malformed(f"a frame refers to slot {slot}, which is empty")
        if place.stored is not None:
            check_range("a slot", place.stored, 0, SLOTS - 1)
            self._written[place.stored] = True
        if place.shown < self._next or place.shown in self._coded:
            raise Malformed(f"two frames are number {place.shown} in the order of showing")
        self._coded.add(place.shown)
        while self._next in self._coded:
            self._coded.remove(self._next)
            self._next += 1
        if len(self._coded) > layout.MAX_WAITING_FRAMES:
            raise Malformed(
                f"more than {layout.MAX_WAITING_FRAMES} frames wait for one shown before them"
            )


class RowPacker:
    """Rows to bytes, one after the other."""

    def __init__(self) -> None:
        self._kinds: dict[_Kind, int] = {}
        self._ranks = _Ranks()
        self._qualities: list[int] = []  # of the last frame of each kind
        self._shown, self._q = -1, 0  # of the frame before

    def pack(self, row: FrameRow) -> bytes:
        out, place = bytearray(), row.place
        ranks = self._ranks
        slots = (
            None if place.slots is None else (ranks.of(place.slots[0]), ranks.of(place.slots[1]))
        )
        stored = None if place.stored is None else ranks.of(place.stored)
        kind = _Kind(place.shown - self._shown - 1, place.level, slots, stored)
        ranks.write(place.stored)
        number = self._kinds.setdefault(kind, len(self._kinds))
        is_new = number == len(self._qualities)
        q_before = self._q if is_new else self._qualities[number]
        append_varint(out, 2 * number + (row.q != q_before))
        if is_new:
            self._qualities.append(row.q)
            _append_kind(out, kind)
        if row.q != q_before:
            append_signed_varint(out, row.q - q_before)
        append_varint(out, row.length)
        self._qualities[number], self._q = row.q, row.q
        self._shown = place.shown
        return bytes(out)


def _append_kind(out: bytearray, kind: _Kind) -> None:
    stored = 0 if kind.stored_rank is None else kind.stored_rank + 1
    out.append(stored << _SLOT_BITS | kind.level)
    if kind.ranks is not None:
        out.append(kind.ranks[1] << _SLOT_BITS | kind.ranks[0])
        append_signed_varint(out, kind.step)


class _RowReader:
    """Bytes to rows, one after the other."""

    def __init__(self, data: bytes, at: int, frames: int) -> None:
        self._data, self.at = data, at
        self._rules, self._ranks = PlacementRules(frames), _Ranks()
        self._kinds: list[_Kind] = []
        self._qualities: list[int] = []
        self._shown, self._q = -1, 0

    def read(self) -> FrameRow:
        code, self.at = read_varint(self._data, self.at)
        number = code >> 1
        check_range("a row's kind", number, 0, len(self._kinds))
        if number == len(self._kinds):
            self._kinds.append(self._read_kind())
            self._qualities.append(self._q)
        kind, q = self._kinds[number], self._qualities[number]
        if code & 1:
            difference, self.at = read_signed_varint(self._data, self.at)
            q += difference
        check_range("a quality", q, layout.MIN_Q, layout.MAX_Q)
        length, self.at = read_varint(self._data, self.at)
        shown = self._shown + 1 + kind.step
        place = Placement(shown, kind.level, self._slots(kind), self._stored(kind))
        self._rules.check(place)
        self._ranks.write(place.stored)
        self._qualities[number], self._q, self._shown = q, q, shown
        return FrameRow(place, q, length)

    def _slots(self, kind: _Kind) -> tuple[int, int] | None:
        if kind.ranks is None:
            return None
        first, second = kind.ranks
        return self._ranks.slot(first), self._ranks.slot(second)

    def _stored(self, kind: _Kind) -> int | None:
        return None if kind.stored_rank is None else self._ranks.slot(kind.stored_rank)

    def _read_kind(self) -> _Kind:
        stored, level = self._read_pair()
        if not self._kinds:
            return _Kind(0, level, None, stored - 1 if stored else None)
        second, first = self._read_pair()
        step, self.at = read_signed_varint(self._data, self.at)
        return _Kind(step, level, (first, second), stored - 1 if stored else None)

    def _read_pair(self) -> tuple[int, int]:
        """High and low three bits of a byte of six."""
        if self.at >= len(self._data):
            raise Malformed("its table does not end")
        byte = self._data[self.at]
        self.at += 1
        if byte >> _DEPTH_BITS:
            raise Malformed("a row has bits that say nothing")
        return byte >> _SLOT_BITS, byte & (1 << _SLOT_BITS) - 1


@dataclass(frozen=True)
class FrameTable:
    """The beginning of a GOPS payload: everything but the frames' payloads."""

    first_frame: int
    symbols_crc: int
    rows: tuple[FrameRow, ...]  # in the order of coding
    times: tuple[int, ...]  # PTS, in the order of showing
    size: int  # bytes it takes

    @property
    def gop_size(self) -> int:
        """Bytes of the whole GOPS payload that this table stands for."""
        return self.size + sum(row.length for row in self.rows)


def frame_table_bound(payload: bytes) -> int:
    """Most bytes that the table at the beginning of a GOPS payload can take.

    Of the payload, the first `GOP_FIXED.size` bytes suffice.
    """
    if len(payload) < layout.GOP_FIXED.size:
        raise Malformed("it is too short for a GOP")
    frame_count: int = layout.GOP_FIXED.unpack_from(payload)[1]
    check_range("the number of frames", frame_count, 1, layout.MAX_GOP_FRAMES)
    return layout.GOP_FIXED.size + (MAX_ROW_BYTES + MAX_TIME_BYTES) * frame_count


def parse_frame_table(payload: bytes) -> FrameTable:
    """The table at the beginning of a GOPS payload.

    Of the payload, the first `frame_table_bound` bytes suffice. Takes time in proportion to the
    bytes, whatever number of frames they state.
    """
    frame_table_bound(payload)
    first_frame, frame_count, first_pts, symbols_crc = layout.GOP_FIXED.unpack_from(payload)
    check_range("the first frame's number", first_frame, 0, layout.MAX_FRAMES - frame_count)
    reader = _RowReader(payload, layout.GOP_FIXED.size, frame_count)
    rows = tuple(reader.read() for _ in range(frame_count))
    times, at = read_times(payload, reader.at, first_pts, frame_count)
    return FrameTable(first_frame, symbols_crc, rows, tuple(times), at)


def pack_frame_table(frames: Sequence[FrameRecord]) -> bytes:
    """Rows and times of a GOP's frames, which are given in the order of coding."""
    rules, packer, rows = PlacementRules(len(frames)), RowPacker(), bytearray()
    for frame in frames:
        check_range("a time stamp", frame.pts, -layout.MAX_PTS, layout.MAX_PTS)
        check_range("a quality", frame.q, layout.MIN_Q, layout.MAX_Q)
        rules.check(frame.place)
        rows += packer.pack(FrameRow(frame.place, frame.q, len(frame.payload)))
    shown = sorted(frames, key=lambda frame: frame.place.shown)
    return bytes(rows) + pack_times([frame.pts for frame in shown])
