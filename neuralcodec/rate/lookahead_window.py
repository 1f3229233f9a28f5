"""What one pass knows of the frames to come, while it looks ahead."""

from neuralcodec.encoder.lookahead import FrameComplexity, SourceFrame, frames_held
from neuralcodec.video import USUAL_RATE, VideoFormat


class Sight:
    """The frames seen and not begun. They are begun in another order than that of the source."""

    def __init__(self, fmt: VideoFormat, gop: int) -> None:
        """gop: most frames of one."""
        self.frames_ahead = frames_held(gop, fmt)
        self.coming: dict[int, FrameComplexity] = {}  # by number
        self.begun = 0  # frames
        self.ends = False  # whether the end of the source is in sight
        self._time_base = fmt.time_base
        self._usual_rate = float(fmt.frame_rate or USUAL_RATE)
        self._first: FrameComplexity | None = None
        self._last: FrameComplexity | None = None

    def see(self, frame: SourceFrame) -> list[FrameComplexity]:
        """What is new, in the order of the source."""
        last = self._last.number if self._last else -1
        new = [info for info in frame.ahead if info.number > last]
        self.coming |= {info.number: info for info in new}
        self.ends = self.ends or frame.sees_end
        if self._first is None:
            self._first = frame.ahead[0]
        self._last = new[-1] if new else self._last
        return new

    def begin(self, number: int) -> None:
        del self.coming[number]
        self.begun += 1

    @property
    def rate(self) -> float:
        """Frames a second, of those seen."""
        assert self._first is not None and self._last is not None
        between = float((self._last.pts - self._first.pts) * self._time_base)
        if between <= 0:
            return self._usual_rate
        return (self._last.number - self._first.number) / between
