"""What to take of a source, and how."""

from dataclasses import dataclass
from fractions import Fraction

from av.video.format import VideoFormat as PixelFormat

from neuralcodec.errors import UsageError
from neuralcodec.media.picture_numbers import LARGEST_NUMBER
from neuralcodec.video import USUAL_RATE

SMALLEST_SIDE = 16  # luma samples
_LARGEST_SIDE = 1 << 16
_LATEST_START = 1 << 31  # seconds: FFmpeg counts in 64 bits, of a nanosecond or less each


@dataclass(frozen=True)
class RawInput:
    """What headerless video consists of, which nothing in it tells.

    Raises UsageError for a pixel format that FFmpeg does not know, a size out of
    16..65536 or a rate that is not positive.
    """

    pixel_format: str  # FFmpeg's name, such as yuv420p, yuv420p10le, nv12, rgb24
    width: int
    height: int
    frame_rate: Fraction  # frames per second

    def __post_init__(self) -> None:
        try:
            PixelFormat(self.pixel_format)
        except ValueError:
            raise UsageError(
                f"{self.pixel_format} is no pixel format; give FFmpeg's name, such as yuv420p"
            ) from None
        _check_size(self.width, self.height)
        _check_rate(self.frame_rate)


@dataclass(frozen=True)
class NumberedPictures:
    """What is not written in the files of a sequence such as frame%04d.png.

    Raises UsageError for a rate that is not positive or a number out of range.
    """

    frame_rate: Fraction = USUAL_RATE  # frames per second
    first: int | None = None  # number of the first one; None = the lowest there is

    def __post_init__(self) -> None:
        _check_rate(self.frame_rate)
        if self.first is not None and not 0 <= self.first <= LARGEST_NUMBER:
            raise UsageError(f"the number {self.first} is not in 0..{LARGEST_NUMBER}")


@dataclass(frozen=True)
class SourceOptions:
    """Which part of a source to take and how to change it. The default takes all of it.

    Times are seconds from the source's own zero (the container's start time), as of FFmpeg's
    `-ss` and `-t`: a source whose clock starts at 1.4 s has its beginning at 0.

    Raises UsageError for values out of range.
    """

    limit: int | None = None  # frames to read at most, at least 1
    start: Fraction | None = None  # the first frame is the first one not before it
    duration: Fraction | None = None  # from `start` on; more than 0
    scale: tuple[int, int] | None = None  # (width, height) in luma samples; the shape is kept
    fps: Fraction | None = None  # repeat or drop frames to this constant rate
    deinterlace: bool = True  # frames marked as interlaced become progressive
    audio: bool = True
    maps: tuple[str, ...] = ()  # streams as FFmpeg's -map names them; none = all
    raw: RawInput | None = None  # for headerless video
    pictures: NumberedPictures | None = None  # for numbered pictures

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"the number of frames must be at least 1, not {self.limit}")
        if self.start is not None and self.start < 0:
            raise UsageError(f"the start must not be negative, but is {float(self.start):g} s")
        if self.start is not None and self.start > _LATEST_START:
            raise UsageError(f"no video is so long that it could start at {float(self.start):g} s")
        if self.duration is not None and self.duration <= 0:
            raise UsageError(f"the duration must be positive, not {float(self.duration):g} s")
        if self.scale is not None:
            _check_size(*self.scale)
        if self.fps is not None:
            _check_rate(self.fps)


def _check_size(width: int, height: int) -> None:
    if not (SMALLEST_SIDE <= width <= _LARGEST_SIDE and SMALLEST_SIDE <= height <= _LARGEST_SIDE):
        raise UsageError(
            f"a size of {width}x{height} is not in "
            f"{SMALLEST_SIDE}x{SMALLEST_SIDE}..{_LARGEST_SIDE}x{_LARGEST_SIDE}"
        )


def _check_rate(rate: Fraction) -> None:
    # FFmpeg keeps rates as two 32-bit numbers.
    if rate <= 0 or max(rate.numerator, rate.denominator) >= 1 << 31:
        raise UsageError(f"a rate of {rate} frames per second cannot be used")
