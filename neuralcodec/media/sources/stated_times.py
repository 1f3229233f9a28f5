"""What the headers of a source say of how long it lasts."""

from fractions import Fraction

from neuralcodec.media.sources.source import Source

_MICROSECOND = Fraction(1, 1_000_000)  # unit of a container's duration in FFmpeg
# Seconds, all milliseconds that 32 bits count: FFmpeg's word for "until the next one" of subtitles,
# which some containers then state as a duration.
ENDLESS = 4294967


def stated_duration(source: Source) -> Fraction | None:
    """Seconds that are stated of the video, else of the container; None if there is nothing."""
    own = _matroska_duration(source)
    if own is not None:
        return own
    if source.container.duration is None:
        return None
    duration = source.container.duration * _MICROSECOND
    return duration if duration < ENDLESS else None


def stated_end(source: Source, last: Fraction, duration: Fraction) -> Fraction | None:
    """When the last picture ends, in seconds on the source's clock; None if nothing says so.

    last, duration: of that picture, as FFmpeg gives them.
    """
    video = source.streams.video
    kind = source.container.format.name.split(",")[0]
    if kind == "mov":
        # Of pictures that are reordered MP4 tells durations in the order of decoding.
        end = _end_of_stream(source)
        if end is not None and end > last:
            return end
    if kind in ("matroska", "flv"):
        # Where they say nothing of each picture FFmpeg takes the mean, or the usual time.
        end = _matroska_duration(source)
        if end is None and len(source.container.streams) == 1:
            end = stated_duration(source)
        return end if end is not None and end > last else None
    rate = video.guessed_rate or video.average_rate
    if duration <= 0 or (rate and duration * rate < 1):
        return None  # such as half of it, of one field
    return last + duration


def _end_of_stream(source: Source) -> Fraction | None:
    video = source.streams.video
    if video.duration is None or video.time_base is None:
        return None
    return ((video.start_time or 0) + video.duration) * video.time_base


def _matroska_duration(source: Source) -> Fraction | None:
    """Seconds; None where its tags say nothing."""
    tag = source.streams.video.metadata.get("DURATION")  # "00:00:02.040000000"
    if tag is None:
        return None
    try:
        hours, minutes, seconds = tag.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
    except (ValueError, ZeroDivisionError):
        return None  # tags are free text
