"""What an .nlc file holds, as values: header, GOPs, statistics, other streams, index, damage."""

from dataclasses import dataclass, field, replace
from fractions import Fraction

from neuralcodec.origin import Origin
from neuralcodec.references import Placement, needed_for
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
    """What is beside the video: tags, chapters, the streams whose packets are carried, and how it
    was taken from its source."""

    tags: FileTags = field(default_factory=FileTags)
    streams: tuple[OtherStream, ...] = ()  # at most 256, in order of their numbers
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One coded frame."""

    pts: int  # in VideoFormat.time_base units, within ±(2⁶¹ − 1)
    q: int  # -9..90, on the scale of the qualities 0..63 that can be asked for
    payload: bytes
    place: Placement


@dataclass(frozen=True, slots=True)
class GopPlace:
    """Where a GOP was read from."""

    gop: int | None  # its number in file order, from 0, where that is known
    start: int  # byte offsets of its chunk in the file, end exclusive
    end: int


@dataclass(frozen=True, slots=True)
class GopRecord:
    """One closed group of pictures, or those of its frames that are needed to show some of them:
    an intra frame, then inter frames, in the order of coding."""

    first_frame: int  # number in the video, from 0, of the first frame of the GOP
    symbols_crc: int | None  # CRC-32 of the decoded symbols; None where frames are left out
    frames: tuple[FrameRecord, ...]
    wanted: range | None = None  # numbers in the order of showing; None: all frames
    place: GopPlace | None = field(default=None, compare=False, repr=False)  # None: in no file yet

    @property
    def shown(self) -> tuple[FrameRecord, ...]:
        """The frames in the order of showing, without those that others are needed for alone."""
        frames = sorted(self.frames, key=lambda frame: frame.place.shown)
        wanted = self.wanted
        return tuple(f for f in frames if wanted is None or f.place.shown in wanted)

    @property
    def times(self) -> tuple[int, ...]:
        """PTS in the order of showing."""
        return tuple(frame.pts for frame in self.shown)

    def only(self, wanted: range) -> "GopRecord":
        """What is needed of a whole GOP to show these of its frames."""
        if len(wanted) == len(self.frames):
            return self
        needed = needed_for([frame.place for frame in self.frames], wanted)
        frames = tuple(self.frames[i] for i in needed)
        return replace(self, symbols_crc=None, frames=frames, wanted=wanted)


@dataclass(frozen=True, slots=True)
class GopStats:
    """PSNR of the frames of one GOP as a decoder will show them."""

    first_frame: int
    # dB of Y, U, V per frame, in the order of showing; inf = lossless
    psnr: tuple[tuple[float, float, float], ...]


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
class Loss:
    """The frames and the time that damage costs, as the undamaged GOPs beside it tell."""

    first_frame: int | None  # number in the video; None where only packets are lost
    end_frame: int | None  # exclusive; None where it cannot be known how many are lost
    start: Fraction | None  # seconds, as time stamps count; None where it cannot be known
    end: Fraction | None

    def __str__(self) -> str:
        return ", ".join(filter(None, (self._frames(), self._time())))

    def _frames(self) -> str:
        if self.first_frame is None:
            return ""
        if self.end_frame is None:
            return f"all frames from {self.first_frame} on"
        if self.end_frame == self.first_frame + 1:
            return f"frame {self.first_frame}"
        return f"frames {self.first_frame} to {self.end_frame - 1}"

    def _time(self) -> str:
        if self.start is None:
            return "" if self.end is None else f"up to {float(self.end):.3f} s"
        if self.end is None:
            return f"from {float(self.start):.3f} s on"
        return f"{float(self.start):.3f} s to {float(self.end):.3f} s"


@dataclass(frozen=True, slots=True)
class Damage:
    """A stretch of a file that cannot be used, and why."""

    what: str
    chunk_type: str | None  # None where no chunk could be recognised
    gop: int | None  # GOP number from 0 in file order, where a GOPS chunk could be recognised
    start: int  # byte offsets in the file, end exclusive; equal where bytes are missing
    end: int
    ends_file: bool = False  # the file was cut there, or is still being written
    loss: Loss | None = field(default=None, compare=False)  # None: nothing, or not known so far

    def __str__(self) -> str:
        subject = "the file" if self.gop is None else f"GOP {self.gop}"
        chunk = "" if self.chunk_type is None else f"{self.chunk_type} chunk, "
        if self.end > self.start:
            place = f"bytes {self.start} to {self.end - 1}"
        else:
            place = f"at byte {self.start}"
        loss = f"; {self.loss}" if self.loss else ""
        return f"{subject} is damaged ({chunk}{place}{loss}): {self.what}"
