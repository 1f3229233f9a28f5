"""Whether the last bytes of a source belong to something that goes on after them.

Each format is looked at in the way of its own: boxes of MP4, elements of Matroska, tags of FLV,
packets of MPEG-PS and MPEG-TS, pages of Ogg, the size stated in ASF, the trailer of GIF.
"""

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from neuralcodec.media.ebml import element_head, number
from neuralcodec.media.reading.demuxing import Demuxer
from neuralcodec.media.sources.boxes import BoxWalk
from neuralcodec.media.sources.source import Source

_Read = Callable[[int, int], bytes]  # bytes of the source: from where, and how many at most
# SimpleBlock, BlockGroup, Block, Cluster
_MEDIA_ELEMENTS = (b"\xa3", b"\xa0", b"\xa1", b"\x1f\x43\xb6\x75")
_BLOCKS = (0xA3, 0xA1)
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
# Type, size of the data in 24 bits; of video then codec and what of it the tag holds.
_FLV_TAG = struct.Struct(">BBH7xBB")
_FLV_TAG_HEAD = 11
_FLV_MEDIA = (8, 9)
_FLV_VIDEO, _FLV_AVC, _FLV_AVC_END = 9, 7, 2
_TS_PACKET = 188
_PS_START = b"\0\0\1"
_PS_PACK, _PS_END, _PS_PRIVATE = b"\xba", b"\xb9", b"\xbd"
_PS_SOUND_OR_PICTURES = 0xC0 >> 5  # first bits of the type of a packet
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_PROPERTIES = struct.Struct("<40xQ40xI")  # size of the file, flags
_ASF_IS_LIVE = 1
_LARGEST_ASF_HEADER = 1 << 16
_OGG_PAGE = struct.Struct("<4s22xB")
_LARGEST_OGG_PAGE = 1 << 16
_MOST_STEPS = 1_000_000  # boxes, elements and so on that are gone over in a forged file


def is_cut_off(source: Source, demuxer: Demuxer) -> bool | None:
    """Whether the source ends within a picture, a piece of sound or the like; False where it says
    itself that it ends there.

    None where its format does not tell, or where it comes through a pipe that is gone.
    """
    size = source.size if source.pipe is None else source.pipe.bytes_read
    name = source.container.format.name.split(",")[0]
    positions = [p.last_byte for p in demuxer.passed.values() if p.last_byte is not None]
    look = _LOOKS.get(name)
    if look is None or not size or not positions:
        return None
    if source.pipe is not None:
        if look is _is_cut_mp4:
            return source.pipe.boxes.is_cut_at(size) or None
        return look(source.pipe.latest, size, max(positions))
    with suppress(OSError), _opened(source) as read:
        return look(read, size, max(positions))
    return None


@contextmanager
def _opened(source: Source) -> Iterator[_Read]:
    if source.url is None:
        # Standard input that is a file: its place there belongs to the demuxer.
        pread = getattr(os, "pread", None)
        yield lambda start, count: pread(0, count, start) if pread else b""
        return
    with open(source.url.removeprefix("file:"), "rb") as file:

        def read(start: int, count: int) -> bytes:
            file.seek(start)
            return file.read(count)

        yield read


def _is_cut_mp4(read: _Read, size: int, last: int) -> bool | None:
    boxes = BoxWalk()
    for _step in range(_MOST_STEPS):
        if not boxes.step(read):
            break
    return boxes.is_cut_at(size) or None  # more fragments may follow


def _is_cut_matroska(read: _Read, size: int, last: int) -> bool | None:
    segment = _segment_end(read)
    if segment is not None and segment <= size:
        return False
    at = _block_end(read, last)
    if at is None or at > size:
        return None if at is None else True
    for _step in range(_MOST_STEPS):
        data = read(at, 16)
        head = element_head(data)
        if head is None:
            is_in_head = 0 < len(data) < 12 and data[0] != 0
            return is_in_head or None
        at += head.start
        if head.size is not None:  # else what is in it follows
            at += head.size
            if at > size:
                return head.id in _MEDIA_ELEMENTS or None
    return None


