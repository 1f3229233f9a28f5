"""Bytes that the parts of a file take, without writing one."""

from collections.abc import Sequence

from neuralcodec.container import layout
from neuralcodec.container.frame_table import FrameRow, RowPacker
from neuralcodec.container.frame_times import pack_times
from neuralcodec.container.records import Extras, FrameRecord, StreamHeader
from neuralcodec.container.writer import pack_beginning, pack_description, pack_packet_chunks
from neuralcodec.streams import StreamPacket

GOP_BYTES = 2 * layout.CHUNK_OVERHEAD + layout.GOP_FIXED.size + layout.STAT_FIXED.size
INDEX_BYTES = layout.INDEX_ENTRY.size  # of a GOP, at the end of the file
USUAL_ROW_BYTES = 3  # its kind, and the length of the payload; the time mostly goes without saying


class GopSize:
    """Bytes that a GOP takes, frame by frame in the order of coding."""

    def __init__(self) -> None:
        self._packer = RowPacker()
        self._times: dict[int, int] = {}
        self._times_size = 0

    def add(self, frame: FrameRecord) -> int:
        """How much longer the file gets: by its payload, and by its part of the GOPS and stat
        chunks. What a GOP takes once counts for its first frame."""
        once = 0 if self._times else GOP_BYTES
        row = self._packer.pack(FrameRow(frame.place, frame.q, len(frame.payload)))
        self._times[frame.place.shown] = frame.pts
        before = self._times_size
        self._times_size = len(pack_times([self._times[n] for n in sorted(self._times)]))
        grown = self._times_size - before
        return once + len(row) + grown + layout.STAT_FRAME.size + len(frame.payload)


def fixed_bits(is_intra: bool) -> int:
    """About what a frame takes at any q. Of small pictures where nothing moves it is most."""
    once = GOP_BYTES if is_intra else 0
    return 8 * (once + USUAL_ROW_BYTES + layout.STAT_FRAME.size)


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
