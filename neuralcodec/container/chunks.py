"""Chunks: type, length, payload and CRC-32, written to bytes and read from a forward-only file.

Guarantees of reading:
- no seek is needed, and in an undamaged file no byte beyond the chunk being read is asked for;
- memory stays near the size of the bytes that the file really holds for one chunk, whatever a
  length field says;
- after damage, reading goes on at the next chunk whose CRC-32 holds, in time linear in the file.
"""

import re
import zlib
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from neuralcodec.container import layout
from neuralcodec.container.frame_table import frame_table_bound, parse_frame_table
from neuralcodec.container.layout import Malformed
from neuralcodec.container.records import Damage

_PIECE = 1 << 20  # most bytes asked of the file at once
_SCAN_PIECE = 1 << 12  # small, so that a live pipe is not kept waiting for more
# Bytes examined in vain, per byte of the file: accidents need less than 1, but a forged file could
# have the same bytes examined over and over. What exceeds it is passed over as damage.
_VAIN_BYTES_PER_BYTE = 4
_VAIN_BYTES_FREE = 1 << 20

_CUT = "the file ends inside it"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk whose CRC-32 holds."""

    type: bytes
    payload: bytes
    start: int  # byte offsets in the file, end exclusive
    end: int


def pack_chunk(chunk_type: bytes, payload: bytes) -> bytes:
    """A whole chunk; raises Malformed where the payload exceeds the limit of its type."""
    if len(payload) > layout.max_payload(chunk_type):
        limit = layout.max_payload(chunk_type)
        raise Malformed(f"a {chunk_type.decode()} chunk of {len(payload)} bytes (at most {limit})")
    head = layout.CHUNK_HEAD.pack(chunk_type, len(payload))
    crc = zlib.crc32(payload, zlib.crc32(head))
    return b"".join((head, payload, layout.CHUNK_CRC.pack(crc)))


class Readable(Protocol):
    """What is asked of a file: its next bytes, at most `count`; none only at its end."""

    def read(self, count: int, /) -> bytes: ...


class FileSpan:
    """A part of a seekable file, to be read forward; the file's own position stays as it is."""

    def __init__(self, file: BinaryIO, start: int, end: int | None = None):
        self._file = file
        self._at = start
        self._end = end

    def read(self, count: int, /) -> bytes:
        if self._end is not None:
            count = min(count, max(0, self._end - self._at))
        position = self._file.tell()
        try:
            self._file.seek(self._at)
            piece = self._file.read(count)
        finally:
            self._file.seek(position)
        self._at += len(piece)
        return piece


class BytesAhead:
    """The next bytes of a buffer, read while the buffer goes on holding them."""

    def __init__(self, buffer: "ForwardBuffer", start: int, end: int):
        """start, end: offsets in the file, not before the buffer's."""
        self._buffer = buffer
        self._at = start
        self._end = end

    def read(self, count: int, /) -> bytes:
        skipped = self._buffer.offset
        end = min(self._at + count, self._end)
        held = self._buffer.fill(max(end - skipped, 0))
        piece = self._buffer.copy(self._at - skipped, held)
        self._at += len(piece)
        return piece


class ForwardBuffer:
    """The next bytes of a file: looked at as often as needed, then skipped for good."""

    def __init__(self, file: Readable, offset: int = 0):
        self._file = file
        self._held = bytearray()
        self.offset = offset  # in the file, of the first byte held

    @property
    def end(self) -> int:
        """Offset in the file after the last byte read so far."""
        return self.offset + len(self._held)

    def fill(self, count: int) -> int:
        """Hold `count` bytes, or all there are; returns how many of the `count` are held."""
        while len(self._held) < count:
            piece = self._file.read(min(count - len(self._held), _PIECE))
            if not piece:
                break
            self._held += piece
        return min(len(self._held), count)

    def copy(self, start: int, end: int) -> bytes:
        """Held bytes, counted from the first one held."""
        with memoryview(self._held) as held:
            return bytes(held[start:end])

    def crc(self, count: int) -> int:
        """CRC-32 of the first `count` bytes held."""
        with memoryview(self._held) as held:
            return zlib.crc32(held[:count])

    def skip(self, count: int) -> None:
        """Drop the first `count` bytes held."""
        del self._held[:count]
        self.offset += count

    def skip_to(self, pattern: re.Pattern[bytes]) -> bool:
        """Skip to the next match of a 4-byte pattern; False, with all skipped, if none comes."""
        while True:
            if match := pattern.search(self._held):
                self.skip(match.start())
                return True
            # The last 3 bytes may begin a match.
            self.skip(max(0, len(self._held) - 3))
            held = len(self._held)
            if self.fill(held + _SCAN_PIECE) == held:
                self.skip(held)
                return False

    def skip_all(self) -> None:
        """Skip to the end of the file."""
        while count := self.fill(_SCAN_PIECE):
            self.skip(count)


