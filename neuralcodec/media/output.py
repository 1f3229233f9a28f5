"""Choosing the writer for an output name."""

import os
from pathlib import Path

from neuralcodec.atomic_file import AtomicFile, check_target
from neuralcodec.errors import UsageError
from neuralcodec.media.container_writer import CONTAINERS, ContainerWriter
from neuralcodec.media.png_writer import PngWriter, first_file
from neuralcodec.media.raw_writer import RawWriter, StandardOutput
from neuralcodec.media.writer import VideoWriter
from neuralcodec.video import VideoFormat

STANDARD_OUTPUT = "-"
_RAW_FORMATS = ("y4m", "yuv")
_FORMATS = (*_RAW_FORMATS, *CONTAINERS, "png")


def check_output(
    path: str | os.PathLike[str], overwrite: bool, *, format: str | None = None
) -> None:
    """Raise now what `open_writer` would raise later: UsageError or OutputError.

    '-' (standard output) is always fit for y4m and yuv.
    """
    if os.path.isdir(path):
        check_target(path, overwrite)  # a clearer word than one about its missing extension
    chosen = _choose_format(path, format)
    if os.fspath(path) == STANDARD_OUTPUT:
        return
    check_target(first_file(path) if chosen == "png" else path, overwrite)


def open_writer(
    path: str | os.PathLike[str],
    fmt: VideoFormat,
    *,
    format: str | None = None,
    overwrite: bool = False,
) -> VideoWriter:
    """Open a writer for frames of `fmt`; '-' is standard output (Y4M unless told otherwise).

    `format` is y4m, yuv, mp4, mov, mkv or png; None takes it from the extension.
    y4m, yuv and mkv (FFV1) are lossless, mp4 and mov visually lossless H.264, png needs a
    number pattern in its name (frame%04d.png) and counts from 1.

    Raises UsageError for an unknown format, OutputError if the file exists (without
    `overwrite`) or cannot be created.
    """
    check_output(path, overwrite, format=format)
    chosen = _choose_format(path, format)
    if chosen == "png":
        return PngWriter(path, fmt)
    if chosen in CONTAINERS:
        return ContainerWriter(AtomicFile(path, overwrite), fmt, chosen)
    if os.fspath(path) == STANDARD_OUTPUT:
        return RawWriter(StandardOutput(), fmt, chosen)
    return RawWriter(AtomicFile(path, overwrite), fmt, chosen)


def _choose_format(path: str | os.PathLike[str], format: str | None) -> str:
    to_stdout = os.fspath(path) == STANDARD_OUTPUT
    chosen = format or ("y4m" if to_stdout else Path(path).suffix.lower().removeprefix("."))
    if chosen not in _FORMATS:
        raise UsageError(f"cannot write {path}: the format must be one of {', '.join(_FORMATS)}")
    if to_stdout and chosen not in _RAW_FORMATS:
        raise UsageError(f"{chosen} cannot go to standard output; use y4m or yuv, or name a file")
    return chosen
