"""Reading an .nlc file: forward from a file or a live pipe, or GOP by GOP through its index.

Guarantee: whatever bytes a file holds, reading raises no error but `DamagedFile` (and OSError where
the operating system fails), ends in time linear in the file, and needs memory in proportion to the
largest GOP that is really there, never to what a length field says.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from neuralcodec.container import layout
from neuralcodec.container.chunks import Chunk, ChunkStream, ForwardBuffer
from neuralcodec.container.contents import ContentsWalk
from neuralcodec.container.head import parse_head
from neuralcodec.container.layout import Malformed
from neuralcodec.container.payloads import parse_gop, parse_index, parse_stats, parse_tail
from neuralcodec.container.records import Damage, GopRecord, GopStats, IndexEntry, StreamHeader
from neuralcodec.errors import DamagedFile

_ADVICE = "use --keep-going to decode the undamaged GOPs"


class ContainerReader:
    """Reads one stream; `header` is known at once.

    `file` is a binary file at its start, or a pipe. `name` is what error messages call it.
    Raises DamagedFile where the file is no .nlc file, was made by a newer major version, or its
    header is damaged, without which nothing can be decoded.
    """

    def __init__(self, file: BinaryIO, name: str):
        self._file = file
        self._name = name
        self.damage: list[Damage] = []  # what `gops(keep_going=True)` met so far, in file order
        buffer = ForwardBuffer(file)
        self._check_version(buffer)
        self._stream = ChunkStream(buffer)
        self.header: StreamHeader = self._read_header()
        self._first_chunk = buffer.offset

    def gops(self, keep_going: bool = False) -> Iterator[tuple[GopRecord, GopStats | None]]:
        """Every GOP in file order, with its statistics where they are there and undamaged.

        Reads forward only; iterate once. Needs no index and no end of the file. A GOP from a pipe
        is given as soon as the chunk after it has arrived.

        Raises DamagedFile at the first damage, after all GOPs before it have been given. With
        `keep_going`, damage is collected in `damage` instead and reading goes on at the next
        undamaged chunk; DamagedFile is raised only after 10,000 damaged places.
        """
        held: GopRecord | None = None
        for located in ContentsWalk(self._stream, self.header.max_gop_frames):
            content = located.content
            if held is not None:
                yield held, _stats_of(held, content)
                held = None
            if isinstance(content, GopRecord):
                held = content
            elif isinstance(content, Damage):
                if not keep_going:
                    raise self._damaged(f"{content}; {_ADVICE}", content.start, content.gop)
                if len(self.damage) == layout.MAX_DAMAGES:
                    raise self._damaged("it is damaged in too many places", content.start)
                self.damage.append(content)
        if held is not None:
            yield held, None

    @property
    def bytes_read(self) -> int:
        """Of the file, by `gops` and the header so far."""
        return self._stream.buffer.offset

    def index(self) -> list[IndexEntry]:
        """Where the GOPs of a seekable file are, in file order.

        Read from the end of the file or, where that is missing or damaged, found by reading all of
        it: then only undamaged GOPs are listed. Does not disturb `gops`. Raises
        io.UnsupportedOperation where the file cannot seek.
        """
        with self._position_kept():
            entries = self._stored_index()
            return self._scanned_index() if entries is None else entries

    def read_gop(self, entry: IndexEntry) -> tuple[GopRecord, GopStats | None]:
        """One GOP of a seekable file, with its statistics where they are there and undamaged.

        Does not disturb `gops`. Raises DamagedFile where that GOP is damaged or not there.
        """
        with self._position_kept():
            stream = self._stream_at(entry.offset)
            try:
                chunk = stream.read()
                if chunk is None or chunk.type != layout.GOPS:
                    raise Malformed("no GOP is where the index says")
                gop = parse_gop(chunk.payload)
                found = (gop.first_frame, len(gop.frames), gop.frames[0].pts)
                if found != (entry.first_frame, entry.frame_count, entry.first_pts):
                    raise Malformed("another GOP is where the index says")
            except Malformed as fault:
                what = f"the GOP at byte {entry.offset} is damaged: {fault}; {_ADVICE}"
                raise self._damaged(what, entry.offset) from fault
            try:
                after = stream.read()
                if after is not None and after.type == layout.STAT:
                    return gop, _stats_of(gop, parse_stats(after.payload))
            except Malformed:
                pass
            return gop, None

    def _check_version(self, buffer: ForwardBuffer) -> None:
        size = len(layout.SIGNATURE) + layout.VERSION.size
        start = buffer.copy(0, buffer.fill(size))
        if not start:
            raise self._damaged("it is empty", 0)
        if not start.startswith(layout.SIGNATURE):
            if start.startswith(layout.SIGNATURE[:4]):
                raise self._damaged("its first bytes were altered, as by a text-mode transfer", 0)
            raise self._damaged("it is not an .nlc file", 0)
        if len(start) < size:
            raise self._damaged("it ends inside its version", len(start))
        major, minor = layout.VERSION.unpack(start[len(layout.SIGNATURE) :])
        if major != layout.MAJOR:
            maker = "a newer" if major > layout.MAJOR else "another"
            what = (
                f"made by {maker} ncodec (format {major}.{minor}; this one reads {layout.MAJOR}.x)"
            )
            raise self._damaged(what, len(layout.SIGNATURE))
        buffer.skip(size)

    def _read_header(self) -> StreamHeader:
        start = self._stream.buffer.offset
        try:
            chunk = self._stream.read()
            if chunk is None or chunk.type != layout.HEAD:
                raise Malformed("it is missing")
            return parse_head(chunk.payload)
        except Malformed as fault:
            what = (
                f"its header (HEAD chunk, at byte {start}) is damaged: {fault}; "
                "without it nothing can be decoded: get the file again"
            )
            raise self._damaged(what, start) from fault

    def _stored_index(self) -> list[IndexEntry] | None:
        size = self._file.seek(0, io.SEEK_END)
        tail = self._chunk_at(size - layout.TAIL_CHUNK_SIZE, layout.TAIL)
        if tail is None or tail.end != size:
            return None
        index_offset, frames = parse_tail(tail.payload)
        index = self._chunk_at(min(index_offset, size), layout.INDX)
        if index is None:
            return None
        try:
            entries = parse_index(index.payload)
        except Malformed:
            return None
        offset, next_frame = self._first_chunk, 0
        for entry in entries:
            if entry.offset < offset or entry.first_frame != next_frame:
                return None
            if not 1 <= entry.frame_count <= self.header.max_gop_frames:
                return None
            offset = entry.offset + layout.CHUNK_OVERHEAD
            next_frame += entry.frame_count
        return entries if offset <= index_offset and next_frame == frames else None

    def _scanned_index(self) -> list[IndexEntry]:
        stream = self._stream_at(self._first_chunk)
        entries: list[IndexEntry] = []
        for located in ContentsWalk(stream, self.header.max_gop_frames):
            gop = located.content
            if isinstance(gop, GopRecord):
                if len(entries) == layout.MAX_GOPS:
                    raise self._damaged("it holds too many GOPs", located.offset)
                pts = gop.frames[0].pts
                entries.append(IndexEntry(located.offset, gop.first_frame, len(gop.frames), pts))
        return entries

    def _chunk_at(self, offset: int, chunk_type: bytes) -> Chunk | None:
        try:
            chunk = self._stream_at(offset).read()
        except Malformed:
            return None
        return chunk if chunk is not None and chunk.type == chunk_type else None

    def _stream_at(self, offset: int) -> ChunkStream:
        self._file.seek(offset)
        return ChunkStream(ForwardBuffer(self._file, offset))

    @contextmanager
    def _position_kept(self) -> Iterator[None]:
        position = self._file.tell()
        try:
            yield
        finally:
            self._file.seek(position)

    def _damaged(self, what: str, offset: int, gop: int | None = None) -> DamagedFile:
        return DamagedFile(f"{self._name}: {what}", offset=offset, gop=gop)


def _stats_of(gop: GopRecord, content: GopRecord | GopStats | Damage) -> GopStats | None:
    if not isinstance(content, GopStats) or content.first_frame != gop.first_frame:
        return None
    return content if len(content.psnr) == len(gop.frames) else None
