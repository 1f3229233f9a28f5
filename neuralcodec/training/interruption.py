"""Ctrl-C while training or comparing: what is on its way is finished, then all is saved."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(Exception):
    """Ends what is not worth finishing; `number` is that of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class StopRequest:
    """Whether the user wants an end; `number` is that of the signal."""

    number: int | None = None

    def __call__(self) -> bool:
        return self.number is not None

    def check(self) -> None:
        """Raises Interrupted."""
        if self.number is not None:
            raise Interrupted(self.number)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Within it Ctrl-C, SIGTERM and a closed terminal ask to stop; the same once more does what it
    did before."""
    request, owner = StopRequest(), os.getpid()
    names = ("SIGINT", "SIGTERM", "SIGHUP")  # the last one is not everywhere
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) != signal.SIG_IGN}

    def ask(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:
            return  # the process that reads: a terminal's Ctrl-C goes there too
        request.number = number
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, ask)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