class ChunkStream:
    """The chunks of a file, one after the other."""

    def __init__(self, buffer: ForwardBuffer):
        self.buffer = buffer
        self._found: Chunk | None = None  # read before its turn: it ended damage, or came back
        self._examined = 0  # bytes of the chunk being read
        self._vain_bytes = 0

    @property
    def offset(self) -> int:
        """Of the next chunk in the file."""
        return self.buffer.offset if self._found is None else self._found.start

    def next_type(self) -> bytes:
        """The four bytes where the type of the next chunk is; fewer at the end of the file."""
        if self._found is not None:
            return self._found.type
        return self.buffer.copy(0, self.buffer.fill(4))

    def unread(self, chunk: Chunk) -> None:
        """Let the chunk that was read last be the next one again."""
        self._found = chunk

    def read(self) -> Chunk | None:
        """The next chunk, or None at the end of the file.

        Raises Malformed, without moving on, where no chunk is or its CRC-32 does not hold.
        """
        if (found := self._found) is not None:
            self._found = None
            return found
        if self.buffer.fill(1) == 0:
            return None
        if self._vain_bytes > _VAIN_BYTES_FREE + _VAIN_BYTES_PER_BYTE * self.buffer.end:
            raise Malformed("too much before it is damaged")
        try:
            return self._take()
        except Malformed:
            self._vain_bytes += self._examined
            raise

    def read_past_damage(self) -> Chunk | Damage | None:
        """As `read`; where that raises, what lies before the next chunk or the end, as Damage."""
        try:
            return self.read()
        except Malformed as fault:
            what = str(fault)
        start, chunk_type = self.buffer.offset, self._type_here()
        self._found = self._next_sound_chunk()
        end = self.buffer.offset if self._found is None else self._found.start
        ends_file = self._found is None and what == _CUT
        return Damage(what, chunk_type, None, start, end, ends_file)

    def _take(self) -> Chunk:
        buffer = self.buffer
        self._fill(layout.CHUNK_HEAD.size)
        chunk_type, length = layout.CHUNK_HEAD.unpack(buffer.copy(0, layout.CHUNK_HEAD.size))
        if not chunk_type.isalpha():
            raise Malformed("no chunk begins here")
        if length > layout.max_payload(chunk_type):
            raise Malformed(f"its length field says {length} bytes, more than it may have")
        if chunk_type == layout.GOPS:
            self._check_gop_length(length)
        crc_at = layout.CHUNK_HEAD.size + length
        size = crc_at + layout.CHUNK_CRC.size
        self._fill(size)
        if layout.CHUNK_CRC.unpack(buffer.copy(crc_at, size))[0] != buffer.crc(crc_at):
            raise Malformed("its CRC-32 does not match")
        payload = buffer.copy(layout.CHUNK_HEAD.size, crc_at)
        chunk = Chunk(chunk_type, payload, buffer.offset, buffer.offset + size)
        buffer.skip(size)
        return chunk

    def _check_gop_length(self, length: int) -> None:
        # The frame table states the length once more: a damaged length field is found here, before
        # up to a gigabyte of the GOPs that follow has been read in its name.
        fixed = self._payload_beginning(min(length, layout.GOP_FIXED.size))
        table = self._payload_beginning(min(length, frame_table_bound(fixed)))
        if parse_frame_table(table).gop_size != length:
            raise Malformed("its length disagrees with the lengths of its frames")

    def _payload_beginning(self, count: int) -> bytes:
        start = layout.CHUNK_HEAD.size
        self._fill(start + count)
        return self.buffer.copy(start, start + count)

    def _fill(self, count: int) -> None:
        self._examined = self.buffer.fill(count)
        if self._examined < count:
            raise Malformed(_CUT)

    def _type_here(self) -> str | None:
        chunk_type = self.buffer.copy(0, self.buffer.fill(4))
        return chunk_type.decode() if len(chunk_type) == 4 and chunk_type.isalpha() else None

    def _next_sound_chunk(self) -> Chunk | None:
        # The scan starts inside the damaged chunk: its length may be what is damaged.
        self.buffer.skip(1)
        while self.buffer.skip_to(layout.CHUNKS_AFTER_HEAD):
            try:
                return self.read()
            except Malformed:
                self.buffer.skip(1)
        return None