def _segment_end(read: _Read) -> int | None:
    """Where the file ends by its header; None where that does not say so, as of live ones."""
    head = element_head(read(0, 16))
    if head is None or head.id != _EBML or head.size is None:
        return None
    at = head.start + head.size
    head = element_head(read(at, 16))
    if head is None or head.id != _SEGMENT or head.size is None:
        return None
    return at + head.start + head.size


def _block_end(read: _Read, content: int) -> int | None:
    """Where the block ends whose content begins there; None where no block is found."""
    before = read(max(content - 9, 0), min(content, 9))
    for length in range(1, len(before)):
        size = number(before[-length:])
        if size is not None and size[1] == length and before[-length - 1] in _BLOCKS:
            return content + size[0]
    return None


def _is_cut_flv(read: _Read, size: int, last: int) -> bool | None:
    at = last
    for _step in range(_MOST_STEPS):
        head = read(at, _FLV_TAG.size)
        if len(head) < _FLV_TAG.size:
            return len(head) > 0 or None
        kind, high, low, codec, packet = _FLV_TAG.unpack(head)
        end = at + _FLV_TAG_HEAD + (high << 16 | low)
        if end > size:
            return kind in _FLV_MEDIA or None
        if kind == _FLV_VIDEO and codec & 15 == _FLV_AVC and packet == _FLV_AVC_END:
            return False
        at = end + 4
    return None


def _is_cut_mpegps(read: _Read, size: int, last: int) -> bool | None:
    at = last
    for _step in range(_MOST_STEPS):
        head = read(at, 14)
        if head[:4] == _PS_START + _PS_END:
            return False
        if len(head) < 6 or head[:3] != _PS_START:
            return head[:3] == _PS_START or None
        if head[3:4] == _PS_PACK:
            is_mpeg2 = len(head) == 14 and head[4] >> 6 == 1
            at += 14 + (head[13] & 7) if is_mpeg2 else 12
        else:
            at += 6 + int.from_bytes(head[4:6], "big")
        if at > size:
            return head[3:4] == _PS_PRIVATE or head[3] >> 5 == _PS_SOUND_OR_PICTURES or None
    return None


def _is_cut_asf(read: _Read, size: int, last: int) -> bool | None:
    header = read(0, _LARGEST_ASF_HEADER)
    at = header.find(_ASF_FILE_PROPERTIES)
    if at < 0 or len(header) < at + _ASF_PROPERTIES.size:
        return None
    stated, flags = _ASF_PROPERTIES.unpack_from(header, at)
    return None if flags & _ASF_IS_LIVE else stated > size


def _is_cut_mpegts(read: _Read, size: int, last: int) -> bool | None:
    # Each packet begins with a G; of larger ones (M2TS) nothing is said.
    is_aligned = last % _TS_PACKET == 0 and read(last, 1) == b"G"
    return (is_aligned and size % _TS_PACKET != 0) or None


def _is_cut_ogg(read: _Read, size: int, last: int) -> bool | None:
    end = read(max(size - _LARGEST_OGG_PAGE, 0), _LARGEST_OGG_PAGE)
    at = end.rfind(b"OggS")
    if at < 0 or len(end) - at < _OGG_PAGE.size:
        return at >= 0 or None
    segments = _OGG_PAGE.unpack_from(end, at)[1]
    table = end[at + _OGG_PAGE.size :][:segments]
    return at + _OGG_PAGE.size + segments + sum(table) > len(end) or None


def _is_cut_gif(read: _Read, size: int, last: int) -> bool | None:
    return not read(max(size - 16, 0), 16).rstrip(b"\0").endswith(b";")


_LOOKS: dict[str, Callable[[_Read, int, int], bool | None]] = {
    "mov": _is_cut_mp4,
    "matroska": _is_cut_matroska,
    "flv": _is_cut_flv,
    "mpeg": _is_cut_mpegps,
    "asf": _is_cut_asf,
    "mpegts": _is_cut_mpegts,
    "ogg": _is_cut_ogg,
    "gif": _is_cut_gif,
}
