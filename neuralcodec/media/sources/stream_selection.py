"""Which streams of a source are taken: one of pictures, and others that are carried."""

import re
from dataclasses import dataclass

from av.container import InputContainer
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from neuralcodec.errors import InputError, UsageError
from neuralcodec.media.sources.source_options import SourceOptions

# FFmpeg draws any text file as a picture of a terminal.
_TEXT_CODECS = {"ansi", "bintext", "idf", "xbin"}
_PICTURE_FLAGS = Disposition.attached_pic | Disposition.timed_thumbnails
_TYPES = {"a": "audio", "s": "subtitle", "d": "data", "t": "attachment"}
_MAP = re.compile(r"(?P<minus>-?)0(:(?P<type>[vVasdt]))?(:(?P<index>\d{1,6}))?(?P<optional>\??)")


@dataclass(frozen=True)
class Selection:
    """Streams to take, and a sentence on each one that was wished for but cannot be taken."""

    video: VideoStream
    others: tuple[Stream, ...]
    notices: tuple[str, ...] = ()


def select_streams(
    container: InputContainer, name: str, options: SourceOptions | None
) -> Selection:
    """The streams that `options` ask for; without options the best video stream alone.

    Raises InputError where there is no video in the source, or none that FFmpeg decodes;
    UsageError for maps that cannot be understood, match nothing, or do not leave one video.
    """
    if options is None:
        return Selection(_readable(_best_video(container, name), name), ())
    # MP4's list of chapters is such a stream: FFmpeg has read it, and gives no packets of it.
    streams: list[Stream] = [s for s in container.streams if s.discard != Discard.all]
    notices = []
    if options.maps:
        chosen = _mapped(streams, options.maps, name)
        videos = [stream for stream in chosen if is_video(stream)]
        if len(videos) != 1:
            raise UsageError(
                f"the stream maps choose {len(videos)} video streams of {name}; "
                "choose exactly one, such as 0:v:0"
            )
        video = videos[0]
        others = [stream for stream in chosen if stream is not video]
    else:
        video = _best_video(container, name)
        others = [stream for stream in streams if not is_video(stream)]
        notices = [
            f"stream 0:{stream.index} of {name} is left out: only one video stream is coded"
            for stream in streams
            if is_video(stream) and stream is not video
        ]
    if not options.audio:
        others = [stream for stream in others if stream.type != "audio"]
    return Selection(_readable(video, name), tuple(others), tuple(notices))


def is_video(stream: Stream) -> bool:
    """Whether a stream is moving pictures; a cover picture is a video stream to FFmpeg too."""
    return isinstance(stream, VideoStream) and not stream.disposition & _PICTURE_FLAGS


def is_cover(stream: Stream) -> bool:
    """Whether a stream is one picture that belongs to the file, such as its cover."""
    return isinstance(stream, VideoStream) and bool(stream.disposition & Disposition.attached_pic)


def _mapped(streams: list[Stream], maps: tuple[str, ...], name: str) -> list[Stream]:
    # A list of exclusions alone takes the rest, as anything else would leave nothing.
    chosen = list(streams) if all(text.startswith("-") for text in maps) else []
    for text in maps:
        match = _MAP.fullmatch(text)
        if match is None:
            raise UsageError(
                f"{text} is no stream map; examples: 0 (all), 0:v:0, 0:a, 0:a:1, 0:2, -0:s"
            )
        found = _matching(streams, match["type"], match["index"])
        if not found and not match["optional"]:
            raise UsageError(f"the stream map {text} matches no stream of {name}")
        if match["minus"]:
            chosen = [stream for stream in chosen if stream not in found]
        else:
            chosen += [stream for stream in found if stream not in chosen]
    return chosen


def _matching(streams: list[Stream], kind: str | None, index: str | None) -> list[Stream]:
    if kind == "v":
        streams = [stream for stream in streams if stream.type == "video"]
    elif kind == "V":
        streams = [stream for stream in streams if is_video(stream)]
    elif kind is not None:
        streams = [stream for stream in streams if stream.type == _TYPES[kind]]
    return streams if index is None else streams[int(index) : int(index) + 1]


def _best_video(container: InputContainer, name: str) -> VideoStream:
    candidates = [stream for stream in container.streams.video if is_video(stream)]
    best = container.streams.best("video")
    if not candidates:
        raise InputError(f"{name} has no video stream; give a file with pictures in it")
    return next((stream for stream in candidates if stream is best), candidates[0])


def _readable(stream: Stream, name: str) -> VideoStream:
    # A stream whose codec FFmpeg cannot decode has no codec context, whatever PyAV's types say.
    assert isinstance(stream, VideoStream)
    if getattr(stream, "codec_context", None) is None:
        raise InputError(f"{name} is in a codec that FFmpeg cannot decode; convert it first")
    if stream.codec_context.name in _TEXT_CODECS:
        raise InputError(f"{name} is a text file and not a video")
    return stream
