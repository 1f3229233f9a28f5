"""Loading what is large."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collecting_no_garbage() -> Iterator[None]:
    """Modules are hundreds of thousands of objects and hardly any garbage: looking for it again and
    again takes an eighth of the time that PyTorch needs to load, and a third of Numba's."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
