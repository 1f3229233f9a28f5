"""What every writer of video can do."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from neuralcodec.display_matrix import DisplayMatrix
from neuralcodec.streams import StreamPacket
from neuralcodec.video import Frame


def lost_matrix(kind: str, matrix: DisplayMatrix) -> str:
    """The sentence for a format that cannot hold how to turn the pictures."""
    return f"{kind} cannot hold how to show the pictures ({matrix}): left out"


class VideoWriter(ABC):
    """Takes frames one at a time; the file appears on `close`, and never after `abort`.

    As a context manager it closes on a clean exit and aborts on an exception.

    Every method may raise OutputError (disk full, ...), or BrokenPipeError when the reader
    of a pipe has left.

    Attributes:
        notices: one sentence for each thing the format cannot hold as it is.
        end_pts: when the last frame ends, to be set before `close` where that is known; else it
            is shown as long as is usual.
    """

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.end_pts: int | None = None

    @abstractmethod
    def write(self, frame: Frame) -> None:
        """Add a frame of the size and depth the writer was opened for."""

    @abstractmethod
    def write_packets(self, packets: Sequence[StreamPacket]) -> None:
        """Add packets of the other streams, each stream's in its own order.

        Those of a stretch of time come before the frames of that time, and those of streams
        left out are dropped; so are all where the format holds pictures only.
        """

    @abstractmethod
    def close(self) -> None:
        """Finish the file and give it its name; later calls do nothing."""

    @abstractmethod
    def abort(self) -> None:
        """Leave nothing behind; does nothing after `close`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if exc_type is None:
                self.close()
        finally:
            self.abort()  # does nothing after a close that went well

    def _notice(self, sentence: str) -> None:
        if sentence not in self.notices:
            self.notices.append(sentence)
