"""Opening a file or standard input, with errors a user can act on."""

import io
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from neuralcodec.errors import InputError

STANDARD_INPUT = "-"
# FFmpeg draws any text file as a picture of a terminal.
_TEXT_CODECS = {"ansi", "bintext", "idf", "xbin"}


class CountedPipe:
    """The reading end of a pipe that counts the bytes that came through."""

    def __init__(self, pipe: io.BufferedReader):
        self._pipe = pipe
        self.bytes_read = 0

    def read(self, size: int) -> bytes:
        # Not `read`, which waits for all of `size`: a live source's frames would come late. Nor
        # `read1`: it holds a lock while it waits, and Python cannot end as long as a thread does.
        data = self._pipe.raw.read(size) or b""
        self.bytes_read += len(data)
        return data


@dataclass(frozen=True)
class Source:
    """An open container and the video stream to take from it."""

    name: str  # for messages
    container: InputContainer
    stream: VideoStream
    size: int | None  # bytes, where known
    pipe: CountedPipe | None


def open_source(path: str | os.PathLike[str]) -> Source:
    """Open the best video stream of a file, or of standard input if `path` is '-'.

    Raises InputError for what is missing, unreadable, not a video or without a video stream.
    """
    pipe = None
    file: Any
    if os.fspath(path) == STANDARD_INPUT:
        name = "standard input"
        file = standard_input()
        size = _stdin_size(file)
        if size is None:
            file = pipe = CountedPipe(file)
    else:
        name = os.fspath(path)
        size = _file_size(Path(path))
        file = f"file:{name}"  # a colon in the name is no protocol
    container = _open_container(file, name)
    try:
        stream = _video_stream(container, name)
    except InputError:
        container.close()
        raise
    return Source(name, container, stream, size, pipe)


def standard_input() -> BinaryIO:
    """Raises InputError where the program was started without one."""
    if sys.stdin is None:
        raise InputError("cannot read standard input: it is closed")
    return sys.stdin.buffer


def _open_container(file: Any, name: str) -> InputContainer:
    try:
        container: InputContainer = av.open(file, "r")
    except (FFmpegError, OSError, ValueError) as error:
        if isinstance(error, av.error.InvalidDataError):
            raise InputError(
                f"{name} is not a video that FFmpeg can read, or was cut off before its index; "
                "check that it plays"
            ) from error
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read {name}: {reason}") from error
    return container


def _video_stream(container: InputContainer, name: str) -> VideoStream:
    # A cover picture in an audio file is a video stream to FFmpeg, but no video.
    candidates = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    best = container.streams.best("video")
    if not candidates:
        raise InputError(f"{name} has no video stream; give a file with pictures in it")
    stream = next((stream for stream in candidates if stream is best), candidates[0])
    # A stream whose codec FFmpeg cannot decode has no codec context, whatever PyAV's types say.
    if getattr(stream, "codec_context", None) is None:
        raise InputError(f"{name} is in a codec that FFmpeg cannot decode; convert it first")
    if stream.codec_context.name in _TEXT_CODECS:
        raise InputError(f"{name} is a text file and not a video")
    return stream


def _file_size(path: Path) -> int | None:
    """Bytes of a regular file; None for a FIFO or a numbered image sequence."""
    try:
        status = path.stat()
    except FileNotFoundError:
        if "%" in path.name:  # FFmpeg's pattern for an image sequence
            return None
        raise InputError(f"{path} does not exist; check the name") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{path} is a folder; name a video file in it")
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _stdin_size(file: BinaryIO) -> int | None:
    """Bytes of a file that standard input was redirected from; None for a pipe."""
    return os.fstat(file.fileno()).st_size if file.seekable() else None
