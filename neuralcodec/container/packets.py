"""The payload of pckt chunks: packets of other streams to bytes and back.

`parse_packets` raises `Malformed`, and nothing else, for bytes that break a rule of the format;
packing raises `Malformed` for a packet that breaks one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from neuralcodec.container import layout
from neuralcodec.container.fields import FieldReader, append_text
from neuralcodec.container.layout import Malformed, check_range
from neuralcodec.container.varint import append_signed_varint, append_varint
from neuralcodec.streams import StreamPacket

# Most bytes of a row without side data, and of one side data's entry in it
_ROW_BYTES = 1 + 5 * layout.MAX_VARINT_BYTES
_SIDE_DATA_BYTES = 1 + layout.MAX_TEXT_BYTES + layout.MAX_VARINT_BYTES


@dataclass(slots=True)
class _Timeline:
    """What is expected of the next packet of a stream, within one chunk."""

    time: int = 0  # end of the packet before
    duration: int = 0

    def advance(self, pts: int | None, dts: int | None, duration: int) -> None:
        start = dts if pts is None else pts
        if start is not None:
            self.time = start + duration
        self.duration = duration


def split_packets(packets: Sequence[StreamPacket]) -> Iterator[Sequence[StreamPacket]]:
    """The packets in order, as many at a time as surely fit one chunk, at least one.

    Raises Malformed for a packet that no chunk can hold.
    """
    first, size = 0, 0
    limit = layout.max_payload(layout.PCKT)
    for i, packet in enumerate(packets):
        bodies = len(packet.data) + sum(len(data) for _, data in packet.side_data)
        if bodies > limit:
            raise Malformed(f"one of stream {packet.stream} takes {bodies} bytes (at most {limit})")
        row = _ROW_BYTES + len(packet.side_data) * _SIDE_DATA_BYTES + bodies
        full = size + row > limit - layout.MAX_VARINT_BYTES
        if i > first and (full or i - first == layout.MAX_PACKETS):
            yield packets[first:i]
            first, size = i, 0
        size += row
    if packets:
        yield packets[first:]


def pack_packets(packets: Sequence[StreamPacket]) -> bytes:
    """The payload of a pckt chunk."""
    check_range("the number of packets", len(packets), 1, layout.MAX_PACKETS)
    table = bytearray()
    append_varint(table, len(packets))
    timelines: dict[int, _Timeline] = {}
    stream = 0
    for packet in packets:
        _append_row(table, packet, stream, timelines.setdefault(packet.stream, _Timeline()))
        stream = packet.stream
    bodies = (
        body
        for packet in packets
        for body in (packet.data, *(data for _, data in packet.side_data))
    )
    return b"".join((table, *bodies))


def parse_packets(payload: bytes) -> tuple[StreamPacket, ...]:
    """The packets in a pckt payload."""
    fields = FieldReader(payload)
    count = fields.varint()
    check_range("the number of packets", count, 1, layout.MAX_PACKETS)
    timelines: dict[int, _Timeline] = {}
    rows: list[_Row] = []
    stream = 0
    for _ in range(count):
        row = _take_row(fields, stream, timelines)
        stream = row.stream
        rows.append(row)
    packets = tuple(
        StreamPacket(
            row.stream,
            row.pts,
            row.dts,
            row.duration,
            row.is_keyframe,
            fields.take(row.length),
            tuple((name, fields.take(length)) for name, length in row.side_data),
        )
        for row in rows
    )
    fields.end()
    return packets


@dataclass(frozen=True, slots=True)
class _Row:
    """A packet without its bytes."""

    stream: int
    pts: int | None
    dts: int | None
    duration: int
    is_keyframe: bool
    length: int
    side_data: tuple[tuple[str, int], ...]  # name, length


def _append_row(out: bytearray, packet: StreamPacket, stream: int, timeline: _Timeline) -> None:
    _check(packet.stream, packet.pts, packet.dts, packet.duration)
    flags = layout.IS_KEYFRAME if packet.is_keyframe else 0
    elements = bytearray()
    if packet.stream != stream:
        flags |= layout.STREAM_FOLLOWS
        append_varint(elements, packet.stream)
    time = timeline.time
    if packet.pts is not None:
        flags |= layout.HAS_PTS
        if packet.pts != time:
            flags |= layout.PTS_FOLLOWS
            append_signed_varint(elements, packet.pts - time)
        time = packet.pts
    if packet.dts is not None:
        flags |= layout.HAS_DTS
        if packet.dts != time:
            flags |= layout.DTS_FOLLOWS
            append_signed_varint(elements, packet.dts - time)
    if packet.duration != timeline.duration:
        flags |= layout.DURATION_FOLLOWS
        append_signed_varint(elements, packet.duration - timeline.duration)
    append_varint(elements, len(packet.data))
    if packet.side_data:
        flags |= layout.SIDE_DATA_FOLLOWS
        _check_side_data_count(len(packet.side_data))
        append_varint(elements, len(packet.side_data))
        for name, data in packet.side_data:
            append_text(elements, name)
            append_varint(elements, len(data))
    out.append(flags)
    out += elements
    timeline.advance(packet.pts, packet.dts, packet.duration)


def _take_row(fields: FieldReader, stream: int, timelines: dict[int, _Timeline]) -> _Row:
    flags = fields.take(1)[0]
    if flags & layout.PTS_FOLLOWS and not flags & layout.HAS_PTS:
        raise Malformed("a packet has no PTS and states one")
    if flags & layout.DTS_FOLLOWS and not flags & layout.HAS_DTS:
        raise Malformed("a packet has no DTS and states one")
    if flags & layout.STREAM_FOLLOWS:
        stream = fields.varint()
    timeline = timelines.setdefault(stream, _Timeline())
    time, pts, dts = timeline.time, None, None
    if flags & layout.HAS_PTS:
        time = pts = time + (fields.signed_varint() if flags & layout.PTS_FOLLOWS else 0)
    if flags & layout.HAS_DTS:
        dts = time + (fields.signed_varint() if flags & layout.DTS_FOLLOWS else 0)
    duration = timeline.duration
    if flags & layout.DURATION_FOLLOWS:
        duration += fields.signed_varint()
    _check(stream, pts, dts, duration)
    length = fields.varint()
    side_data: tuple[tuple[str, int], ...] = ()
    if flags & layout.SIDE_DATA_FOLLOWS:
        count = fields.varint()
        _check_side_data_count(count)
        side_data = tuple((fields.text(), fields.varint()) for _ in range(count))
    timeline.advance(pts, dts, duration)
    is_keyframe = bool(flags & layout.IS_KEYFRAME)
    return _Row(stream, pts, dts, duration, is_keyframe, length, side_data)


def _check(stream: int, pts: int | None, dts: int | None, duration: int) -> None:
    check_range("the stream of a packet", stream, 0, layout.MAX_STREAMS - 1)
    for name, time in (("PTS", pts), ("DTS", dts)):
        if time is not None:
            bound = layout.MAX_PACKET_TIME
            check_range(f"the {name} of a packet of stream {stream}", time, -bound, bound)
    check_range(f"the duration of a packet of stream {stream}", duration, 0, layout.MAX_PACKET_TIME)


def _check_side_data_count(count: int) -> None:
    check_range("the number of side data of a packet", count, 1, layout.MAX_SIDE_DATA)
