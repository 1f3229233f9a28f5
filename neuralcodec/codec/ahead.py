"""Stages of a pipeline in threads of their own, with bounded queues between them."""

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeVar, cast

T = TypeVar("T")
_END = object()


@dataclass
class Stopwatch:
    """Seconds spent in each stage's own work, waiting left out."""

    seconds: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=perf_counter)

    def elapsed(self) -> float:
        """Seconds since this was made, waiting included."""
        return perf_counter() - self.started

    @contextmanager
    def running(self, stage: str) -> Iterator[None]:
        start = perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + perf_counter() - start

    def watch(self, stage: str, items: Iterable[T]) -> Iterator[T]:
        """The same items; the time to produce each counts for `stage`."""
        iterator = iter(items)
        while True:
            with self.running(stage):
                item = next(iterator, _END)
            if item is _END:
                return
            yield cast(T, item)


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def run_ahead(items: Iterable[T], depth: int) -> Iterator[T]:
    """The same items in the same order, produced in a thread that is at most `depth` ahead.

    An error there is raised here. Closing this iterator stops the thread and closes `items`.
    """
    buffer: queue.Queue[object] = queue.Queue(depth)
    stopped = threading.Event()

    def put(item: object) -> bool:
        while not stopped.is_set():
            try:
                buffer.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def produce() -> None:
        iterator = iter(items)
        try:
            for item in iterator:
                if not put(item):
                    break
            put(_END)
        except BaseException as error:
            put(_Failure(error))
        finally:
            close = getattr(iterator, "close", None)
            if close:
                close()

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    try:
        while (item := buffer.get()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield cast(T, item)
    finally:
        stopped.set()
        thread.join()
