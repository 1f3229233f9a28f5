"""Errors that a user can cause and act on.

The command line prints their message as one line and exits with `exit_code`;
Python callers catch `NcodecError`. A message names the file and what to do.
"""


class NcodecError(Exception):
    """Base of every error that is the input's or the environment's fault, not ours."""

    exit_code = 1


class UsageError(NcodecError):
    """The request contradicts itself (input = output, an option out of range)."""

    exit_code = 2


class InputError(NcodecError):
    """The source cannot be read, is not a video, or holds no frames."""


class OutputError(NcodecError):
    """The result cannot be written (exists, disk full, no such folder)."""


class ModelError(NcodecError):
    """A model is unknown, damaged, or not the one a file was made with."""


class DeviceError(NcodecError):
    """The device asked for is not there, or its memory does not suffice."""


class DamagedFile(NcodecError):
    """An .nlc file is truncated, altered or not an .nlc file at all."""

    def __init__(self, message: str, *, offset: int | None = None, gop: int | None = None):
        super().__init__(message)
        self.offset = offset
        self.gop = gop


def reason_of(error: BaseException) -> str:
    """What an exception of a library says, in one line; its type where it says nothing."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
