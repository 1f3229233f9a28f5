"""Choosing the writer for an output name."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from neuralcodec.atomic_file import AtomicFile, check_target
from neuralcodec.endpoints import STANDARD, is_pipe, is_special, output_name
from neuralcodec.errors import UsageError
from neuralcodec.media.picture_numbers import PicturePattern
from neuralcodec.media.writing.container_writer import CONTAINERS, ContainerWriter
from neuralcodec.media.writing.metadata import file_metadata
from neuralcodec.media.writing.png_writer import PngWriter, first_file
from neuralcodec.media.writing.raw_writer import RawWriter
from neuralcodec.media.writing.sink import Sink, StandardOutput
from neuralcodec.media.writing.writer import VideoWriter
from neuralcodec.streams import FileTags, OtherStream
from neuralcodec.video import VideoFormat

_RAW_FORMATS = ("y4m", "yuv")
_FORMATS = (*_RAW_FORMATS, *CONTAINERS, "png")
_NO_TAGS = FileTags()
_PIPED_FORMATS = (*_RAW_FORMATS, "mkv")  # the others have to go back in what they have written


def check_output(
    path: str | os.PathLike[str], overwrite: bool, *, format: str | None = None
) -> None:
    """Raise now what `open_writer` would raise later: UsageError or OutputError.

    '-' (standard output) is always fit for y4m, yuv and mkv.
    """
    path = output_name(path)
    if os.path.isdir(path):
        check_target(path, overwrite)  # a clearer word than one about its missing extension
    chosen = _choose_format(path, format)
    if path == STANDARD:
        return
    if chosen != "png":
        check_target(path, overwrite)
        return
    check_target(first_file(path), overwrite)
    pattern = PicturePattern(path)
    if not overwrite and (numbers := pattern.numbers()):
        check_target(pattern.file(numbers[0]), overwrite)  # it is not known how many there will be


def writes_streams(path: str | os.PathLike[str], format: str | None) -> bool:
    """Whether the output that `open_writer` would choose can hold other streams than the video."""
    return _choose_format(path, format) in CONTAINERS


def open_writer(
    path: str | os.PathLike[str],
    fmt: VideoFormat,
    *,
    format: str | None = None,
    overwrite: bool = False,
    streams: Sequence[OtherStream] = (),
    tags: FileTags = _NO_TAGS,
) -> VideoWriter:
    """Open a writer for frames of `fmt`; '-' is standard output. That and other pipes get Y4M
    unless told otherwise.

    `streams`, whose packets go to `write_packets`, and `tags` are written too, untouched; what
    the format cannot hold of them is left out, with a sentence in the writer's notices.

    `format` is y4m, yuv, mp4, mov, mkv or png; None takes it from the extension.
    y4m, yuv and mkv (FFV1) are lossless, mp4 and mov visually lossless H.264, png needs a
    number pattern in its name (frame%04d.png) and counts from 1.

    Raises UsageError for an unknown format, OutputError if the file exists (without
    `overwrite`) or cannot be created.
    """
    check_output(path, overwrite, format=format)
    path = output_name(path)
    chosen = _choose_format(path, format)
    writer: VideoWriter
    if chosen == "png":
        writer = PngWriter(path, fmt)
    else:
        sink: Sink = StandardOutput() if path == STANDARD else AtomicFile(path, overwrite)
        if chosen in CONTAINERS:
            return ContainerWriter(sink, fmt, chosen, streams, tags)
        writer = RawWriter(sink, fmt, chosen)
    left_out = _describe_all(streams, tags)
    if left_out:
        writer.notices.append(f"{chosen} holds pictures only: left out are {left_out}")
    return writer


def _describe_all(streams: Sequence[OtherStream], tags: FileTags) -> str:
    """What there is beside the pictures, such as '2 audio, 1 subtitle, 3 chapters'."""
    kinds = Counter(stream.kind for stream in streams)
    words = [f"{number} {kind}" for kind, number in kinds.items()]
    if tags.chapters:
        words.append(f"{len(tags.chapters)} chapters")
    if file_metadata(tags.metadata):
        words.append("the file's tags")
    return ", ".join(words)


def _choose_format(path: str | os.PathLike[str], format: str | None) -> str:
    name = output_name(path)
    suffix = Path(name).suffix.lower().removeprefix(".")
    usual = "y4m" if name == STANDARD or is_special(name) else ""
    chosen = format or suffix or usual
    if chosen not in _FORMATS:
        raise UsageError(f"cannot write {path}: the format must be one of {', '.join(_FORMATS)}")
    if is_pipe(name) and chosen not in _PIPED_FORMATS:
        usable = ", ".join(_PIPED_FORMATS)
        where = "standard output" if name == STANDARD else f"the pipe {name}"
        raise UsageError(f"{chosen} cannot go to {where}; use {usable}, or name a file")
    return chosen
