"""What the name of an input or output means: a file, an open file descriptor, or a URL.

Names are those that users of FFmpeg know: `-`, `pipe:`, `pipe:3`, `file:name`, and those of the
system: `/dev/stdout`, `/dev/fd/3`, which shells put in the place of `<(command)`.
"""

import io
import os
import re
import stat
import sys
from typing import BinaryIO

from neuralcodec.errors import InputError, UsageError

STANDARD = "-"  # standard input or output
Name = str | os.PathLike[str]

_STANDARD_FILES = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self|proc/thread-self)/fd/(\d{1,9})")
_PIPE_PROTOCOL = re.compile(r"(?:pipe|fd):(\d{0,9})")
_FILE_PROTOCOL = "file:"
# A drive of Windows has one letter. Those of FFmpeg that read other URLs need no slashes.
_URL = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]+://.*"
    r"|(?:async|bluray|cache|concatf?|crypto|data|hls|subfile)[:,].*",
    re.DOTALL,
)
_MOST_LINKS = 40  # as of Linux


def input_name(name: Name) -> str:
    """'-' for standard input, '/dev/fd/3' for a descriptor, else the path of a file.

    A file of that name goes before any other meaning. Raises UsageError for a URL.
    """
    text = os.fspath(name)
    return _described(text) if os.path.lexists(text) else _plain_name(text, 0)


def output_name(name: Name) -> str:
    """As `input_name`; but 'pipe:1' is standard output, whatever files there are."""
    return _plain_name(os.fspath(name), 1)


def shown_input(name: Name) -> str:
    """For messages."""
    text = os.fspath(name)
    return "standard input" if text == STANDARD else text


def descriptor_of(name: Name) -> int | None:
    """Of '/dev/fd/3', and of a link to it, 3; None for all that is no name of a descriptor."""
    text = os.fspath(name)
    for _ in range(_MOST_LINKS):
        if text in _STANDARD_FILES:
            return _STANDARD_FILES[text]
        if match := _DESCRIPTOR.fullmatch(text):
            return int(match[1])
        if not os.path.islink(text):
            return None
        text = os.path.join(os.path.dirname(text), os.readlink(text))
    return None


def is_special(name: Name) -> bool:
    """Whether a device, a FIFO or a socket is there, or it is the name of an open descriptor."""
    if descriptor_of(name) is not None:
        return True
    return os.path.exists(name) and not os.path.isfile(name) and not os.path.isdir(name)


def is_read_once(name: Name) -> bool:
    """Whether what was read of an input may be gone for good."""
    return os.fspath(name) == STANDARD or (is_special(name) and not os.path.isfile(name))


def is_pipe(name: Name) -> bool:
    """Whether what an output gets is passed on as it comes: nobody can go back in it."""
    if os.fspath(name) == STANDARD or descriptor_of(name) is not None:
        return True
    try:
        mode = os.stat(name).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def standard_input() -> BinaryIO:
    """Raises InputError where the program was started without one."""
    if sys.stdin is None:
        raise InputError("cannot read standard input: it is closed")
    return sys.stdin.buffer


def open_input_file(name: Name) -> io.BufferedReader:
    """A file or an open descriptor, for reading. Raises InputError where it cannot be."""
    number = descriptor_of(name)
    try:
        if number is not None and not os.path.isfile(name):
            # Not by its name: a socket has none, and of a pipe a name may be another's to open.
            return open(_duplicate(number, os.O_WRONLY), "rb")
        return open(name, "rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{name}: cannot be read ({reason})") from error


def duplicate_output(number: int) -> int:
    """Another descriptor of what an open one writes to. Raises OSError where it cannot be."""
    return _duplicate(number, os.O_RDONLY)


def _duplicate(number: int, wrong_mode: int) -> int:
    duplicate = os.dup(number)
    try:
        import fcntl
    except ImportError:  # not of POSIX
        return duplicate
    if fcntl.fcntl(duplicate, fcntl.F_GETFL) & os.O_ACCMODE == wrong_mode:
        os.close(duplicate)
        way = "writing" if wrong_mode == os.O_RDONLY else "reading"
        raise OSError(0, f"it is not open for {way}")
    return duplicate


def _plain_name(text: str, standard: int) -> str:
    if match := _PIPE_PROTOCOL.fullmatch(text):
        return _of_descriptor(int(match[1] or standard), standard)
    if text.startswith(_FILE_PROTOCOL):
        text = text.removeprefix(_FILE_PROTOCOL)
        # So that it keeps its meaning when it is asked for once more.
        return os.path.join(".", text) if text == STANDARD or ":" in text else text
    if _URL.fullmatch(text):
        if standard == 0:
            raise UsageError(
                f"{text} is a URL, and URLs are not read: fetch it first, or pipe it in"
            )
        raise UsageError(
            f"{text} is a URL, and URLs are not written: name a file, or pipe it on from '-'"
        )
    return _described(text, standard)


def _described(text: str, standard: int = 0) -> str:
    number = descriptor_of(text)
    return text if number is None else _of_descriptor(number, standard)


def _of_descriptor(number: int, standard: int) -> str:
    return STANDARD if number == standard else f"/dev/fd/{number}"
