"""Writing an .nlc file, strictly forward.

Guarantee: after each `write_gop` everything up to the end of that GOP has been handed to the
operating system, and what is there can be read.
"""

from collections.abc import Sequence
from typing import BinaryIO

from neuralcodec.container import layout
from neuralcodec.container.chunks import pack_chunk
from neuralcodec.container.descriptions import pack_extras, pack_light
from neuralcodec.container.head import pack_head, pack_head_copy
from neuralcodec.container.layout import Malformed
from neuralcodec.container.packets import pack_packets, split_packets
from neuralcodec.container.payloads import (
    pack_end,
    pack_gop,
    pack_index_entry,
    pack_stats,
    pack_tail,
)
from neuralcodec.container.records import Extras, GopRecord, GopStats, IndexEntry, StreamHeader
from neuralcodec.errors import OutputError
from neuralcodec.streams import ATTACHMENT, StreamPacket


def pack_beginning(header: StreamHeader) -> tuple[bytes, bytes]:
    """Signature, version and header of a file; and the copy of the header that comes later.

    Raises OutputError where an .nlc file cannot hold such a video."""
    try:
        head = pack_head(header)
        chunks = pack_chunk(layout.HEAD, head) + pack_light(header.format)
    except Malformed as fault:
        raise OutputError(f"an .nlc file cannot hold this video: {fault}") from fault
    version = layout.VERSION.pack(layout.MAJOR, layout.MINOR)
    copy = pack_chunk(layout.HEAD_COPY, pack_head_copy(head))
    return layout.SIGNATURE + version + chunks, copy


def pack_description(extras: Extras) -> bytes:
    """The chunks that describe what goes with the video. Raises OutputError."""
    try:
        return pack_extras(extras)
    except Malformed as fault:
        what = "an .nlc file cannot hold what goes with this video"
        raise OutputError(f"{what}: {fault}") from fault


def pack_packet_chunks(packets: Sequence[StreamPacket]) -> list[bytes]:
    """Packets of other streams as chunks. Raises OutputError."""
    try:
        return [pack_chunk(layout.PCKT, pack_packets(p)) for p in split_packets(packets)]
    except Malformed as fault:
        raise OutputError(f"an .nlc file cannot hold a packet: {fault}") from fault


class ContainerWriter:
    """Writes one video: header, tags and descriptions of other streams at once, then GOPs and
    packets of the other streams in order, then the index.

    `file` is a buffered binary file at its start, or a pipe; it is neither sought nor closed.
    Raises OutputError where an .nlc file cannot hold such a video or such streams, ValueError where
    the streams are not numbered 0, 1, 2, ...; OSError comes through.
    """

    def __init__(self, file: BinaryIO, header: StreamHeader, extras: Extras | None = None):
        extras = extras or Extras()
        numbers = [stream.number for stream in extras.streams]
        if numbers != list(range(len(numbers))):
            raise ValueError(f"streams must be numbered from 0, not {numbers}")
        self._file = file
        self._header = header
        self._packet_streams = {s.number for s in extras.streams if s.kind != ATTACHMENT}
        self._index = bytearray()
        self._frames = 0
        self._last_pts: int | None = None
        self.bytes_written = 0
        beginning, self._head_copy = pack_beginning(header)
        described = pack_description(extras)
        # Of bytes_written, in tags, orig, strm, pckt and endt chunks
        self.packet_bytes = len(described)
        self._write(beginning)
        self._write(described)
        self._file.flush()

    def write_packets(self, packets: Sequence[StreamPacket]) -> None:
        """Append packets of other streams, those of a GOP's time before that GOP.

        They are flushed with the next GOP or the end. Raises ValueError for a packet of a stream
        that was not described or has none, OutputError for one that an .nlc file cannot hold;
        nothing is written then.
        """
        for packet in packets:
            if packet.stream not in self._packet_streams:
                raise ValueError(f"no stream {packet.stream} was described that has packets")
        for chunk in pack_packet_chunks(packets):
            self._write(chunk)
            self.packet_bytes += len(chunk)

    def write_gop(self, gop: GopRecord, stats: GopStats | None) -> None:
        """Append one GOP, with its statistics where there are any, and flush.

        Raises ValueError for records that are wrong in themselves or out of order, OutputError
        where the GOP or the file gets too large; nothing is written then.
        """
        frames = len(gop.frames)
        if gop.first_frame != self._frames:
            raise ValueError(f"the next frame is {self._frames}, not {gop.first_frame}")
        if frames > self._header.max_gop_frames:
            raise ValueError(f"{frames} frames; the header says {self._header.max_gop_frames}")
        if stats and (stats.first_frame, len(stats.psnr)) != (gop.first_frame, frames):
            raise ValueError("these statistics belong to another GOP")
        if len(self._index) >= layout.MAX_GOPS * layout.INDEX_ENTRY.size:
            raise OutputError(f"a file holds at most {layout.MAX_GOPS} GOPs: choose longer GOPs")
        payload = pack_gop(gop)
        if len(payload) > layout.MAX_GOP_PAYLOAD:
            raise OutputError("a GOP takes more than 1 GiB: choose shorter GOPs")
        gop_chunk = pack_chunk(layout.GOPS, payload)
        stat_chunk = pack_chunk(layout.STAT, pack_stats(stats)) if stats else b""
        is_first = not self._index
        entry = IndexEntry(self.bytes_written, gop.first_frame, frames, gop.frames[0].pts)
        self._index += pack_index_entry(entry)
        self._frames += frames
        self._last_pts = gop.times[-1]
        self._write(gop_chunk)
        self._write(stat_chunk)
        if is_first:
            self._write(self._head_copy)
        self._file.flush()

    def finish(self, end_pts: int | None = None) -> int | None:
        """Write the index and the tail, and flush; nothing can be written after it.

        end_pts: when the last frame ends, where it is not shown as long as is usual; an end that
        is not after that frame, or that an .nlc file cannot hold, is left out.

        Returns the end that was written; None if none was.
        """
        last = self._last_pts
        if end_pts is not None and (last is None or not last < end_pts <= layout.MAX_PTS):
            end_pts = None
        if end_pts is not None:
            end = pack_chunk(layout.ENDT, pack_end(end_pts))
            self._write(end)
            self.packet_bytes += len(end)
        if len(self._index) > layout.INDEX_ENTRY.size:
            self._write(self._head_copy)
        index_offset = self.bytes_written
        self._write(pack_chunk(layout.INDX, bytes(self._index)))
        self._write(pack_chunk(layout.TAIL, pack_tail(index_offset, self._frames)))
        self._file.flush()
        return end_pts

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self.bytes_written += len(data)
