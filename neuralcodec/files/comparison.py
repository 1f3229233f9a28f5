"""Quality of decoded frames, measured against those of the source at the same time."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from neuralcodec.endpoints import shown_input
from neuralcodec.errors import InputError
from neuralcodec.files.paths import PathLike
from neuralcodec.files.source_origin import open_again
from neuralcodec.media import VideoReader
from neuralcodec.metrics import PlanePsnr, PsnrMeter
from neuralcodec.metrics.ssim import WINDOW as SSIM_WINDOW
from neuralcodec.metrics.ssim import ssim
from neuralcodec.origin import Origin
from neuralcodec.video import USUAL_RATE, Frame, VideoFormat

_MILLISECOND = Fraction(1, 1000)  # Matroska rounds to it


@dataclass(frozen=True)
class Quality:
    """Means over frames; PSNR in dB per plane and weighted 6:1:1, SSIM 0..1 per plane."""

    psnr_y: float
    psnr_u: float
    psnr_v: float
    psnr_yuv: float
    ssim_y: float | None = None  # only measured, never recorded
    ssim_u: float | None = None
    ssim_v: float | None = None

    @classmethod
    def of(cls, psnr: PlanePsnr, similarity: list[float] | None = None) -> "Quality":
        return cls(psnr.y, psnr.u, psnr.v, psnr.yuv, *(similarity or []))


class Comparison:
    """Measures decoded frames against those of their source.

    The source is read as the file says it was read for it. What counts is the time; where the two
    clocks differ, as of another container, that of the first pair of frames is taken for the same.
    """

    def __init__(self, reference: PathLike, origin: Origin, fmt: VideoFormat) -> None:
        self.name = shown_input(reference)
        self._origin, self._format = origin, fmt
        self.reader = open_again(reference, origin, fmt)
        other = self.reader.format
        if (other.width, other.height, other.bit_depth) != (fmt.width, fmt.height, fmt.bit_depth):
            self.reader.close()
            raise InputError(
                f"{self.name}: is {other.width}x{other.height} at {other.bit_depth} "
                f"bit, the file {fmt.width}x{fmt.height} at {fmt.bit_depth} bit; "
                "give the source it was made from"
            )
        try:
            self._frames = _ReferenceFrames(self.reader)
        except BaseException:
            self.reader.close()
            raise
        self._tolerance = max(1 / (2 * (fmt.frame_rate or USUAL_RATE)), _MILLISECOND)
        # Seconds from the file's clock to that of the source.
        self._offset: Fraction | None = Fraction(0) if origin.is_renumbered else None
        self.meter = PsnrMeter()
        # of Y, U, V, summed over frames; planes smaller than its window have none
        self.ssim = np.zeros(3) if min(fmt.chroma_size) >= SSIM_WINDOW else None
        self.missing = 0

    def add(self, shown: Frame, number: int) -> None:
        """A frame with the time and the number that it has in the file."""
        source = self._counterpart(shown.pts * self._format.time_base, number)
        if source is None:
            self.missing += 1
            return
        self.meter.add(source, shown)
        if self.ssim is not None:
            self.ssim += [ssim(a, b) for a, b in zip(source.planes, shown.planes, strict=True)]

    @property
    def notices(self) -> list[str]:
        notices = []
        if self._offset:
            direction = "later" if self._offset > 0 else "earlier"
            notices.append(
                f"the times of {self.name} are {abs(float(self._offset)):.3f} s {direction} than "
                "those of the file: frames were paired from the first one on"
            )
        if self.missing:
            notices.append(f"{self.name} lacks {self.missing} frames: those were not measured")
        return notices

    def close(self) -> None:
        """Close the source."""
        self.reader.close()

    def finish(self) -> Quality | None:
        """None when the source has not one of the frames."""
        if not self.meter.frames:
            return None
        similarity = None if self.ssim is None else (self.ssim / self.meter.frames).tolist()
        return Quality.of(self.meter.mean, similarity)

    def _counterpart(self, time: Fraction, number: int) -> Frame | None:
        if not self.reader.has_clock and not self._origin.is_renumbered:
            return self._frames.numbered(number)
        if self._offset is None:
            source = self._frames.numbered(number)
            if source is not None:
                offset = self._frames.time_of(source) - time
                self._offset = offset if abs(offset) > self._tolerance else Fraction(0)
            return source
        return self._frames.nearest(time + self._offset, self._tolerance)


class _ReferenceFrames:
    """The frames of a source in one pass, found by number or by time."""

    def __init__(self, reader: VideoReader) -> None:
        self._reader = reader
        self._frames = iter(reader)
        self._number = -1  # of `_current`
        self._current: Frame | None = None
        self._next = next(self._frames, None)

    def time_of(self, frame: Frame) -> Fraction:
        """Seconds."""
        return frame.pts * self._reader.format.time_base

    def numbered(self, number: int) -> Frame | None:
        """That of a number, counted from 0; numbers asked for must rise."""
        while self._number < number:
            if not self._advance():
                return None
        return self._current

    def nearest(self, time: Fraction, tolerance: Fraction) -> Frame | None:
        """That which is nearest to a time, if it is near enough; times asked for must rise."""
        while self._next is not None and self.time_of(self._next) <= time:
            self._advance()
        there = [frame for frame in (self._current, self._next) if frame is not None]
        near = [f for f in there if abs(self.time_of(f) - time) <= tolerance]
        return min(near, key=lambda frame: abs(self.time_of(frame) - time), default=None)

    def _advance(self) -> bool:
        if self._next is None:
            return False
        self._current, self._next = self._next, next(self._frames, None)
        self._number += 1
        self._reader.take_packets()  # they would pile up
        return True
