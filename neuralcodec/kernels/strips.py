"""One thread pool that all kernels share, each by strips of its rows.

Strips are taken by whichever thread is free, and by fewer threads while another stage of a pipeline
has a core (`core_taken`): a strip whose thread has to share its core would keep all others waiting
at its end. A kernel gives the same whatever the strips are, and so does any number of threads.
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch

STRIPS_A_THREAD = (
    2  # the last ones end half of a thread's work apart; to take one costs Python's lock
)
_pool: ThreadPoolExecutor | None = None
_lock = threading.Lock()
_taken = 0  # cores


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
    bounds = [rows * i // count for i in range(count + 1)]
    waiting = list(pairwise(bounds))

    def work() -> None:
        while True:
            try:
                strip = waiting.pop()
            except IndexError:
                return
            kernel(*arguments, *strip)

    helpers: list[Future[None]] = [_threads().submit(work) for _ in range(threads - 1)]
    try:
        work()
    finally:
        for helper in helpers:
            if not helper.cancel():  # one that has not begun finds nothing to do
                helper.result()


def _threads() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="kernels")
        return _pool


def _forget() -> None:
    """A child process has no threads but the one that forked."""
    global _pool, _lock, _taken
    _pool, _lock, _taken = None, threading.Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
