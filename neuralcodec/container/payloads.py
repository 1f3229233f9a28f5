"""The payloads of GOPS, stat, endt, INDX and TAIL chunks: records to bytes and back.

Every `parse_` function raises `Malformed`, and nothing else, for bytes that break a rule of the
format. Every `pack_` function raises `Malformed` for a record that breaks one.
"""

import math

from neuralcodec.container import layout
from neuralcodec.container.frame_table import pack_frame_table, parse_frame_table
from neuralcodec.container.layout import Malformed, check_range
from neuralcodec.container.records import FrameRecord, GopRecord, GopStats, IndexEntry

_MAX_CRC = (1 << 32) - 1


def parse_gop(payload: bytes) -> GopRecord:
    """The GOP in a GOPS payload."""
    table = parse_frame_table(payload)
    if table.gop_size != len(payload):
        raise Malformed("its length disagrees with the lengths of its frames")
    frames: list[FrameRecord] = []
    at = table.size
    for row in table.rows:
        pts = table.times[row.place.shown]
        frames.append(FrameRecord(pts, row.q, payload[at : at + row.length], row.place))
        at += row.length
    return GopRecord(table.first_frame, table.symbols_crc, tuple(frames))


def pack_gop(gop: GopRecord) -> bytes:
    """The payload of a GOPS chunk."""
    check_range("the number of frames", len(gop.frames), 1, layout.MAX_GOP_FRAMES)
    check_range("the first frame's number", gop.first_frame, 0, layout.MAX_FRAMES - len(gop.frames))
    if gop.symbols_crc is None:
        raise Malformed("these are only some frames of a GOP")
    check_range("the symbols' CRC-32", gop.symbols_crc, 0, _MAX_CRC)
    table = pack_frame_table(gop.frames)
    fixed = layout.GOP_FIXED.pack(
        gop.first_frame, len(gop.frames), gop.frames[0].pts, gop.symbols_crc
    )
    return b"".join((fixed, table, *(frame.payload for frame in gop.frames)))


def parse_stats(payload: bytes) -> GopStats:
    """The statistics in a stat payload."""
    size, rest = layout.STAT_FIXED.size, len(payload) - layout.STAT_FIXED.size
    if rest <= 0 or rest % layout.STAT_FRAME.size:
        raise Malformed(f"statistics cannot take {len(payload)} bytes")
    (first_frame,) = layout.STAT_FIXED.unpack(payload[:size])
    psnr = tuple(
        (_decibels(y), _decibels(u), _decibels(v))
        for y, u, v in layout.STAT_FRAME.iter_unpack(payload[size:])
    )
    return GopStats(first_frame, psnr)


def pack_stats(stats: GopStats) -> bytes:
    """The payload of a stat chunk."""
    return layout.STAT_FIXED.pack(stats.first_frame) + b"".join(
        layout.STAT_FRAME.pack(*map(_psnr_steps, frame)) for frame in stats.psnr
    )


def _decibels(steps: int) -> float:
    return math.inf if steps == layout.PSNR_LOSSLESS else steps / layout.PSNR_STEPS_PER_DB


def _psnr_steps(decibels: float) -> int:
    if math.isnan(decibels):
        raise Malformed("a PSNR is not a number")
    if decibels == math.inf:
        return layout.PSNR_LOSSLESS
    # 131 dB, the highest finite value, is beyond what any lossy picture reaches.
    steps = max(decibels, 0.0) * layout.PSNR_STEPS_PER_DB
    return min(round(steps), layout.PSNR_LOSSLESS - 1)


def pack_end(pts: int) -> bytes:
    """The payload of endt: when the last frame ends."""
    check_range("the end", pts, -layout.MAX_PTS, layout.MAX_PTS)
    return layout.END_FIXED.pack(pts)


def parse_end(payload: bytes) -> int:
    """The PTS in an endt payload."""
    if len(payload) != layout.END_FIXED.size:
        raise Malformed(f"an end cannot take {len(payload)} bytes")
    pts: int = layout.END_FIXED.unpack(payload)[0]
    check_range("the end", pts, -layout.MAX_PTS, layout.MAX_PTS)
    return pts


def pack_index_entry(entry: IndexEntry) -> bytes:
    """One entry of an INDX payload."""
    return layout.INDEX_ENTRY.pack(
        entry.offset, entry.first_frame, entry.frame_count, entry.first_pts
    )


def parse_index(payload: bytes) -> list[IndexEntry]:
    """The entries of an INDX payload, as they stand: whether they are true is another matter."""
    if len(payload) % layout.INDEX_ENTRY.size:
        raise Malformed(f"an index cannot take {len(payload)} bytes")
    return [IndexEntry(*fields) for fields in layout.INDEX_ENTRY.iter_unpack(payload)]


def pack_tail(index_offset: int, frames: int) -> bytes:
    """The payload of TAIL: where INDX starts, and the number of frames in the file."""
    return layout.TAIL_FIXED.pack(index_offset, frames)


def parse_tail(payload: bytes) -> tuple[int, int]:
    """(offset of INDX, frames in the file) of a TAIL payload, as they stand."""
    if len(payload) != layout.TAIL_FIXED.size:
        raise Malformed(f"a TAIL cannot take {len(payload)} bytes")
    index_offset, frames = layout.TAIL_FIXED.unpack(payload)
    return index_offset, frames
