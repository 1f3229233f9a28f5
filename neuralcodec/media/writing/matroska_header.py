"""What FFmpeg's Matroska muxer leaves out when PyAV drives it, put in afterwards.

The muxer takes the pixel shape and the HDR tags from fields that PyAV cannot set. So the video
track is written with a name that is too long, and once its bytes have come, the elements missing
take the place of the excess: no other byte of the file moves.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

from neuralcodec.media.ebml import element_head
from neuralcodec.video import VideoFormat

_SEGMENT, _TRACKS, _TRACK_ENTRY = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae"
_NAME, _VIDEO, _COLOUR = b"\x53\x6e", b"\xe0", b"\x55\xb0"
_CODEC_DELAY = b"\x56\xaa"
_VOID, _CRC32 = b"\xec", b"\xbf"
_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = b"\x54\xb0", b"\x54\xba", b"\x54\xb2"
_ASPECT_RATIO = b"\x03"  # value of _DISPLAY_UNIT: width and height are a ratio
_MAX_CLL, _MAX_FALL, _MASTERING = b"\x55\xbc", b"\x55\xbd", b"\x55\xd0"
_PRIMARIES = (b"\x55\xd1", b"\x55\xd2", b"\x55\xd3", b"\x55\xd4", b"\x55\xd5", b"\x55\xd6")
_WHITE_POINT = (b"\x55\xd7", b"\x55\xd8")
_LUMINANCE_MAX, _LUMINANCE_MIN = b"\x55\xd9", b"\x55\xda"
_FILLER = "."
EMPTY_CLUSTER = b"\x1f\x43\xb6\x75\x80"  # FFmpeg reads no file without one


@dataclass(frozen=True)
class Additions:
    """Elements to add to a video track."""

    shape: bytes  # of the Video element, in place of its unit of display
    colour: bytes  # of the Colour element in it
    title: str | None = None  # the name that the track is to have

    def __bool__(self) -> bool:
        return bool(self.shape or self.colour)

    @property
    def long_title(self) -> str:
        """The name to write the track with, so that there is space for the elements."""
        # 64: the longer size fields of what they are put in, and an element of filling.
        return _FILLER * (len(self.shape) + len(self.colour) + 64) + (self.title or "")


def additions(fmt: VideoFormat, title: str | None) -> Additions:
    """What has to be added to the track of a video so that nothing is lost."""
    return Additions(_shape(fmt), _hdr(fmt), title and title.split("\0")[0])  # as FFmpeg cuts it


class MatroskaFile:
    """The file that the muxer writes to; the video track in it is completed on the way.

    A file that can seek gets the track on `finish`, because the muxer writes it again at its
    end; any other gets nothing until the track is known, which is before the first frame.
    """

    def __init__(self, file: BinaryIO, added: Additions):
        self._file = file
        self._added = added
        self._seekable = file.seekable()
        self._position = 0
        self._head = bytearray()  # the start of the file, up to the end of the tracks
        self._tracks: slice | None = None  # where they are in the file

    def seekable(self) -> bool:
        return self._seekable

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = self._file.seek(offset, whence)
        return self._position

    def write(self, data: bytes) -> int:
        passed_on = self._seekable or self._tracks is not None
        self._remember(data)
        if passed_on:
            self._file.write(data)
        elif self._tracks is not None:
            start, stop = self._tracks.start, self._tracks.stop
            self._file.write(self._head[:start] + self._completed() + self._head[stop:])
        self._position += len(data)
        return len(data)

    def finish(self) -> None:
        """To be called when the muxer has written everything."""
        if self._seekable and self._tracks is not None:
            self._file.seek(self._tracks.start)
            self._file.write(self._completed())
            self._file.seek(0, os.SEEK_END)

    def _remember(self, data: bytes) -> None:
        if self._tracks is None:
            self._head += data
            self._tracks = _find_tracks(self._head)
        elif self._position < self._tracks.stop:
            length = min(len(data), self._tracks.stop - self._position)
            self._head[self._position : self._position + length] = data[:length]

    def _completed(self) -> bytes:
        assert self._tracks is not None
        return complete_tracks(bytes(self._head[self._tracks]), self._added)


def complete_tracks(tracks: bytes, added: Additions) -> bytes:
    """A Tracks element of the same length whose first track has the additions."""
    (outer,) = _elements(tracks)
    first = next(e for e in _elements(outer.content) if e.id == _TRACK_ENTRY)
    entry = b""
    for element in _elements(first.content):
        if element.id == _VIDEO:
            entry += _element(_VIDEO, _complete_video(element.content, added))
        elif element.id == _NAME:
            entry += _element(_NAME, added.title.encode()) if added.title else b""
        else:
            entry += element.whole
    entry += _void(len(first.content) - len(entry))
    body = _with_checksum(outer.content.replace(first.content, entry, 1))
    return tracks[: len(tracks) - len(body)] + body


def with_codec_delay(file: bytes, nanoseconds: int) -> bytes:
    """A file of one track, which is to say how long its decoder takes to get going.

    A track that says so already stays as it is, and so does what is no Matroska file.
    """
    place = _find_tracks(file)
    if place is None:
        return file
    (outer,) = _elements(file[place])
    parts = list(_elements(outer.content))
    entry = next((part for part in parts if part.id == _TRACK_ENTRY), None)
    if entry is None or any(part.id == _CODEC_DELAY for part in _elements(entry.content)):
        return file
    delay = _element(_CODEC_DELAY, _integer(nanoseconds))
    body = b"".join(
        _element(part.id, part.content + delay) if part is entry else part.whole for part in parts
    )
    return file[: place.start] + _element(_TRACKS, _with_checksum(body)) + file[place.stop :]


def _with_checksum(body: bytes) -> bytes:
    """The content of an element; a checksum that it starts with is made right."""
    checksum = next(_elements(body))
    if checksum.id != _CRC32:
        return body
    rest = body[len(checksum.whole) :]
    return _element(_CRC32, struct.pack("<I", zlib.crc32(rest))) + rest


def _complete_video(content: bytes, added: Additions) -> bytes:
    colour, others = b"", b""
    for element in _elements(content):
        if element.id == _COLOUR:
            colour = element.content
        elif element.id != _DISPLAY_UNIT or not added.shape:
            others += element.whole
    colour += added.colour
    return others + added.shape + (_element(_COLOUR, colour) if colour else b"")


def _shape(fmt: VideoFormat) -> bytes:
    if fmt.sample_aspect_ratio in (0, 1):
        return b""
    shown = Fraction(fmt.width, fmt.height) * fmt.sample_aspect_ratio
    return (
        _element(_DISPLAY_WIDTH, _integer(shown.numerator))
        + _element(_DISPLAY_HEIGHT, _integer(shown.denominator))
        + _element(_DISPLAY_UNIT, _ASPECT_RATIO)
    )


def _hdr(fmt: VideoFormat) -> bytes:
    elements = b""
    if fmt.content_light:
        elements += _element(_MAX_CLL, _integer(fmt.content_light.max_cll))
        elements += _element(_MAX_FALL, _integer(fmt.content_light.max_fall))
    display = fmt.mastering_display
    if display:
        content = b""
        for ids, points in (
            (_PRIMARIES, [v for point in display.primaries or () for v in point]),
            (_WHITE_POINT, display.white_point or ()),
        ):
            # strict=False: what the source does not say is left out
            for id, value in zip(ids, points, strict=False):
                content += _element(id, struct.pack(">d", value / 50_000))
        if display.luminance:
            lowest, highest = display.luminance
            content += _element(_LUMINANCE_MAX, struct.pack(">d", highest / 10_000))
            content += _element(_LUMINANCE_MIN, struct.pack(">d", lowest / 10_000))
        elements += _element(_MASTERING, content)
    return elements


@dataclass(frozen=True)
class _Element:
    id: bytes
    whole: bytes
    content: bytes


def _elements(data: bytes) -> Iterator[_Element]:
    """Up to one that is broken or of unknown size, as a forged file may have."""
    position = 0
    while position < len(data):
        head = element_head(data, position)
        if head is None or head.size is None:
            return
        end = head.start + head.size
        yield _Element(head.id, data[position:end], data[head.start : end])
        position = end


def _find_tracks(data: bytes | bytearray) -> slice | None:
    """Where the Tracks element of a file is; None as long as not all of it is there."""
    position = 0
    while (head := element_head(data, position)) is not None:
        if head.id == _SEGMENT:
            position = head.start
            continue
        if head.size is None:
            return None
        end = head.start + head.size
        if head.id == _TRACKS:
            return slice(position, end) if end <= len(data) else None
        position = end
    return None


def _element(id: bytes, content: bytes) -> bytes:
    length = 1 if len(content) < 127 else 4
    return id + (len(content) | 1 << 7 * length).to_bytes(length, "big") + content


def _void(length: int) -> bytes:
    """Filling of 9 bytes or more."""
    content = bytes(length - 9)
    return _VOID + b"\x01" + len(content).to_bytes(7, "big") + content


def _integer(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
