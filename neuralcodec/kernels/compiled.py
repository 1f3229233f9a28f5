"""What makes machine code of a loop, and whether this machine can.

Numba keeps the code beside the source, or where that cannot be written in the user's cache folder,
or in NUMBA_CACHE_DIR: it is made once for each machine and version.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any, cast

import torch

Loop = Callable[..., Any]
_log = logging.getLogger("neuralcodec")


class _Compiler:
    """Numba, loaded with the first kernel.

    Attributes:
        fault: why nothing can be compiled here; None where it can.
    """

    def __init__(self) -> None:
        self.fault: str | None = None
        self._has_told = False
        self._lock = threading.Lock()
        try:
            import numba
        except Exception as error:
            self._fail(f"Numba cannot be loaded: {error}")
        else:
            self._numba = numba

    def compile(self, loop: Loop, signatures: list[str], fastmath: bool | set[str]) -> Loop:
        if self.fault is not None:
            return loop
        try:
            kernel: Any = self._numba.njit(
                signatures, cache=True, nogil=True, error_model="numpy", fastmath=fastmath
            )(loop)
        except Exception as error:
            self._fail(str(error).strip().splitlines()[0])
            return loop
        if kernel.stats.cache_misses:
            self._tell("compiling kernels, once for this machine and version: some 20 seconds")
        return cast(Loop, kernel)

    def emit(self, typed: Loop) -> Loop:
        if self.fault is not None:
            return typed
        from numba.extending import intrinsic

        return cast(Loop, intrinsic(typed))

    def _fail(self, fault: str) -> None:
        self.fault = fault
        if "no locator available" in fault:
            fault = "no folder to keep them in; set NUMBA_CACHE_DIR to one that can be written"
        _log.warning("no compiled kernels here, coding is several times slower: %s", fault)

    def _tell(self, line: str) -> None:
        with self._lock:
            if not self._has_told:
                self._has_told = True
                _log.warning(line)


_compiler = _Compiler()


def compiled(*signatures: str, fastmath: bool | set[str] = False) -> Callable[[Loop], Loop]:
    """A decorator: machine code of a loop for arguments of these types, in Numba's notation. Other
    types are refused when it is called. It does not hold Python's lock.

    fastmath: what may be done to sums of floats, see Numba; {"contract"}: multiply and add in one
    instruction. Where nothing can be compiled, the loop stays as it is and must not be used."""

    def decorate(loop: Loop) -> Loop:
        return _compiler.compile(loop, list(signatures), fastmath)

    return decorate


def emitted(typed: Loop) -> Loop:
    """A decorator: Numba's `intrinsic`, what a kernel calls to have given instructions in its
    place. For loops of which LLVM makes poor code."""
    return _compiler.emit(typed)


def has_feature(name: str) -> bool:
    """Whether this processor has an extension, in LLVM's words: "avx512f"."""
    if _compiler.fault is not None:
        return False
    from llvmlite import binding

    return bool(binding.get_host_cpu_features().get(name, False))


def can_run(*tensors: torch.Tensor) -> bool:
    """Whether kernels work for these tensors: on a CPU, where they could be compiled."""
    return _compiler.fault is None and all(tensor.device.type == "cpu" for tensor in tensors)
