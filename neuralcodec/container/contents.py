"""What the chunks after the descriptions mean: GOPs in order, statistics, packets of other
streams, and everything that is wrong.

Guarantee: a GOP given here is as it was written, its frames are numbered above all frames before
it, and frames that are missing are covered by damage given before it. Packets given here are as
they were written, and of streams that are described.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from neuralcodec.container import layout
from neuralcodec.container.chunks import Chunk, ChunkStream
from neuralcodec.container.descriptions import Descriptions
from neuralcodec.container.head import check_head_copy
from neuralcodec.container.layout import Malformed, check_range
from neuralcodec.container.packets import parse_packets
from neuralcodec.container.payloads import (
    parse_end,
    parse_gop,
    parse_index,
    parse_stats,
    parse_tail,
)
from neuralcodec.container.records import (
    Damage,
    GopPlace,
    GopRecord,
    GopStats,
    PacketsContent,
    StreamHeader,
)


@dataclass(frozen=True, slots=True)
class FrameTotal:
    """How many frames the file says at its end that it holds."""

    frames: int


@dataclass(frozen=True, slots=True)
class EndTime:
    """When the last frame ends, as the file says."""

    pts: int


@dataclass(frozen=True, slots=True)
class Located:
    """Something found in a file."""

    offset: int  # of its chunk
    content: GopRecord | GopStats | PacketsContent | Damage | FrameTotal | EndTime


@dataclass(frozen=True, slots=True)
class Span:
    """The part of a file that is walked over."""

    gops: int = 0  # before it
    frames: int = 0  # before it
    ends_with_tail: bool = True


class ContentsWalk:
    """One pass over the chunks after the descriptions, to TAIL or to the end of what there is.

    Iterate it once.
    """

    def __init__(
        self, stream: ChunkStream, head: StreamHeader, described: Descriptions, span: Span
    ):
        self._stream = stream
        self._head = head
        self._described = described
        self._packet_streams = described.packet_streams
        self._ends_with_tail = span.ends_with_tail
        self._gops = span.gops  # GOPS chunks so far, damaged ones as well
        self._frames = span.frames  # the number that the next frame should have
        # Damage since the last GOP may have taken frames.
        self._gap_explained = bool(described.damage)

    def __iter__(self) -> Iterator[Located]:
        reached, tail_seen = self._stream.offset, False
        damaged_to = self._described.damage[-1].end if self._described.damage else -1
        while (item := self._stream.read_past_damage()) is not None:
            if isinstance(item, Damage):
                self._gap_explained = True
                reached = damaged_to = item.end
                if item.chunk_type == layout.GOPS.decode():
                    item = replace(item, gop=self._gops)
                    self._gops += 1
                yield Located(item.start, item)
                continue
            reached = item.end
            try:
                yield from self._read_chunk(item)
            except Malformed as fault:
                is_gop = item.type == layout.GOPS
                yield self._damage(item, str(fault), self._gops if is_gop else None)
            if item.type == layout.GOPS:
                self._gops += 1
            if item.type == layout.TAIL:
                tail_seen = True
                if not self._is_stray_tail(item):
                    yield from self._check_nothing_follows(item.end)
                    return
        if self._ends_with_tail and not tail_seen and damaged_to != reached:
            what = "it ends without its TAIL chunk: it was cut, or its writing was stopped"
            yield Located(reached, Damage(what, None, None, reached, reached, ends_file=True))

    def _read_chunk(self, chunk: Chunk) -> Iterator[Located]:
        if chunk.type == layout.GOPS:
            yield from self._read_gop(chunk)
        elif chunk.type == layout.STAT:
            yield Located(chunk.start, parse_stats(chunk.payload))
        elif chunk.type == layout.PCKT:
            yield from self._read_packets(chunk)
        elif chunk.type == layout.ENDT:
            yield Located(chunk.start, EndTime(parse_end(chunk.payload)))
        elif chunk.type == layout.TAIL:
            _, frames = parse_tail(chunk.payload)
            yield Located(chunk.start, FrameTotal(frames))
            if frames != self._frames and not self._gap_explained:
                raise Malformed(f"the file should hold {frames} frames, not {self._frames}")
        elif chunk.type == layout.INDX:
            if entries := parse_index(chunk.payload):
                frames = entries[-1].first_frame + entries[-1].frame_count
                yield Located(chunk.start, FrameTotal(frames))
        elif chunk.type == layout.HEAD_COPY:
            check_head_copy(chunk.payload, self._head)
        elif chunk.type == layout.HEAD:
            raise Malformed("a second header")
        elif chunk.type in layout.DESCRIPTIONS:
            raise Malformed("its place is before all GOPs and packets")
        elif chunk.type[:1].isupper():
            raise Malformed("a chunk that this version does not know: made by a newer ncodec")

    def _read_gop(self, chunk: Chunk) -> Iterator[Located]:
        gop = parse_gop(chunk.payload)
        check_range("the number of frames", len(gop.frames), 1, self._head.max_gop_frames)
        if gop.first_frame < self._frames:
            raise Malformed(f"frame {gop.first_frame} comes again")
        if gop.first_frame > self._frames and not self._gap_explained:
            what = f"frames {self._frames} to {gop.first_frame - 1} are missing before it"
            yield Located(
                chunk.start,
                Damage(what, chunk.type.decode(), self._gops, chunk.start, chunk.start),
            )
        self._frames = gop.first_frame + len(gop.frames)
        self._gap_explained = False
        place = GopPlace(self._gops, chunk.start, chunk.end)
        yield Located(chunk.start, replace(gop, place=place))

    def _read_packets(self, chunk: Chunk) -> Iterator[Located]:
        packets = parse_packets(chunk.payload)
        of_known = tuple(p for p in packets if p.stream in self._packet_streams)
        # Where a description was lost, that has been reported: not once more for every chunk.
        if len(of_known) < len(packets) and not self._described.damage:
            unknown = next(p.stream for p in packets if p.stream not in self._packet_streams)
            raise Malformed(f"a packet of stream {unknown}, which is not described")
        if of_known:
            yield Located(chunk.start, PacketsContent(of_known))

    def _damage(self, chunk: Chunk, what: str, gop: int | None) -> Located:
        self._gap_explained = True
        damage = Damage(what, chunk.type.decode(), gop, chunk.start, chunk.end)
        return Located(chunk.start, damage)

    def _is_stray_tail(self, chunk: Chunk) -> bool:
        """Whether it got among the GOPs: it promises more, and a chunk of the file follows. Behind
        a true TAIL there may be another file, but that begins with its signature."""
        promised = len(chunk.payload) == layout.TAIL_FIXED.size
        more = promised and parse_tail(chunk.payload)[1] > self._frames
        return more and layout.CHUNKS_AFTER_HEAD.fullmatch(self._stream.next_type()) is not None

    def _check_nothing_follows(self, end: int) -> Iterator[Located]:
        self._stream.buffer.skip_all()
        file_end = self._stream.buffer.offset
        if file_end > end:
            what = "more follows its TAIL chunk: .nlc files cannot be joined end to end"
            yield Located(end, Damage(what, None, None, end, file_end))
