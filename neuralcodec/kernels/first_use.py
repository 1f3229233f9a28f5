"""All kernels compiled at once, on two cores: Numba compiles one at a time in a process."""

import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

from neuralcodec import kernels
from neuralcodec.kernels.compiled import Kernel, all_kernels

_PACKAGE = Path(kernels.__file__).parents[2]


def compile_all() -> None:
    """From both ends of the list, each process taking what the other has not made yet. What fails
    here fails again, and is reported, where it is needed."""
    helper = _start_helper()
    try:
        _make(known_kernels())
    finally:
        if helper is not None:
            helper.wait()


def known_kernels() -> list[Kernel]:
    """Of all files here."""
    for module in pkgutil.walk_packages(kernels.__path__, f"{kernels.__name__}."):
        importlib.import_module(module.name)
    return all_kernels


def compile_from_the_end() -> None:
    _make(known_kernels()[::-1])


def _start_helper() -> "subprocess.Popen[bytes] | None":
    is_python = Path(sys.executable or "").name.startswith("python")  # not a frozen program
    if not is_python or (os.cpu_count() or 1) == 1:
        return None
    code = f"from {__name__} import compile_from_the_end as work; work()"
    path = os.pathsep.join(filter(None, [str(_PACKAGE), os.environ.get("PYTHONPATH")]))
    try:
        return subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None


def _make(kernels: list[Kernel]) -> None:
    for kernel in kernels:
        kernel.make()
