"""The part of a source's time that is taken, and where its new zero lies."""

from dataclasses import dataclass, replace
from fractions import Fraction

from av.container import InputContainer

from neuralcodec.media.sources.source_options import SourceOptions
from neuralcodec.streams import Chapter

_MICROSECOND = Fraction(1, 1_000_000)  # unit of a container's start time in FFmpeg


@dataclass(frozen=True)
class TimeWindow:
    """From `start` up to before `end`, in seconds on the source's own clock; None = open.

    All times move so that `zero` becomes 0.
    """

    start: Fraction | None = None
    end: Fraction | None = None
    zero: Fraction = Fraction(0)

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
        end += self.zero
        return replace(self, end=end if self.end is None else min(end, self.end))

    def shift(self, time_base: Fraction) -> int:
        """What to subtract from times; rounded where the zero falls between two ticks."""
        return round(self.zero / time_base)

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
    start = _start_time(container) + (options.start or 0)
    end = None if options.duration is None else start + options.duration
    return TimeWindow(
        # Before the beginning lies what the first sound is decoded from, and nothing to cut off.
        start=start if options.start else None,
        end=end,
        zero=Fraction(0) if options.start is None else start,
    )


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
