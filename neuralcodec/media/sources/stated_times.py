"""What the headers of a source say of how long it lasts."""

import re
from fractions import Fraction

from neuralcodec.media.sources.source import Source

_MICROSECOND = Fraction(1, 1_000_000)  # unit of a container's duration in FFmpeg
# Seconds, all milliseconds that 32 bits count: FFmpeg's word for "until the next one" of subtitles,
# which some containers then state as a duration.
ENDLESS = 4294967
# Tags are free text. This is as muxers write it: "00:00:02.040000000".
_TAG = re.compile(r"(\d{1,4}):([0-5]\d):([0-5]\d(?:\.\d{1,9})?)", re.ASCII)
_TAG_SLACK = 1  # seconds that a track may end after its file by the headers of both


def stated_duration(source: Source) -> Fraction | None:
    """Seconds that are stated of the video, else of the container; None if there is nothing."""
    own = duration_by_tag(source)
    if own is not None:
        return own
    return _container_duration(source)


def duration_by_tag(source: Source) -> Fraction | None:
    """Seconds that a tag of the video states, as in Matroska; None where none does, or one that
    the file's own duration belies."""
    match = _TAG.fullmatch(source.streams.video.metadata.get("DURATION", ""))
    if match is None:
        return None
    hours, minutes, seconds = match.groups()
    duration = int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
    whole = _container_duration(source)
    return None if whole is not None and duration > whole + _TAG_SLACK else duration


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
        end = duration_by_tag(source)
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


def _container_duration(source: Source) -> Fraction | None:
    if source.container.duration is None:
        return None
    duration = source.container.duration * _MICROSECOND
    return duration if duration < ENDLESS else None
