"""Inputs and outputs of whole files, by name."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from neuralcodec.endpoints import (
    STANDARD,
    input_name,
    open_input_file,
    shown_input,
    standard_input,
)
from neuralcodec.errors import UsageError

PathLike = str | os.PathLike[str]
PIPE = STANDARD
# Under these names other programs, and users, expect another format.
OTHER_FORMATS = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".y4m", ".yuv"}


@contextmanager
def open_input(src: PathLike) -> Iterator[BinaryIO]:
    """Raises InputError when it cannot be read, UsageError for a URL."""
    name = input_name(src)
    if name == PIPE:
        yield standard_input()
        return
    with open_input_file(name) as file:
        yield file


def shown_name(src: PathLike) -> str:
    """For messages."""
    return shown_input(input_name(src))


def refuse_same_file(src: PathLike, dst: PathLike) -> None:
    """Raises UsageError when the output is the input; of pipes and devices that does no harm."""
    named = PIPE not in (os.fspath(src), os.fspath(dst))
    if named and os.path.isfile(src) and os.path.isfile(dst) and os.path.samefile(src, dst):
        raise UsageError(f"{dst}: output is the same file as the input")


def refuse_other_format(dst: PathLike) -> None:
    """Raises UsageError for an .nlc file under the name of another format."""
    if Path(dst).suffix.lower() in OTHER_FORMATS:
        raise UsageError(f"{dst}: encode writes .nlc files; name the output {Path(dst).stem}.nlc")
