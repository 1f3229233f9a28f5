"""What an .nlc file holds, as values: header, GOPs, statistics, other streams, index, damage."""

from dataclasses import dataclass, field

from neuralcodec.streams import FileTags, OtherStream, StreamPacket
from neuralcodec.video import VideoFormat


@dataclass(frozen=True)
class StreamHeader:
    """What a decoder must know before the first frame."""

    format: VideoFormat  # width and height 16..16384
    max_gop_frames: int  # 1..65536; no GOP of the file has more frames
    model_name: str  # printable, 1..255 bytes of UTF-8, no slash, no first dot
    model_sha256: bytes  # 32 bytes: digest of the model file that the frames were coded with


@dataclass(frozen=True)
class Extras:
    """What is beside the video: tags, chapters, and the streams whose packets are carried."""

    tags: FileTags = field(default_factory=FileTags)
    streams: tuple[OtherStream, ...] = ()  # at most 256, in order of their numbers


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One coded frame."""

    pts: int  # in VideoFormat.time_base units, within ±(2⁶² − 1)
    q: int  # quality, 0..63
    payload: bytes


@dataclass(frozen=True, slots=True)
class GopRecord:
    """One closed group of pictures: an intra frame, then inter frames."""

    first_frame: int  # number in the video, from 0
    symbols_crc: int | None  # CRC-32 of the decoded symbols; None for the first frames of a GOP
    frames: tuple[FrameRecord, ...]


@dataclass(frozen=True, slots=True)
class GopStats:
    """PSNR of the frames of one GOP as a decoder will show them."""

    first_frame: int
    psnr: tuple[tuple[float, float, float], ...]  # dB of Y, U, V per frame; inf = lossless


@dataclass(frozen=True, slots=True)
class GopContent:
    """A GOP where it stands in the file, and its statistics if they are there and undamaged."""

    gop: GopRecord
    stats: GopStats | None


@dataclass(frozen=True, slots=True)
class PacketsContent:
    """Packets of other streams where they stand in the file: before the GOP of their time."""

    packets: tuple[StreamPacket, ...]


Content = GopContent | PacketsContent


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """Where one GOP lies in the file."""

    offset: int  # bytes from the start of the file to its GOPS chunk
    first_frame: int
    frame_count: int
    first_pts: int


@dataclass(frozen=True, slots=True)
class Damage:
    """A stretch of a file that cannot be used, and why."""

    what: str
    chunk_type: str | None  # None where no chunk could be recognised
    gop: int | None  # GOP number from 0 in file order, where a GOPS chunk could be recognised
    start: int  # byte offsets in the file, end exclusive; equal where bytes are missing
    end: int

    def __str__(self) -> str:
        subject = "the file" if self.gop is None else f"GOP {self.gop}"
        chunk = "" if self.chunk_type is None else f"{self.chunk_type} chunk, "
        if self.end > self.start:
            place = f"bytes {self.start} to {self.end - 1}"
        else:
            place = f"at byte {self.start}"
        return f"{subject} is damaged ({chunk}{place}): {self.what}"
