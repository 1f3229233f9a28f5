"""Functions of the product in processes of their own, which need not import torch first."""

import ctypes
import inspect
import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from typing import Any

import neuralcodec
from neuralcodec.model import model_file

_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(["neuralcodec.files.encode", "neuralcodec.files.decode"])


def start(function: Callable[..., None], *arguments: Any, **options: Any) -> BaseProcess:
    process = _FORKED.Process(target=function, args=arguments, kwargs=options)
    process.start()
    return process


@contextmanager
def running(
    function: Callable[..., None], *arguments: Any, **options: Any
) -> Iterator[BaseProcess]:
    """Killed with SIGKILL at the end."""
    process = start(function, *arguments, **options)
    try:
        yield process
    finally:
        process.kill()
        process.join()


def encode(*arguments: Any, **options: Any) -> None:
    neuralcodec.encode(*arguments, **options)


def encode_many(times: int, report: str, *arguments: Any, **options: Any) -> None:
    """One after the other; writes the resident bytes after each into the file `report`."""
    model_file._load_file = inspect.unwrap(model_file._load_file)  # each loads its model
    with open(report, "w") as file:
        for _ in range(times):
            neuralcodec.encode(*arguments, overwrite=True, **options)
            print(resident_bytes(), file=file)


def resident_bytes() -> int:
    """Of this process, less what its allocator holds on to but nobody uses; on Linux."""
    with suppress(OSError, AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
