"""Bytes that the parts of a file take, without writing one."""

from collections.abc import Sequence

from neuralcodec.container import layout
from neuralcodec.container.records import Extras, FrameRecord, StreamHeader
from neuralcodec.container.varint import append_signed_varint, append_varint
from neuralcodec.container.writer import pack_beginning, pack_description, pack_packet_chunks
from neuralcodec.streams import StreamPacket

GOP_BYTES = 2 * layout.CHUNK_OVERHEAD + layout.GOP_FIXED.size + layout.STAT_FIXED.size
INDEX_BYTES = layout.INDEX_ENTRY.size  # of a GOP, at the end of the file
USUAL_ENTRY_BYTES = 4  # time stamp and q, each as the difference to the frame before, and length


def frame_bytes(frame: FrameRecord, before: FrameRecord | None) -> int:
    """A frame's payload, and its part of the GOPS and stat chunks.

    before: the frame before it in its GOP. What a GOP takes once counts for its first frame."""
    entry = bytearray()
    append_signed_varint(entry, frame.pts - before.pts if before else 0)
    append_signed_varint(entry, frame.q - before.q if before else frame.q)
    append_varint(entry, len(frame.payload))
    once = 0 if before else GOP_BYTES
    return once + len(entry) + layout.STAT_FRAME.size + len(frame.payload)


def fixed_bits(is_intra: bool) -> int:
    """About what a frame takes at any q. Of small pictures where nothing moves it is most."""
    once = GOP_BYTES if is_intra else 0
    return 8 * (once + USUAL_ENTRY_BYTES + layout.STAT_FRAME.size)


def empty_file_bytes(header: StreamHeader, gops: int) -> int:
    """A file of so many GOPs without these, their index entries and other streams: signature,
    header and its copies, an empty index, tail."""
    beginning, head_copy = pack_beginning(header)
    copies = min(gops, 2) * len(head_copy)
    return len(beginning) + copies + layout.CHUNK_OVERHEAD + layout.TAIL_CHUNK_SIZE


def description_bytes(extras: Extras) -> int:
    return len(pack_description(extras))


def packets_bytes(packets: Sequence[StreamPacket]) -> int:
    return sum(map(len, pack_packet_chunks(packets)))
