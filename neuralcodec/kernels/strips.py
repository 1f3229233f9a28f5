"""One thread pool that all kernels share, each by strips of its rows.

Strips are taken by whichever thread is free: nothing waits for a core that is busy parsing, as
threads that are given equal parts do. A kernel gives the same whatever the strips are, and so does
any number of threads.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import torch

STRIPS_A_THREAD = 4  # the last ones to end are a quarter of a thread's work apart
_pool: ThreadPoolExecutor | None = None
_lock = threading.Lock()


def in_strips(kernel: Callable[..., Any], rows: int, *arguments: Any, least: int = 1) -> None:
    """kernel(*arguments, first, end) for strips first..end - 1 that make up 0..rows - 1.

    With as many threads as PyTorch uses in the caller's. least: rows of a strip that is worth
    handing over."""
    threads = torch.get_num_threads()
    count = 1 if threads == 1 else max(1, min(STRIPS_A_THREAD * threads, rows // least))
    bounds = [rows * i // count for i in range(count + 1)]
    strips = pairwise(bounds)
    if count == 1:
        kernel(*arguments, 0, rows)
        return
    take = threading.Lock()

    def work() -> None:
        while True:
            with take:
                strip = next(strips, None)
            if strip is None:
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
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
