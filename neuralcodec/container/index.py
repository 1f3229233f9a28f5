"""The index: where each GOP of a seekable file lies, and which one holds a frame or a time."""

import io
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from neuralcodec.container import layout
from neuralcodec.container.chunks import Chunk, ChunkStream, FileSpan, ForwardBuffer
from neuralcodec.container.layout import Malformed
from neuralcodec.container.payloads import parse_index, parse_tail
from neuralcodec.container.records import IndexEntry


def find_gop(index: Sequence[IndexEntry], pts: int) -> int:
    """The number of the GOP shown at a time in units of the time base.

    It is the last one that begins no later; the first where all begin later. Raises ValueError for
    an empty index.
    """
    return _last_not_after(index, bisect_right(index, pts, key=lambda entry: entry.first_pts))


def find_gop_of_frame(index: Sequence[IndexEntry], frame: int) -> int:
    """The number of the GOP that holds the frame of this number, from 0.

    Where that frame is lost or beyond the end it is the GOP before it; the first where there is
    none. Raises ValueError for an empty index.
    """
    return _last_not_after(index, bisect_right(index, frame, key=lambda entry: entry.first_frame))


def _last_not_after(index: Sequence[IndexEntry], later: int) -> int:
    if not index:
        raise ValueError("the file holds no GOP")
    return max(later - 1, 0)


def stream_at(file: BinaryIO, offset: int, end: int | None = None) -> ChunkStream:
    """The chunks of a seekable file from an offset on, read apart from its own position."""
    return ChunkStream(ForwardBuffer(FileSpan(file, offset, end), offset))


@dataclass(frozen=True, slots=True)
class StoredTail:
    """What TAIL says."""

    index_offset: int  # within the file
    frames: int


def read_stored_tail(file: BinaryIO) -> StoredTail | None:
    """TAIL at the end of a seekable file; None where it is missing or damaged."""
    position = file.tell()
    try:
        size = file.seek(0, io.SEEK_END)
    finally:
        file.seek(position)
    chunk = _chunk_at(file, max(0, size - layout.TAIL_CHUNK_SIZE), layout.TAIL)
    if chunk is None or chunk.end != size:
        return None
    try:
        index_offset, frames = parse_tail(chunk.payload)
    except Malformed:
        return None
    return StoredTail(index_offset, frames) if index_offset <= size else None


def read_stored_index(
    file: BinaryIO, first_chunk: int, max_gop_frames: int
) -> list[IndexEntry] | None:
    """The index at the end of a file whose GOPs begin at `first_chunk` or after it.

    None where it is missing, damaged or cannot be true.
    """
    tail = read_stored_tail(file)
    index = None if tail is None else _chunk_at(file, tail.index_offset, layout.INDX)
    if tail is None or index is None:
        return None
    try:
        entries = parse_index(index.payload)
    except Malformed:
        return None
    offset, next_frame = first_chunk, 0
    for entry in entries:
        if entry.offset < offset or entry.first_frame != next_frame:
            return None
        if not 1 <= entry.frame_count <= max_gop_frames:
            return None
        offset = entry.offset + layout.CHUNK_OVERHEAD
        next_frame += entry.frame_count
    return entries if offset <= tail.index_offset and next_frame == tail.frames else None


def _chunk_at(file: BinaryIO, offset: int, chunk_type: bytes) -> Chunk | None:
    try:
        chunk = stream_at(file, offset).read()
    except Malformed:
        return None
    return chunk if chunk is not None and chunk.type == chunk_type else None


def end_of_gop(file: BinaryIO, entry: IndexEntry, limit: int | None) -> int | None:
    """Offset after the GOPS chunk of an entry, from its head alone.

    None where no such chunk begins there or it is said to reach beyond `limit`.
    """
    head = FileSpan(file, entry.offset).read(layout.CHUNK_HEAD.size)
    if len(head) < layout.CHUNK_HEAD.size:
        return None
    chunk_type, length = layout.CHUNK_HEAD.unpack(head)
    end: int = entry.offset + layout.CHUNK_OVERHEAD + length
    return end if chunk_type == layout.GOPS and (limit is None or end <= limit) else None
