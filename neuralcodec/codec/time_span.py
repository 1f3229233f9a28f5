"""How long a stretch of frames lasts."""

from collections.abc import Sequence

from neuralcodec.video import USUAL_RATE, VideoFormat


class TimeSpan:
    """From the first frame to the end of the last, which lasts as long as the mean frame if nothing
    else is said."""

    def __init__(self, fmt: VideoFormat) -> None:
        self.fmt = fmt
        self.frames = 0
        self._first = 0
        self._last = 0
        self._end: int | None = None

    def add(self, pts: Sequence[int]) -> None:
        """The time stamps of the next frames, in order."""
        if self.frames == 0:
            self._first = pts[0]
        self._last = pts[-1]
        self.frames += len(pts)

    def end(self, pts: int | None) -> None:
        """When the last frame ends; None where nothing says so."""
        self._end = pts

    @property
    def seconds(self) -> float:
        if self.frames and self._end is not None and self._end > self._last:
            return float((self._end - self._first) * self.fmt.time_base)
        between = (self._last - self._first) * self.fmt.time_base
        if self.frames > 1 and between > 0:
            return float(between * self.frames / (self.frames - 1))
        return float(self.frames / (self.fmt.frame_rate or USUAL_RATE))
