"""Reading an .nlc file: forward from a file or a live pipe, or in parts through its index.

Guarantee: whatever bytes a file holds, reading raises no error but `DamagedFile` (and OSError where
the operating system fails), ends in time linear in the file, and needs memory in proportion to the
largest chunk that is really there, never to what a length field says.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import BinaryIO

from neuralcodec.container import layout
from neuralcodec.container.beginning import read_beginning
from neuralcodec.container.chunks import ChunkStream, ForwardBuffer
from neuralcodec.container.contents import ContentsWalk, EndTime, FrameTotal, Located, Span
from neuralcodec.container.descriptions import Descriptions, read_descriptions
from neuralcodec.container.index import end_of_gop, read_stored_index, stream_at
from neuralcodec.container.layout import Malformed
from neuralcodec.container.losses import LossFinder
from neuralcodec.container.payloads import parse_gop, parse_stats
from neuralcodec.container.records import (
    Content,
    Damage,
    Extras,
    GopContent,
    GopPlace,
    GopRecord,
    GopStats,
    IndexEntry,
    Loss,
    PacketsContent,
    StreamHeader,
)
from neuralcodec.errors import DamagedFile

_ADVICE = "use --keep-going to decode the undamaged GOPs"
_NO_ADVICE = "there is no undamaged GOP: get the file again"
_CUT_ADVICE = "all before it is whole: use --keep-going to decode that"


class ContainerReader:
    """Reads one video and what goes with it.

    `file` is a binary file at its start, or a pipe. `name` is what error messages call it.
    Raises DamagedFile where the file is no .nlc file, was made by a newer major version, or its
    header and its copies are damaged, without which nothing can be decoded. Where a copy takes the
    place of a damaged beginning, that is damage as any other.
    """

    def __init__(self, file: BinaryIO, name: str):
        self._file = file
        self._name = name
        # What was met so far with `keep_going`, in the order of meeting it, each once
        self.damage: list[Damage] = []
        self.frame_total: int | None = None  # in the file, once `contents` has found its end say so
        # When the last frame ends, once `contents` has found that the file says so
        self.end_pts: int | None = None
        self._known_damage: set[Damage] = set()
        self._stream = ChunkStream(ForwardBuffer(file))
        beginning = read_beginning(file, self._stream, name)
        self._head: StreamHeader = beginning.head
        self._damaged_beginning = beginning.damage
        self._first_chunk = self._stream.offset
        self._descriptions: Descriptions | None = None
        self._index: list[IndexEntry] | None = None

    @property
    def header(self) -> StreamHeader:
        """What a decoder must know, as far as it is undamaged.

        From a pipe it is given as soon as the first GOP or packet begins to arrive.
        """
        described = self._described()
        return replace(self._head, format=described.complete(self._head.format))

    @property
    def extras(self) -> Extras:
        """Tags, chapters and other streams, as far as they are undamaged; from a pipe as `header`.

        What is damaged is reported by `contents` and `gops`.
        """
        return self._described().extras

    def contents(self, keep_going: bool = False) -> Iterator[Content]:
        """Every GOP and every group of packets in file order.

        Reads forward only; iterate once. Needs no index and no end of the file. A GOP from a pipe
        is given as soon as the chunk after it has arrived, packets at once.

        Raises DamagedFile at the first damage, after all before it has been given and the next
        undamaged GOP has told what is lost. With `keep_going`, damage is collected in `damage`
        instead, with what it costs as soon as that is known, and reading goes on at the next
        undamaged chunk; DamagedFile is raised only after 10,000 damaged places.
        """
        described = self._described()
        walk = ContentsWalk(self._stream, self._head, described, Span())
        yield from self._given(chain(_damage_of(described), walk), keep_going, 0)

    def gops(self, keep_going: bool = False) -> Iterator[tuple[GopRecord, GopStats | None]]:
        """Every GOP in file order, with its statistics; otherwise as `contents`."""
        for content in self.contents(keep_going):
            if isinstance(content, GopContent):
                yield content.gop, content.stats

    def contents_between(
        self, first_gop: int, end_gop: int, keep_going: bool = False
    ) -> Iterator[Content]:
        """The GOPs of a seekable file from `first_gop` up to, not including, `end_gop`, both
        positions in `index`, with the packets directly before each of them and before `end_gop`.

        Up to the number of GOPs, which includes the packets after the last one. Reads that part of
        the file alone, and does not disturb `contents`. Damage as in `contents`; a damaged
        beginning counts as part of every part. Raises ValueError for numbers out of range,
        io.UnsupportedOperation where the file cannot seek.
        """
        index = self._kept_index()
        if not 0 <= first_gop <= end_gop <= len(index):
            raise ValueError(f"GOPs {first_gop} to {end_gop} of {len(index)}")
        described = self._described()
        end = index[end_gop].offset if end_gop < len(index) else None
        start, span = described.end, Span(ends_with_tail=end is None)
        if first_gop and index[first_gop - 1].offset >= start:
            before = index[first_gop - 1]
            limit = index[first_gop].offset if first_gop < len(index) else None
            after_gop = end_of_gop(self._file, before, limit)
            if after_gop is None:
                # Its damage hides where it ends: it is looked for from there.
                start = before.offset
                span = replace(span, gops=first_gop - 1, frames=before.first_frame)
            else:
                start = after_gop
                frames = before.first_frame + before.frame_count
                span = replace(span, gops=first_gop, frames=frames)
        stream = stream_at(self._file, start, end)
        walk = ContentsWalk(stream, self._head, described, span)
        return self._given(chain(_damage_of(described), walk), keep_going, span.frames)

    @property
    def bytes_read(self) -> int:
        """Of the file, by `contents` or `gops` and the header so far."""
        return self._stream.buffer.offset

    def index(self) -> list[IndexEntry]:
        """Where the GOPs of a seekable file are, in file order.

        Read from the end of the file or, where that is missing or damaged, found by reading all of
        it: then only undamaged GOPs are listed. Does not disturb `contents`. Raises
        io.UnsupportedOperation where the file cannot seek.
        """
        return list(self._kept_index())

    def read_gop(self, entry: IndexEntry) -> tuple[GopRecord, GopStats | None]:
        """One GOP of a seekable file, with its statistics where they are there and undamaged.

        Does not disturb `contents`. Raises DamagedFile where that GOP is damaged or not there.
        """
        stream = stream_at(self._file, entry.offset)
        try:
            chunk = stream.read()
            if chunk is None or chunk.type != layout.GOPS:
                raise Malformed("no GOP is where the index says")
            place = GopPlace(None, chunk.start, chunk.end)
            gop = replace(parse_gop(chunk.payload), place=place)
            found = (gop.first_frame, len(gop.frames), gop.frames[0].pts)
            if found != (entry.first_frame, entry.frame_count, entry.first_pts):
                raise Malformed("another GOP is where the index says")
        except Malformed as fault:
            seconds = float(entry.first_pts * self._head.format.time_base)
            frames = f"frames {entry.first_frame} to {entry.first_frame + entry.frame_count - 1}"
            lost = f"({frames}, from {seconds:.3f} s on)"
            what = f"the GOP at byte {entry.offset} {lost} is damaged: {fault}; {_ADVICE}"
            raise self._damaged(what, entry.offset) from fault
        if stream.next_type() != layout.STAT:
            return gop, None
        try:
            after = stream.read()
            return gop, _stats_of(gop, parse_stats(after.payload)) if after else None
        except Malformed:
            return gop, None

    def _described(self) -> Descriptions:
        if self._descriptions is None:
            found = read_descriptions(self._stream, self._head)
            if self._damaged_beginning is not None:
                found = replace(found, damage=(self._damaged_beginning, *found.damage))
            self._descriptions = found
        return self._descriptions

    def _given(
        self, found: Iterator[Located], keep_going: bool, frames_before: int
    ) -> Iterator[Content]:
        losses = LossFinder(self._head.format, frames_before)
        unsettled: list[int] = []  # places in `damage` of what was met since the last GOP
        held: GopRecord | None = None
        for located in found:
            content = located.content
            if held is not None:
                yield GopContent(held, _stats_of(held, content))
                held = None
            if isinstance(content, GopRecord):
                for place in unsettled:
                    self._settle(place, losses.before(self.damage[place], content))
                unsettled = []
                losses.pass_gop(content)
                held = content
            elif isinstance(content, PacketsContent):
                yield content
            elif isinstance(content, FrameTotal):
                self.frame_total = losses.total = content.frames
            elif isinstance(content, EndTime):
                self.end_pts = content.pts
            elif isinstance(content, Damage):
                if not keep_going:
                    raise self._refused(content, losses, found)
                unsettled += self._note(content)
        if held is not None:
            yield GopContent(held, None)
        for place in unsettled:
            self._settle(place, losses.at_end(self.damage[place]))

    def _note(self, damage: Damage) -> list[int]:
        """Its place in `damage`; none where it is there already."""
        if damage in self._known_damage:
            return []
        if len(self.damage) == layout.MAX_DAMAGES:
            raise self._damaged("it is damaged in too many places", damage.start)
        self.damage.append(damage)
        self._known_damage.add(damage)
        return [len(self.damage) - 1]

    def _settle(self, place: int, loss: Loss | None) -> None:
        self.damage[place] = replace(self.damage[place], loss=loss)

    def _refused(self, damage: Damage, losses: LossFinder, rest: Iterator[Located]) -> DamagedFile:
        """The error for damage; reads on to the next undamaged GOP, or the end."""
        loss: Loss | None = None
        is_all = losses.has_passed_none
        for located in rest:
            if isinstance(located.content, FrameTotal):
                losses.total = located.content.frames
            elif isinstance(located.content, GopRecord):
                loss = losses.before(damage, located.content)
                is_all = False
                break
        else:
            loss = losses.at_end(damage)
        advice = _CUT_ADVICE if damage.ends_file else _ADVICE
        if is_all:
            advice = _NO_ADVICE
        what = f"{replace(damage, loss=loss)}; {advice}"
        return self._damaged(what, damage.start, damage.gop)

    def _kept_index(self) -> list[IndexEntry]:
        if self._index is None:
            longest = self._head.max_gop_frames
            # A GOP may be part of the damaged beginning: its time is known all the same.
            first = layout.FIRST_CHUNK if self._damaged_beginning else self._first_chunk
            stored = read_stored_index(self._file, first, longest)
            self._index = self._scanned_index() if stored is None else stored
        return self._index

    def _scanned_index(self) -> list[IndexEntry]:
        stream = stream_at(self._file, self._first_chunk)
        described = read_descriptions(stream, self._head)
        entries: list[IndexEntry] = []
        for located in ContentsWalk(stream, self._head, described, Span()):
            gop = located.content
            if isinstance(gop, GopRecord):
                if len(entries) == layout.MAX_GOPS:
                    raise self._damaged("it holds too many GOPs", located.offset)
                pts = gop.frames[0].pts
                entries.append(IndexEntry(located.offset, gop.first_frame, len(gop.frames), pts))
        return entries

    def _damaged(self, what: str, offset: int, gop: int | None = None) -> DamagedFile:
        return DamagedFile(f"{self._name}: {what}", offset=offset, gop=gop)


def _damage_of(described: Descriptions) -> Iterator[Located]:
    return (Located(damage.start, damage) for damage in described.damage)


def _stats_of(gop: GopRecord, content: object) -> GopStats | None:
    if not isinstance(content, GopStats) or content.first_frame != gop.first_frame:
        return None
    return content if len(content.psnr) == len(gop.frames) else None
