"""Pictures of the part of a source that is wanted, each with its time."""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction

import av
from av.error import FFmpegError

from neuralcodec.media.reading.decoding import Decoding
from neuralcodec.media.reading.demuxing import Demuxer
from neuralcodec.media.reading.time_window import TimeWindow
from neuralcodec.media.reading.timestamps import TimeStamps
from neuralcodec.media.sources.source import Source
from neuralcodec.media.sources.stated_times import stated_end
from neuralcodec.video import USUAL_RATE

_JUMPS = (
    "source has a clock that jumps: "
    "time stamps after each jump are shifted to continue the previous part"
)
_MOST_WITHOUT_TIME = 32  # pictures at the beginning that wait in memory for one that has a time
# A demuxer may land after the picture that is needed, so further back is tried: seconds.
_STEPS_BACK = (0, 2, 10, 60)


class TimedPictures:
    """Iterates the pictures inside a window of time, their PTS as `TimeStamps` places them.

    PTS are in `time_base`, on the window's new clock.

    Attributes:
        notices: one sentence for each kind of repair of a time stamp made so far.
        reached_end: whether reading stopped at the end of the window.
    """

    def __init__(self, source: Source, demuxer: Demuxer, decoding: Decoding, window: TimeWindow):
        self._source = source
        self._demuxer = demuxer
        self._decoding = decoding
        self._window = window
        time_base = source.streams.video.time_base
        assert time_base is not None  # every input stream of FFmpeg has one
        self.time_base: Fraction = time_base
        self.frame_rate = decoding.frame_rate or USUAL_RATE
        self.reached_end = False
        self._time_stamps = TimeStamps(self.frame_rate, time_base)
        self._is_empty = True
        self._last: tuple[int, int] | None = None  # PTS and duration of the picture given latest

    @property
    def notices(self) -> list[str]:
        """What was done to time stamps so far, a sentence for each kind."""
        if not self._demuxer.jumps:
            return self._time_stamps.notices
        return [_JUMPS, *self._time_stamps.notices]

    def end_pts(self) -> int | None:
        """When the last picture ends, after it: in `time_base`, on the new clock.

        None where nothing says so or it is shown as long as is usual. Not where reading was
        stopped at a number of pictures.
        """
        if self._last is None:
            return None
        pts, duration = self._last
        shift = self._window.shift(self.time_base)
        end = self._window.end
        if not self.reached_end:
            last = (pts + shift) * self.time_base
            stated = stated_end(self._source, last, duration * self.time_base)
            if stated is None or self._demuxer.jumps:
                return None
            end = stated if end is None else min(stated, end)
        assert end is not None
        ticks = round(end / self.time_base) - shift
        usual = 1 / (self.frame_rate * self.time_base)
        return None if abs(ticks - pts - usual) <= 1 else ticks

    def __iter__(self) -> Iterator[av.VideoFrame]:
        shift = self._window.shift(self.time_base)
        for picture in self._with_first_times(self._from_near_the_start()):
            self._is_empty = False
            pts = self._time_stamps.place(picture.pts, picture.duration)
            if self._window.is_before(pts * self.time_base):
                continue
            if self._window.is_after(pts * self.time_base):
                self.reached_end = True
                return
            picture.pts = pts - shift
            picture.time_base = self.time_base
            self._last = picture.pts, picture.duration
            yield picture

    def why_none(self) -> str:
        """The sentence for a source that gave no picture."""
        if self._is_empty:
            pipe = self._source.pipe
            if pipe is not None and pipe.has_index_at_end:
                return (
                    f"{self._source.name} has its index (moov) at its end, too late for a pipe: "
                    "name the file, or move the index (ffmpeg -i IN -c copy -movflags +faststart)"
                )
            return f"no frame of {self._source.name} could be decoded; check that it plays"
        return f"{self._source.name} has no frame in the time asked for; choose an earlier start"

    def _from_near_the_start(self) -> Iterator[av.VideoFrame]:
        """All pictures from one that is not after the window's start, or from the first one."""
        start = self._window.start
        if start is None or not self._source.is_seekable or not self._decoding.has_times:
            yield from self._decoding
            return
        for step in _STEPS_BACK:
            if start - step <= self._first_time():
                break
            if not self._seek(start - step):
                break
            pictures = iter(self._decoding)
            first = next((picture for picture in pictures if _is_good(picture)), None)
            if first is not None and (first.pts or 0) * self.time_base <= start:
                if not self._demuxer.has_own_clock():
                    break
                self._decoding.forget_losses()
                yield first
                yield from pictures
                return
        if self._demuxer.passed:
            with suppress(FFmpegError):
                self._demuxer.rewind()
            self._decoding.forget_losses()
        yield from self._decoding

    def _with_first_times(self, pictures: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """The pictures, those before the first one with a time counted back from it."""
        step = 1 / (self.frame_rate * self.time_base)
        waiting: list[av.VideoFrame] = []
        for picture in pictures:
            if picture.pts is not None:
                for place, early in enumerate(reversed(waiting), 1):
                    early.pts = picture.pts - round(place * step)
            elif self._decoding.has_times and len(waiting) < _MOST_WITHOUT_TIME:
                waiting.append(picture)
                continue
            yield from waiting
            yield picture
            yield from pictures
            return
        yield from waiting

    def _first_time(self) -> Fraction:
        return (self._source.streams.video.start_time or 0) * self.time_base

    def _seek(self, time: Fraction) -> bool:
        try:
            self._demuxer.seek(time)
        except FFmpegError:
            return False
        return True


def _is_good(picture: av.VideoFrame) -> bool:
    return picture.pts is not None and not picture.is_corrupt
