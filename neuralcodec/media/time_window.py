"""The part of a source's time that is taken, and where its new zero lies."""

from dataclasses import dataclass, replace
from fractions import Fraction

from av.container import InputContainer

from neuralcodec.media.source_options import SourceOptions
from neuralcodec.streams import Chapter

_MICROSECOND = Fraction(1, 1_000_000)  # unit of a container's start time in FFmpeg


@dataclass(frozen=True)
class TimeWindow:
    """From `start` up to before `end`, in seconds on the source's own clock; None = open.

    With a start, all times move so that it becomes 0; without one they stay as they are.
    """

    start: Fraction | None = None
    end: Fraction | None = None

    def is_before(self, time: Fraction) -> bool:
        """Whether a time lies before the window."""
        return self.start is not None and time < self.start

    def is_after(self, time: Fraction) -> bool:
        """Whether a time lies after the window."""
        return self.end is not None and time >= self.end

    def up_to(self, end: Fraction | None) -> "TimeWindow":
        """The window cut at `end`, in seconds of the new clock."""
        if end is None:
            return self
        end += self.start or 0
        return replace(self, end=end if self.end is None else min(end, self.end))

    def shift(self, time_base: Fraction) -> int:
        """What to subtract from times; rounded where the start falls between two ticks."""
        return 0 if self.start is None else round(self.start / time_base)

    def clip(self, chapters: tuple[Chapter, ...]) -> tuple[Chapter, ...]:
        """The chapters inside the window, cut at its borders, on the new clock."""
        kept = []
        for chapter in chapters:
            unit = chapter.time_base
            shift = self.shift(unit)
            start, end = chapter.start - shift, chapter.end - shift
            if self.start is not None:
                start = max(start, 0)
            if self.end is not None:
                end = min(end, round(self.end / unit) - shift)
            if start < end or (start, end) == (chapter.start, chapter.end):
                kept.append(replace(chapter, start=start, end=end))
        return tuple(kept)


def window_of(container: InputContainer, options: SourceOptions | None) -> TimeWindow:
    """The window that the options describe, from the container's start time on."""
    if options is None or (options.start is None and options.duration is None):
        return TimeWindow()
    zero = _start_time(container)
    start = None if options.start is None else zero + options.start
    if options.duration is None:
        return TimeWindow(start)
    return TimeWindow(start, (zero if start is None else start) + options.duration)


def _start_time(container: InputContainer) -> Fraction:
    """Seconds; 0 where the container has no clock."""
    start_time: int | None = getattr(container, "start_time", None)  # PyAV's types forget None
    if start_time is None:
        return Fraction(0)
    rounded = start_time * _MICROSECOND
    # It is that of a stream, rounded; frames are to be compared with it exactly.
    for stream in container.streams:
        if stream.start_time is not None and stream.time_base is not None:
            exact = stream.start_time * stream.time_base
            if abs(exact - rounded) <= _MICROSECOND:
                return exact
    return rounded
