"""Opening a file or standard input, with errors a user can act on."""

import io
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import av
from av.container import InputContainer
from av.error import FFmpegError

from neuralcodec.endpoints import (
    STANDARD,
    input_name,
    is_read_once,
    open_input_file,
    shown_input,
    standard_input,
)
from neuralcodec.errors import InputError, UsageError
from neuralcodec.media.picture_numbers import PicturePattern, PictureRun, find_run, is_pattern
from neuralcodec.media.sources.boxes import BoxWalk
from neuralcodec.media.sources.source_options import NumberedPictures, SourceOptions
from neuralcodec.media.sources.stream_selection import Selection, select_streams
from neuralcodec.media.stream_parameters import codec_of

RAW_SUFFIXES = (".yuv", ".raw", ".rgb")
_LATEST = 1 << 20  # bytes of a pipe that are kept: the last packets
_LARGEST_BOX_HEAD = 16


class CountedPipe:
    """The reading end of a pipe that counts the bytes that came through."""

    def __init__(self, pipe: io.BufferedReader):
        self._pipe = pipe
        self._latest: deque[bytes] = deque()
        self._latest_size = 0
        self.boxes = BoxWalk()  # if it is an MP4 file
        self.bytes_read = 0

    def read(self, size: int) -> bytes:
        # Not `read`, which waits for all of `size`: a live source's frames would come late. Nor
        # `read1`: it holds a lock while it waits, and Python cannot end as long as a thread does.
        data = self._pipe.raw.read(size) or b""
        self.bytes_read += len(data)
        self._latest.append(data)
        self._latest_size += len(data)
        while self._latest_size - len(self._latest[0]) >= _LATEST:
            self._latest_size -= len(self._latest.popleft())
        while (self.boxes.end or 0) + _LARGEST_BOX_HEAD <= self.bytes_read:
            if not self.boxes.step(self.latest):
                break
        return data

    def latest(self, start: int, count: int) -> bytes:
        """At most `count` of the bytes from `start` on; none where they have been dropped."""
        at, found = self.bytes_read - self._latest_size, bytearray()
        if start < at:
            return b""
        for data in self._latest:
            if at + len(data) > start:
                begin = max(start - at, 0)
                found += data[begin : begin + count - len(found)]
            if len(found) == count:
                break
            at += len(data)
        return bytes(found)

    @property
    def has_index_at_end(self) -> bool:
        """Whether it is an MP4 or MOV file (ISO 14496-12) whose pictures come before its index:
        what was needed to read them has come too late."""
        return self.boxes.is_index_late


@dataclass(frozen=True)
class Source:
    """An open container and the streams to take from it."""

    name: str  # for messages
    container: InputContainer
    streams: Selection
    size: int | None  # bytes, where known
    pipe: CountedPipe | None
    url: str | None  # to open it once more; None where that cannot be
    settings: dict[str, Any]  # with which it was opened
    gap: str | None = None  # which of numbered pictures are missing; a sentence
    opened: io.BufferedReader | None = None  # for it alone, by its name

    def close(self) -> None:
        """Nothing can be read of it after that."""
        self.container.close()
        if self.opened is not None:
            self.opened.close()

    @property
    def is_seekable(self) -> bool:
        return self.size is not None

    @contextmanager
    def reopened(self) -> Iterator[InputContainer | None]:
        """The container opened anew, at its beginning; None where that cannot be."""
        with ExitStack() as stack:
            container = None
            if self.url is not None:
                with suppress(InputError):
                    container = _open_container(self.url, self.name, self.settings)
                    stack.enter_context(container)
            yield container


