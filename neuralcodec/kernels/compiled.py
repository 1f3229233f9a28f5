"""What makes machine code of a loop, and whether this machine can.

A kernel is made when it is first called, or loaded from where Numba has kept it: in the user's
cache folder, or in NUMBA_CACHE_DIR. Not beside the source, as Numba would by itself: a package that
is removed would leave a folder of its name behind, which hides the next one.
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import CellType, FunctionType
from typing import Any, cast

import torch

from neuralcodec.imports import collecting_no_garbage

Loop = Callable[..., Any]
FastMath = bool | set[str]
_log = logging.getLogger("neuralcodec")
_lock = threading.RLock()


class Kernel:
    """Machine code of a loop, to be called like it; does not hold Python's lock."""

    def __init__(self, loop: Loop, signatures: tuple[str, ...], fastmath: FastMath) -> None:
        self._loop, self._signatures, self._fastmath = loop, signatures, fastmath
        self._made: Loop | None = None
        self.was_compiled = False  # not loaded
        self.__doc__ = loop.__doc__
        all_kernels.append(self)

    def __call__(self, *arguments: Any) -> Any:
        made = self._made or self.make()
        return made(*arguments)

    def make(self) -> Loop:
        """Compiles or loads it, once. Raises what Numba does."""
        with _lock, collecting_no_garbage():
            import numba

            if self._made is None:
                with _cache_folder():
                    made: Any = numba.njit(
                        list(self._signatures),
                        cache=True,
                        nogil=True,
                        error_model="numpy",
                        fastmath=self._fastmath,
                    )(_marked(self._loop))
                self.was_compiled = bool(made.stats.cache_misses)
                self._made = cast(Loop, made)
            return self._made


all_kernels: list[Kernel] = []  # of the files that are loaded


def compiled(*signatures: str, fastmath: FastMath = False) -> Callable[[Loop], Kernel]:
    """A decorator: a kernel for arguments of these types, in Numba's notation. Others are refused
    when it is called.

    fastmath: what may be done to sums of floats, see Numba; {"contract"}: multiply and add in one
    instruction."""

    def decorate(loop: Loop) -> Kernel:
        return Kernel(loop, signatures, fastmath)

    return decorate


def inlined(fastmath: FastMath = False) -> Callable[[Loop], Loop]:
    """A decorator: what kernels call. It has no code of its own, and no types but those of its
    arguments in each place."""

    def decorate(loop: Loop) -> Loop:
        if _loading_fault() is not None:
            return loop
        import numba

        made: Any = numba.njit(nogil=True, error_model="numpy", fastmath=fastmath)(loop)
        return cast(Loop, made)

    return decorate


def emitted(typed: Loop) -> Loop:
    """A decorator: Numba's `intrinsic`, what a kernel calls to have given instructions in its
    place. For loops of which LLVM makes poor code."""
    if _loading_fault() is not None:
        return typed
    from numba.extending import intrinsic

    return cast(Loop, intrinsic(typed))


def has_feature(name: str) -> bool:
    """Whether this processor has an extension, in LLVM's words: "avx512f"."""
    if _loading_fault() is not None:
        return False
    from llvmlite import binding

    return bool(binding.get_host_cpu_features().get(name, False))


def can_run(*tensors: torch.Tensor) -> bool:
    """Whether kernels work for these tensors: on a CPU, where they can be compiled."""
    return all(tensor.device.type == "cpu" for tensor in tensors) and _fault() is None


@cache
def _loading_fault() -> str | None:
    try:
        with collecting_no_garbage():
            import numba  # noqa: F401
    except Exception as error:
        return f"Numba cannot be loaded: {error}"
    return None


@cache
def _fault() -> str | None:
    """Why nothing can be compiled here, said once; None where it can."""
    fault = _loading_fault()
    if fault is None:
        try:
            with _lock:
                _compile_on_first_use()
            return None
        except Exception as error:
            fault = str(error).strip().splitlines()[0]
    if "no locator available" in fault:
        fault = "no folder to keep them in; set NUMBA_CACHE_DIR to one that can be written"
    _log.warning("no compiled kernels here, coding is several times slower: %s", fault)
    return fault


def _compile_on_first_use() -> None:
    """Raises what Numba does."""
    _nothing.make()
    if _nothing.was_compiled:  # so nothing has been, of this version
        from neuralcodec.kernels.first_use import compile_all

        _nothing.was_compiled = False
        _log.warning("compiling kernels, once for this machine and version: some 15 seconds")
        compile_all()


@compiled("void()")
def _nothing() -> None:
    """Whose compilation shows whether others can be."""


@contextmanager
def _cache_folder() -> Iterator[None]:
    """Within it Numba keeps what it compiles in our own folder, unless it is told another."""
    import numba
    from numba.misc.appdirs import user_cache_dir

    config: Any = numba.config
    before = config.CACHE_DIR
    own = Path(user_cache_dir("neuralcodec", appauthor=False), "kernels")
    config.CACHE_DIR = before or str(own)
    try:
        yield
    finally:
        config.CACHE_DIR = before


def _marked(loop: Loop) -> Loop:
    """The same loop, for Numba another one as soon as any of the kernels' files changes: by itself
    it looks only at the file that a kernel is in, not at those of what it calls."""
    function = cast(FunctionType, loop)
    code = function.__code__.replace(co_freevars=("sources",))
    mark = (CellType(_sources()),)
    return FunctionType(code, function.__globals__, function.__name__, None, mark)


@cache
def _sources() -> str:
    folder = Path(__file__).parent
    files = sorted(folder.rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
