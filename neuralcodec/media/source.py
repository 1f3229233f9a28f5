"""Opening a file or standard input, with errors a user can act on."""

import io
import os
import stat
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import av
from av.container import InputContainer
from av.error import FFmpegError

from neuralcodec.errors import InputError, NcodecError
from neuralcodec.media.source_options import RawInput, SourceOptions
from neuralcodec.media.stream_parameters import codec_of
from neuralcodec.media.stream_selection import Selection, select_streams

STANDARD_INPUT = "-"
RAW_SUFFIXES = (".yuv", ".raw", ".rgb")
_BEGINNING = 4096  # bytes of a pipe that are kept: the first boxes of an MP4 file
_BOX = struct.Struct(">I4s")  # size with these 8 bytes, type


class CountedPipe:
    """The reading end of a pipe that counts the bytes that came through."""

    def __init__(self, pipe: io.BufferedReader):
        self._pipe = pipe
        self._beginning = bytearray()
        self.bytes_read = 0

    def read(self, size: int) -> bytes:
        # Not `read`, which waits for all of `size`: a live source's frames would come late. Nor
        # `read1`: it holds a lock while it waits, and Python cannot end as long as a thread does.
        data = self._pipe.raw.read(size) or b""
        self.bytes_read += len(data)
        if len(self._beginning) < _BEGINNING:
            self._beginning += data[:_BEGINNING]
        return data

    @property
    def has_index_at_end(self) -> bool:
        """Whether it is an MP4 or MOV file (ISO 14496-12) whose pictures come before its index:
        what was needed to read them has come too late."""
        at = 0
        while at + _BOX.size <= len(self._beginning):
            size, kind = _BOX.unpack_from(self._beginning, at)
            if kind == b"mdat":
                return True
            if size < _BOX.size or kind == b"moov":
                return False
            at += size
        return False


@dataclass(frozen=True)
class Source:
    """An open container and the streams to take from it."""

    name: str  # for messages
    container: InputContainer
    streams: Selection
    size: int | None  # bytes, where known
    pipe: CountedPipe | None

    @property
    def is_seekable(self) -> bool:
        return self.size is not None


def open_source(path: str | os.PathLike[str], options: SourceOptions | None = None) -> Source:
    """Open a file, or standard input if `path` is '-'; without options, its pictures alone.

    Raises InputError for what is missing, unreadable, not a video or without a video stream;
    UsageError for options that do not fit the source.
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
    container = _open_container(file, name, options.raw if options else None)
    if isinstance(file, str):
        container = _with_late_sound(container, file, name)
    try:
        streams = select_streams(container, name, options)
    except NcodecError:
        container.close()
        raise
    return Source(name, container, streams, size, pipe)


def standard_input() -> BinaryIO:
    """Raises InputError where the program was started without one."""
    if sys.stdin is None:
        raise InputError("cannot read standard input: it is closed")
    return sys.stdin.buffer


def _with_late_sound(container: InputContainer, file: str, name: str) -> InputContainer:
    """The container opened anew if sound of it is not known, which a transport stream may announce
    late, and if that makes it known.

    Not at once, as FFmpeg then takes the codecs that are announced last for those of the whole.
    """
    if container.format.name != "mpegts" or _knows_sound(container):
        return container
    another = _open_container(file, name, None, scans_ahead=True)
    if _knows_sound(another) and _video_codecs(another) == _video_codecs(container):
        container.close()
        return another
    another.close()
    return container


def _knows_sound(container: InputContainer) -> bool:
    contexts = [getattr(stream, "codec_context", None) for stream in container.streams.audio]
    return all(context is None or context.sample_rate for context in contexts)


def _video_codecs(container: InputContainer) -> dict[int, str | None]:
    return {stream.index: codec_of(stream) for stream in container.streams.video}


def _open_container(
    file: Any, name: str, raw: RawInput | None, *, scans_ahead: bool = False
) -> InputContainer:
    # Tags are free text of any encoding.
    kind: dict[str, Any] = {"metadata_errors": "replace"}
    if scans_ahead:
        kind["options"] = {"scan_all_pmts": "1"}
    if raw is not None:
        kind |= {
            "format": "rawvideo",
            "container_options": {
                "pixel_format": raw.pixel_format,
                "video_size": f"{raw.width}x{raw.height}",
                "framerate": str(raw.frame_rate),
            },
        }
    try:
        container: InputContainer = av.open(file, "r", **kind)
    except (FFmpegError, OSError, ValueError) as error:
        if raw is None and name.lower().endswith(RAW_SUFFIXES):
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
