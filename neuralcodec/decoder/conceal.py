"""What is shown in place of frames that are lost."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction

import numpy as np

from neuralcodec.video import Frame, VideoFormat

# A forged file can say that any number of frames is missing. As many as these are stood in for: the
# first number whatever the file holds, and the second for each frame that is decoded.
FREE_STAND_INS = 1000
STAND_INS_PER_FRAME = 10


class Conceal(StrEnum):
    """How to conceal lost frames."""

    HOLD = "hold"  # the last good frame, again; before the first one, that one
    BLACK = "black"
    DROP = "drop"  # not at all


@dataclass(frozen=True)
class ShownFrame:
    """A frame with its number in the video."""

    number: int
    frame: Frame
    psnr: tuple[float, float, float] | None  # as recorded: Y, U, V in dB
    stands_in: bool = False  # for a lost one


class Concealer:
    """Puts stand-ins where numbers are missing, so that every frame is shown at its own time.

    Time stamps of lost frames lie evenly between those of their neighbours, or at the nominal rate
    where there is only one; no two frames get the same.
    """

    def __init__(self, how: Conceal, fmt: VideoFormat, next_number: int | None) -> None:
        """next_number: of the first frame wanted; None where what comes first is the first."""
        self._how, self._fmt = how, fmt
        self._next_number = next_number
        self._last: Frame | None = None
        self._step: Fraction | None = None  # between frames, in PTS units
        if fmt.frame_rate:
            self._step = 1 / (fmt.frame_rate * fmt.time_base)
        self._allowed = FREE_STAND_INS

    def fill(self, frames: Iterable[ShownFrame]) -> Iterator[ShownFrame]:
        """The same frames in order, stand-ins among them."""
        for shown in frames:
            if self._next_number is not None and self._how != Conceal.DROP:
                yield from self._between(self._next_number, shown)
            yield shown
            self._next_number, self._last = shown.number + 1, shown.frame
            self._allowed += STAND_INS_PER_FRAME

    def fill_end(self, total: int | None) -> Iterator[ShownFrame]:
        """Stand-ins up to the number of frames in the file; none where that is not known."""
        if total is None or self._last is None or self._how == Conceal.DROP or self._step is None:
            return
        assert self._next_number is not None
        lost = total - self._next_number
        if self._is_allowed(lost):
            start = self._last.pts
            times = (start + round(self._step * n) for n in range(1, lost + 1))
            yield from self._stand_ins(self._next_number, times, self._last)

    def _between(self, first: int, shown: ShownFrame) -> Iterator[ShownFrame]:
        lost = shown.number - first
        if not self._is_allowed(lost):
            return
        end, picture = shown.frame.pts, self._last or shown.frame
        if self._last is not None:
            step = Fraction(end - self._last.pts, lost + 1)
        elif self._step is not None:
            step = self._step
        else:
            return
        times = (end - round(step * n) for n in range(lost, 0, -1))
        for stand_in in self._stand_ins(first, times, picture):
            if stand_in.frame.pts < end:
                yield stand_in

    def _is_allowed(self, lost: int) -> bool:
        if not 0 < lost <= self._allowed:
            return False
        self._allowed -= lost
        return True

    def _stand_ins(self, number: int, times: Iterator[int], picture: Frame) -> Iterator[ShownFrame]:
        if self._how == Conceal.BLACK:
            picture = black_frame(self._fmt)
        before = None if self._last is None else self._last.pts
        for i, pts in enumerate(times):
            if before is None or pts > before:
                before = pts
                yield ShownFrame(number + i, replace(picture, pts=pts), None, stands_in=True)


def black_frame(fmt: VideoFormat) -> Frame:
    """At time 0; in limited range black is 16 of 0..255."""
    kind = np.uint8 if fmt.bit_depth == 8 else np.uint16
    scale = 1 << (fmt.bit_depth - 8)
    luma = 0 if fmt.color.full_range else 16 * scale
    width, height = fmt.chroma_size
    chroma = np.full((height, width), 128 * scale, kind)
    return Frame(np.full((fmt.height, fmt.width), luma, kind), chroma, chroma, 0)
