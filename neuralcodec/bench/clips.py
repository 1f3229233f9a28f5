"""Sources of a bench: whole, at least two frames, as Y4M that every codec reads alike."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from neuralcodec.atomic_file import output_errors
from neuralcodec.bench.peer_files import FALLBACK_RATE
from neuralcodec.errors import InputError
from neuralcodec.media import VideoReader
from neuralcodec.media.writing.raw_writer import y4m_header
from neuralcodec.video import Frame, VideoFormat

SHOWN_AT = (Fraction(1, 3), Fraction(4, 5))  # of a clip's length: the frames kept as pictures


@dataclass(frozen=True)
class Source:
    """One input."""

    name: str  # unique in its bench
    path: Path
    sha256: str  # of the file


@dataclass(frozen=True)
class Extract:
    """The frames of a source that are measured."""

    format: VideoFormat
    frames: int
    notices: tuple[str, ...]  # what was converted

    @property
    def shown_frames(self) -> tuple[int, ...]:
        return tuple(sorted({int(self.frames * part) for part in SHOWN_AT}))


def find_sources(paths: Iterable[Path]) -> list[Source]:
    """Raises InputError where a file cannot be read."""
    sources: dict[str, Source] = {}
    for path in paths:
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror}); check the name"
            ) from error
        name, number = path.name, 1
        while name in sources:
            number += 1
            name = f"{path.name} ({number})"
        sources[name] = Source(name, path, digest)
    return list(sources.values())


def extract(source: Source, limit: int | None, path: Path) -> Extract:
    """Writes at most `limit` frames of a source as Y4M to `path`.

    Raises InputError for a source that cannot be read, ends in the middle, or has fewer than two
    frames, and OutputError where the disk is full.
    """
    with VideoReader(source.path, limit=limit) as reader:
        fmt = reader.format
        with output_errors(path):
            count = write_y4m(reader, path, fmt)
        if reader.truncated:
            raise InputError(f"{reader.truncated}; a bench needs whole clips")
        if count < 2:
            raise InputError(
                f"{source.path}: one frame only; a bench needs at least two, "
                "or there is no motion to code"
            )
        return Extract(fmt, count, tuple(reader.notices))


def write_y4m(frames: Iterable[Frame], path: Path, fmt: VideoFormat | None = None) -> int:
    """Writes Y4M at an even frame rate and returns the number of frames.

    Without a format it has the frames' size and depth, and says nothing more.
    """
    count = 0
    with path.open("wb") as file:
        for frame in frames:
            if not count:
                fmt = fmt or _plain_format(frame)
                file.write(y4m_header(fmt, fmt.frame_rate or FALLBACK_RATE))
            file.write(b"FRAME\n")
            for plane in frame.planes:
                file.write(plane.tobytes())
            count += 1
    return count


def _plain_format(frame: Frame) -> VideoFormat:
    height, width = frame.y.shape
    depth = 8 * frame.y.itemsize
    return VideoFormat(width, height, 1 / FALLBACK_RATE, 8 if depth == 8 else 10, FALLBACK_RATE)
