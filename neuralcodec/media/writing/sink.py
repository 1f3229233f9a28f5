"""Where a writer's bytes go: a file that appears whole, or standard output."""

import io
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from neuralcodec.atomic_file import output_errors, standard_output


class Sink(Protocol):
    """An AtomicFile or standard output; `path` is for messages."""

    path: Path
    file: BinaryIO

    def commit(self) -> None: ...

    def abort(self) -> None: ...


class StandardOutput:
    """Standard output as a sink; what went out cannot be taken back."""

    def __init__(self) -> None:
        self.path = Path("standard output")
        self.file: BinaryIO = standard_output()

    def commit(self) -> None:
        with output_errors(self.path):
            self.file.flush()

    def abort(self) -> None:
        """Nothing: other programs have read it by now."""


class PipeFile(io.RawIOBase):
    """Passes each write on at once and never seeks, not even where a file is behind the pipe."""

    def __init__(self, sink: Sink):
        self._sink = sink

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        with output_errors(self._sink.path):
            self._sink.file.write(data)
            self._sink.file.flush()
        return len(data)
