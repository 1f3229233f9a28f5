"""The beginning of an .nlc file: signature, version and HEAD; where they are damaged, the copy of
HEAD that the file holds further on.

Guarantee: of a sound beginning no byte is asked for beyond HEAD. A copy is looked for in the first
`layout.MAX_COPY_SEARCH` bytes, in time linear in them, and at the end of a seekable file.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from neuralcodec.container import layout
from neuralcodec.container.chunks import BytesAhead, Chunk, ChunkStream, ForwardBuffer
from neuralcodec.container.head import parse_head, parse_head_copy
from neuralcodec.container.index import read_stored_tail, stream_at
from neuralcodec.container.layout import Malformed
from neuralcodec.container.records import Damage, StreamHeader
from neuralcodec.errors import DamagedFile

# What looks like a chunk and is none: chance gives a few in a file, a forged one could go on with
# them for minutes.
_MAX_ATTEMPTS = 1 << 16


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a decoder must know, and what is wrong with the place where it should stand."""

    head: StreamHeader
    damage: Damage | None


@dataclass(frozen=True, slots=True)
class _Fault:
    what: str  # where a copy of HEAD is found
    refusal: str  # where none is
    offset: int


@dataclass(frozen=True, slots=True)
class _FoundCopy:
    head: StreamHeader
    offset: int


def read_beginning(file: BinaryIO, stream: ChunkStream, name: str) -> Beginning:
    """The header of a file, called `name` in errors, whose bytes `stream` is to read from the first
    one on; then the next chunk of `stream` is the first sound one after the header.

    Raises DamagedFile where the file is no .nlc file, was made by a newer major version, or its
    header and all copies that can be found are damaged.
    """
    buffer = stream.buffer
    fault = _fault_of_start(buffer.copy(0, buffer.fill(layout.FIRST_CHUNK)))
    start_is_sound = fault is None
    if fault is None:
        buffer.skip(layout.FIRST_CHUNK)
        try:
            return Beginning(_read_head(stream), None)
        except Malformed as malformed:
            fault = _fault_of_head(malformed)
    found = _find_copy(file, buffer)
    if found is None:
        raise DamagedFile(f"{name}: {fault.refusal}", offset=fault.offset)
    what = f"{fault.what}; the copy of its header at byte {found.offset} is used"
    if start_is_sound:
        end = _pass_damage(stream)
        damage = Damage(what, layout.HEAD.decode(), None, layout.FIRST_CHUNK, end)
        return Beginning(found.head, damage)
    ahead = _stream_ahead(buffer, layout.FIRST_CHUNK)
    try:
        head = _read_head(ahead)
    except Malformed:
        return Beginning(found.head, Damage(what, None, None, 0, _pass_damage(stream)))
    buffer.skip(ahead.offset)
    return Beginning(head, Damage(what, None, None, 0, layout.FIRST_CHUNK))


def _fault_of_start(start: bytes) -> _Fault | None:
    """What is wrong with the bytes before HEAD; fewer where the file ends among them."""
    altered = "its signature is damaged"
    if not start:
        return _Fault(altered, "it is empty", 0)
    if not start.startswith(layout.SIGNATURE):
        if start.startswith(layout.SIGNATURE[:4]):
            refusal = "its first bytes were altered, as by a text-mode transfer"
            return _Fault(altered, refusal, 0)
        return _Fault(altered, "it is not an .nlc file", 0)
    if len(start) < layout.FIRST_CHUNK:
        return _Fault("it ends", "it ends inside its version", len(start))
    major, minor = layout.VERSION.unpack(start[len(layout.SIGNATURE) :])
    if major != layout.MAJOR:
        maker = "a newer" if major > layout.MAJOR else "another"
        return _Fault(
            f"its version is damaged (it says {major}.{minor})",
            f"made by {maker} ncodec (format {major}.{minor}; this one reads {layout.MAJOR}.x)",
            len(layout.SIGNATURE),
        )
    return None


def _fault_of_head(malformed: Malformed) -> _Fault:
    refusal = (
        f"its header (HEAD chunk, at byte {layout.FIRST_CHUNK}) is damaged: {malformed}; "
        "without it nothing can be decoded: get the file again"
    )
    return _Fault(str(malformed), refusal, layout.FIRST_CHUNK)


def _read_head(stream: ChunkStream) -> StreamHeader:
    # Its type is looked at first: another chunk may be large, and is still to be read.
    if stream.next_type() != layout.HEAD:
        raise Malformed("it is missing")
    chunk = stream.read()
    if chunk is None:
        raise Malformed("it is missing")
    return parse_head(chunk.payload)


def _pass_damage(stream: ChunkStream) -> int:
    """Offset of the next sound chunk, which is the next one of the stream; or of the end."""
    item = stream.read_past_damage()
    if isinstance(item, Chunk) and item.type == layout.HEAD:
        item = stream.read_past_damage()  # all before HEAD is cut off
    if isinstance(item, Chunk):
        stream.unread(item)
    return stream.offset


def _find_copy(file: BinaryIO, buffer: ForwardBuffer) -> _FoundCopy | None:
    if not file.seekable():
        return _first_copy(_stream_ahead(buffer, buffer.offset))
    found = _first_copy(stream_at(file, buffer.offset, layout.MAX_COPY_SEARCH))
    if found is None and (tail := read_stored_tail(file)) is not None:
        # Directly before INDX.
        size = layout.CHUNK_OVERHEAD + layout.max_payload(layout.HEAD_COPY)
        start, end = max(0, tail.index_offset - size), tail.index_offset
        found = _first_copy(stream_at(file, start, end))
    return found


def _stream_ahead(buffer: ForwardBuffer, start: int) -> ChunkStream:
    """The chunks in what the buffer holds and will hold, without skipping any of it."""
    ahead = BytesAhead(buffer, start, layout.MAX_COPY_SEARCH)
    return ChunkStream(ForwardBuffer(ahead, start))


def _first_copy(stream: ChunkStream) -> _FoundCopy | None:
    # Chunk by chunk and not by its type alone: an attachment may be an .nlc file itself.
    attempts = 0
    while attempts < _MAX_ATTEMPTS:
        try:
            chunk = stream.read()
        except Malformed:
            attempts += 1
            stream.buffer.skip(1)
            if not stream.buffer.skip_to(layout.CHUNKS_AFTER_HEAD):
                return None
            continue
        if chunk is None:
            return None
        if chunk.type == layout.HEAD_COPY:
            with suppress(Malformed):
                return _FoundCopy(parse_head_copy(chunk.payload), chunk.start)
    return None