def open_source(path: str | os.PathLike[str], options: SourceOptions | None = None) -> Source:
    """Open a file, or standard input if `path` is '-'; without options, its pictures alone.

    Raises InputError for what is missing, unreadable, not a video or without a video stream;
    UsageError for options that do not fit the source.
    """
    pipe = run = url = None
    size: int | None = None
    file: Any
    opened: io.BufferedReader | None = None
    text = input_name(path)
    name = shown_input(text)
    pictures = options.pictures if options else None
    if text == STANDARD:
        file = standard_input()
        size = _stdin_size(file)
        if size is None:
            file = pipe = CountedPipe(file)
    elif is_pattern(text):
        pattern = PicturePattern(text)
        pictures = pictures or NumberedPictures()
        run = find_run(pattern, name, pictures.first)
        file = f"file:{pattern.for_ffmpeg()}"
    elif is_read_once(text):
        opened = open_input_file(text)
        file = pipe = CountedPipe(opened)
    else:
        size = _file_size(Path(text))
        file = url = f"file:{text}"  # a colon in the name is no protocol
    with ExitStack() as undoing:
        if opened is not None:
            undoing.callback(opened.close)
        if pictures is not None and run is None:
            raise UsageError(
                f"{name}: --framerate and --start-number are for numbered pictures "
                "(frame%04d.png); --framerate also for raw video, with --pix-fmt"
            )
        settings = _settings(options, pictures, run)
        container = _open_container(file, name, settings)
        if url is not None and not settings:
            container, settings = _with_late_sound(container, url, name)
        undoing.callback(container.close)
        streams = select_streams(container, name, options)
        undoing.pop_all()
    gap = run.gap if run else None
    return Source(name, container, streams, size, pipe, url, settings, gap, opened)


def _with_late_sound(
    container: InputContainer, url: str, name: str
) -> tuple[InputContainer, dict[str, Any]]:
    """The container opened anew if sound of it is not known, which a transport stream may announce
    late, and if that makes it known; and what it was opened with.

    Not at once, as FFmpeg then takes the codecs that are announced last for those of the whole.
    """
    if container.format.name != "mpegts" or _knows_sound(container):
        return container, {}
    settings = {"options": {"scan_all_pmts": "1"}}
    try:
        another = _open_container(url, name, settings)
    except InputError:
        return container, {}
    if _knows_sound(another) and _video_codecs(another) == _video_codecs(container):
        container.close()
        return another, settings
    another.close()
    return container, {}


def _knows_sound(container: InputContainer) -> bool:
    contexts = [getattr(stream, "codec_context", None) for stream in container.streams.audio]
    return all(context is None or context.sample_rate for context in contexts)


def _video_codecs(container: InputContainer) -> dict[int, str | None]:
    return {stream.index: codec_of(stream) for stream in container.streams.video}


def _settings(
    options: SourceOptions | None, pictures: NumberedPictures | None, run: PictureRun | None
) -> dict[str, Any]:
    """What FFmpeg has to be told of a source that does not say it itself."""
    if run is not None and pictures is not None:
        told = {"framerate": str(pictures.frame_rate), "start_number": str(run.first)}
        return {"format": "image2", "container_options": told}
    raw = options.raw if options else None
    if raw is None:
        return {}
    told = {
        "pixel_format": raw.pixel_format,
        "video_size": f"{raw.width}x{raw.height}",
        "framerate": str(raw.frame_rate),
    }
    return {"format": "rawvideo", "container_options": told}


def _open_container(file: Any, name: str, settings: dict[str, Any]) -> InputContainer:
    try:
        # Tags are free text of any encoding.
        container: InputContainer = av.open(file, "r", metadata_errors="replace", **settings)
    except (FFmpegError, OSError, ValueError) as error:
        if not settings and name.lower().endswith(RAW_SUFFIXES):
            what = f"cannot read {name}: of raw video, say --pix-fmt and --video-size"
            raise InputError(what) from error
        if isinstance(error, av.error.InvalidDataError):
            raise InputError(
                f"{name} is not a video that FFmpeg can read, or was cut off before its index; "
                "check that it plays"
            ) from error
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read {name}: {reason}") from error
    return container


def _file_size(path: Path) -> int:
    """Bytes of a regular file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; check the name") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read {path}: {reason}") from error
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{path} is a folder; name a video file in it")
    return status.st_size


def _stdin_size(file: BinaryIO) -> int | None:
    """Bytes of a file that standard input was redirected from; None for a pipe."""
    return os.fstat(file.fileno()).st_size if file.seekable() else None
