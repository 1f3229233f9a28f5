"""Output files that appear under their name only once they are whole."""

import errno
import io
import os
import re
import secrets
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from neuralcodec.endpoints import descriptor_of, duplicate_output, is_special
from neuralcodec.errors import OutputError
from neuralcodec.file_lock import try_lock

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_unfinished: set[Path] = set()  # temporary files and folders that may exist now
_scratch: set[Path] = set()  # folders among them: nothing in there is an output


@contextmanager
def output_errors(name: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an OSError met while writing `name` into an OutputError that names it.

    BrokenPipeError passes unchanged: a reader that has seen enough is no failure.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        advice = "; free some space or write elsewhere" if error.errno in _NO_SPACE else ""
        raise OutputError(f"cannot write {name}: {error.strerror or error}{advice}") from error


def check_target(path: str | os.PathLike[str], overwrite: bool) -> None:
    """Raise OutputError now if a file could not be created at `path` later.

    A device, a FIFO or an open descriptor is always a fit target; a regular file only with
    `overwrite`.
    """
    target = Path(path)
    with output_errors(path):
        if (number := descriptor_of(path)) is not None:
            os.close(duplicate_output(number))
            return
        if target.is_dir():
            raise OutputError(f"cannot write {path}: it is a folder; name a file in it")
        if is_special(path):
            return
        if target.exists() and not overwrite:
            raise OutputError(f"{path} already exists; give -y to overwrite it")
        folder = Path(os.path.realpath(target)).parent
        if not folder.is_dir():
            raise OutputError(f"cannot write {path}: there is no folder {folder}")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(f"cannot write {path}: no permission to write in {folder}")


class AtomicFile:
    """A binary file written beside its target and renamed over it by `commit`.

    Until then the target keeps its old content or does not exist; after `abort`
    nothing is left. A device, a FIFO or an open descriptor (/dev/fd/3) is written straight through,
    as a rename would put a regular file in its place. As a context manager it commits on a
    clean exit and aborts on an exception. What a killed process left beside the same
    target is removed.

    Raises OutputError from the constructor (as `check_target`), from `commit`, and from
    every write to `file` (disk full, ...); BrokenPipeError when the reader of a FIFO left.
    """

    def __init__(self, path: str | os.PathLike[str], overwrite: bool):
        check_target(path, overwrite)
        self.path = Path(path)
        self._done = False
        # The file that a symbolic link points to is replaced, and not the link.
        self._target = Path(os.path.realpath(path))
        self._temporary: Path | None = None
        with output_errors(path):
            if (number := descriptor_of(path)) is not None:
                raw = _OutputFile(duplicate_output(number), "wb")
            elif is_special(path):
                raw = _OutputFile(self.path, "wb")
            else:
                _remove_abandoned(self._target)
                self._temporary, raw = _create_temporary(self._target)
        raw.shown_name = str(path)
        self.file: BinaryIO = io.BufferedWriter(raw)

    def commit(self) -> None:
        """Write out what is buffered and give the file its name; later calls do nothing."""
        if self._done:
            return
        try:
            with output_errors(self.path):
                self.file.flush()
                if self._temporary is not None:
                    # Without this a power cut after the rename could leave an empty file.
                    os.fsync(self.file.fileno())
                self.file.close()
                if self._temporary is not None:
                    with signals_held():
                        self._temporary.replace(self._target)
                        remove_temporary(self._temporary)
        except BaseException:
            self.abort()
            raise
        self._done = True

    def abort(self) -> None:
        """Drop everything written; does nothing after `commit`."""
        if self._done:
            return
        self._done = True
        with suppress(OutputError, OSError):  # closing flushes, and the disk may be full
            self.file.close()
        if self._temporary is not None:
            remove_temporary(self._temporary)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is None:
            self.commit()
        else:
            self.abort()


def standard_output() -> BinaryIO:
    """Raises OutputError where the program was started without one."""
    if sys.stdout is None:
        raise OutputError("cannot write standard output: it is closed")
    return sys.stdout.buffer


def temporary_path(target: Path) -> Path:
    """A free hidden name beside `target`: same folder, so that a rename stays atomic."""
    path = target.with_name(f"{_temporary_start(target)}{secrets.token_hex(4)}.part")
    _unfinished.add(path)
    return path


def remove_temporary(path: Path) -> None:
    """Remove what `temporary_path` named, a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    _unfinished.discard(path)


def remove_all_temporaries() -> bool:
    """For a program that has to end at once; True if an output was among them."""
    left, scratch = list(_unfinished), list(_scratch)
    for path in left:
        with suppress(OSError):
            remove_temporary(path)
    return any(not any(path.is_relative_to(folder) for folder in scratch) for path in left)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """An empty folder for what is no output, removed at the end, also by `remove_all_temporaries`.

    What a killed process left under that name goes first. Raises OutputError."""
    folder = path.resolve()  # as AtomicFile resolves its targets
    with output_errors(path):
        remove_temporary(folder)
        folder.mkdir(parents=True)
    _unfinished.add(folder)
    _scratch.add(folder)
    try:
        yield folder
    finally:
        remove_temporary(folder)
        _scratch.discard(folder)


@contextmanager
def signals_held() -> Iterator[None]:
    """Within it Ctrl-C, SIGTERM and a closed terminal wait: for a few renames that belong together.

    Does nothing outside of the main thread, where Python lets no handler be set."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    names = ("SIGINT", "SIGTERM", "SIGHUP")  # the last one is not everywhere
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # None: a handler that is not Python's, which Python could not put back.
    handlers = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) is not None}
    for number, handler in handlers.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


class _OutputFile(io.FileIO):
    """Reports failed writes in the user's words, whoever makes the write (a muxer, say)."""

    shown_name = ""

    def write(self, data: Any, /) -> int:
        with output_errors(self.shown_name):
            return super().write(data)


def _temporary_start(target: Path) -> str:
    # Cut, because a name may be 255 bytes long and the target may use all of them.
    return f".{target.name[:48]}."


def _create_temporary(target: Path) -> tuple[Path, _OutputFile]:
    while True:
        path = temporary_path(target)
        raw = _OutputFile(path, "xb")
        # Before it was locked, another process may have taken it for abandoned.
        if try_lock(raw.fileno()) is not False and path.exists():
            return path, raw
        raw.close()
        remove_temporary(path)


def _remove_abandoned(target: Path) -> None:
    """Removes temporary files beside the target that no living process writes."""
    name = re.compile(re.escape(_temporary_start(target)) + r"[0-9a-f]{8}\.part")
    with suppress(OSError), os.scandir(target.parent) as entries:
        for entry in entries:
            if name.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError), open(entry.path, "rb") as file:
                    if try_lock(file.fileno()):
                        os.unlink(entry.path)
