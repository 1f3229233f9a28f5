"""Pipes that are fed or emptied by a thread, as by another program."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def read_end(gathered: list[bytes]) -> Iterator[int]:
    """A pipe's writing end; what went in is in `gathered` at the end."""
    out, into = os.pipe()

    def gather() -> None:
        with open(out, "rb") as file:
            gathered.append(file.read())

    thread = threading.Thread(target=gather)
    thread.start()
    try:
        yield into
    finally:
        os.close(into)
        thread.join()


@contextmanager
def filled_pipe(data: bytes) -> Iterator[int]:
    """A pipe's reading end, with all of `data` to come; it need not be read to its end."""
    out, into = os.pipe()

    def fill() -> None:
        with suppress(BrokenPipeError), open(into, "wb") as file:
            file.write(data)

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        yield out
    finally:
        os.close(out)
        thread.join()
