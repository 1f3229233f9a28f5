"""What a file holds beside its pictures: other streams, their packets, tags and chapters.

They are carried untouched: read by `media`, stored by `container`, written by `media` again.
"""

from dataclasses import dataclass, field
from fractions import Fraction

AUDIO, SUBTITLE, DATA, ATTACHMENT = "audio", "subtitle", "data", "attachment"
KINDS = (AUDIO, SUBTITLE, DATA, ATTACHMENT)

Metadata = tuple[tuple[str, str], ...]  # keys and values, in the order of the source


@dataclass(frozen=True)
class OtherStream:
    """A stream that is not coded but carried. An attachment has no packets: its bytes are `data`.

    What a decoder must know of the codec (extradata, sample rate, channel layout, ...) is
    `parameters`: an empty file of the container `parameters_format` ("matroska", "mp4", ...), as
    FFmpeg names it, with this one stream in it. So no list of fields can be incomplete.
    """

    number: int  # from 0 within the .nlc file; packets refer to it
    kind: str  # one of KINDS
    codec: str  # FFmpeg's name
    time_base: Fraction  # seconds per unit of its packets' times
    disposition: int = 0  # FFmpeg's AV_DISPOSITION_* flags
    metadata: Metadata = ()
    parameters_format: str = ""
    parameters: bytes = b""
    data: bytes = b""  # of an attachment


@dataclass(frozen=True)
class StreamPacket:
    """A packet of another stream; times in its stream's time base."""

    stream: int  # OtherStream.number
    pts: int | None
    dts: int | None
    duration: int  # 0 = unknown
    is_keyframe: bool
    data: bytes
    side_data: tuple[tuple[str, bytes], ...] = ()  # PyAV's name of the type, and the bytes


@dataclass(frozen=True)
class Chapter:
    start: int  # in time_base units
    end: int
    time_base: Fraction
    metadata: Metadata = ()


@dataclass(frozen=True)
class FileTags:
    """Metadata of the file and of its video stream, and chapters."""

    metadata: Metadata = ()
    video_metadata: Metadata = ()
    video_disposition: int = 0
    chapters: tuple[Chapter, ...] = field(default=())
