"""Stages of a pipeline in threads of their own, with bounded queues between them."""

import atexit
import os
import queue
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeVar, cast

T = TypeVar("T")
_END = object()
PATIENCE = 1.0  # seconds
FORK_PATIENCE = 5.0


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


class RunAhead(Iterator[T]):
    """The same items in the same order, produced in a thread that is at most `depth` ahead.

    An error there is raised here. One thread iterates; any may close.
    """

    def __init__(self, items: Iterable[T], depth: int) -> None:
        self._buffer: queue.Queue[object] = queue.Queue(depth)
        self._stopped = threading.Event()
        # The thread must not refer to self: it is to stop where the iterator is forgotten unclosed.
        self._thread = threading.Thread(
            target=_produce, args=(items, self._buffer, self._stopped), daemon=True
        )
        weakref.finalize(self, self._stopped.set)
        _at_work[self._thread] = (self._stopped, self._buffer)
        self._thread.start()

    def __next__(self) -> T:
        with _work.paused():
            item = _END if self._stopped.is_set() else self._buffer.get()
        if item is _END:
            self._stopped.set()
            raise StopIteration
        if isinstance(item, _Failure):
            self._stopped.set()
            raise item.error
        return cast(T, item)

    def close(self, patience: float | None = PATIENCE) -> None:
        """Ends the iteration, wherever it waits, and the thread, which then closes `items`.

        A thread that does not end within `patience` seconds is left behind (see `is_stuck`): it
        may wait for input that never comes. None waits without limit.
        """
        _stop(self._stopped, self._buffer)
        self._thread.join(patience)

    @property
    def is_stuck(self) -> bool:
        """Whether the thread is still at work after `close`: what it reads must not be closed."""
        return self._stopped.is_set() and self._thread.is_alive()


class _Work:
    """Who produces an item at this moment. A process is not forked meanwhile: the child would have
    all locks, those within libraries too, as they are at that moment, and nobody to release them.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._changed = threading.Condition()
        self._busy: set[threading.Thread] = set()
        self._forks = 0  # about to happen

    def begin(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._forks)
            self._busy.add(threading.current_thread())

    def end(self) -> None:
        with self._changed:
            self._busy.discard(threading.current_thread())
            self._changed.notify_all()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While this thread waits for another one."""
        if threading.current_thread() not in self._busy:
            yield
            return
        self.end()
        try:
            yield
        finally:
            self.begin()

    def before_fork(self) -> None:
        """Waits, but not for ever: an item may wait for input that never comes."""
        own = {threading.current_thread()}
        with self._changed:
            self._forks += 1
            self._changed.wait_for(lambda: self._busy <= own, FORK_PATIENCE)

    def after_fork(self) -> None:
        with self._changed:
            self._forks -= 1
            self._changed.notify_all()


_work = _Work()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_work.before_fork, after_in_parent=_work.after_fork, after_in_child=_work.reset
    )

_at_work = weakref.WeakKeyDictionary[
    threading.Thread, tuple[threading.Event, "queue.Queue[object]"]
]()


def _stop(stopped: threading.Event, buffer: "queue.Queue[object]") -> None:
    stopped.set()
    with suppress(queue.Full):  # where it is full, nobody waits for an item
        buffer.put_nowait(_END)


@atexit.register
def _stop_all() -> None:
    """Python ends daemon threads wherever they are; within PyTorch that aborts the process."""
    threads = list(_at_work.items())
    for _, (stopped, buffer) in threads:
        _stop(stopped, buffer)
    for thread, _ in threads:
        thread.join(PATIENCE)


def _produce(items: Iterable[T], buffer: queue.Queue[object], stopped: threading.Event) -> None:
    def put(item: object) -> bool:
        while not stopped.is_set():
            try:
                buffer.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    iterator = iter(items)
    try:
        while True:
            _work.begin()
            try:
                item = next(iterator, _END)
            finally:
                _work.end()
            if not put(item) or item is _END:
                break
    except BaseException as error:
        put(_Failure(error))
    finally:
        close = getattr(iterator, "close", None)
        if close:
            close()
