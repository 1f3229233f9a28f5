"""Threads that all kernels share, each by strips of its rows.

Strips are taken by whichever thread is free, and by fewer threads while another stage of a pipeline
has a core (`core_taken`): a strip whose thread has to share its core would keep all others waiting
at its end. A kernel gives the same whatever the strips are, and so does any number of threads.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch

STRIPS_A_THREAD = 2  # more would end closer together, but each waits for Python's lock
_lock = threading.Lock()
_taken = 0  # cores


class _Helper:
    """A thread that does one piece of work after the other.

    Locks only: futures and queues would cost more than a small kernel."""

    def __init__(self) -> None:
        self._work: Callable[[], None] = _nothing
        self._failure: BaseException | None = None
        self._begun, self._ended = threading.Lock(), threading.Lock()
        self._begun.acquire()
        self._ended.acquire()
        threading.Thread(target=self._run, name="kernels", daemon=True).start()

    def begin(self, work: Callable[[], None]) -> None:
        self._work = work
        self._begun.release()

    def wait(self) -> None:
        """For the end of the work that was begun; raises what it raised."""
        self._ended.acquire()
        failure, self._failure, self._work = self._failure, None, _nothing
        if failure is not None:
            raise failure

    def _run(self) -> None:
        while True:
            self._begun.acquire()
            try:
                self._work()
            except BaseException as error:
                self._failure = error
            self._ended.release()


def _nothing() -> None:
    pass


_idle: list[_Helper] = []


@contextmanager
def core_taken() -> Iterator[None]:
    """Within it kernels of other threads leave one core to this one."""
    global _taken
    with _lock:
        _taken += 1
    try:
        yield
    finally:
        with _lock:
            _taken -= 1


def in_strips(kernel: Callable[..., Any], rows: int, *arguments: Any, least: int = 1) -> None:
    """kernel(*arguments, first, end) for strips first..end - 1 that make up 0..rows - 1.

    With as many threads as PyTorch uses in the caller's, less the cores that are taken. least: rows
    of a strip that is worth handing over."""
    threads = max(1, torch.get_num_threads() - _taken)
    count = 1 if threads == 1 else max(1, min(STRIPS_A_THREAD * threads, rows // least))
    if count == 1:
        kernel(*arguments, 0, rows)
        return
    waiting = list(pairwise(rows * i // count for i in range(count + 1)))

    def work() -> None:
        while True:
            try:
                strip = waiting.pop()
            except IndexError:
                return
            kernel(*arguments, *strip)

    helpers = [_helper() for _ in range(min(threads, count) - 1)]
    for helper in helpers:
        helper.begin(work)
    try:
        work()
    finally:
        waiting.clear()  # where this thread has failed
        for helper in helpers:
            helper.wait()
            _idle.append(helper)


def _helper() -> _Helper:
    try:
        return _idle.pop()
    except IndexError:
        return _Helper()


def _forget() -> None:
    """A child process has no threads but the one that forked."""
    global _lock, _taken
    _lock, _taken = threading.Lock(), 0
    _idle.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
