"""What a process settles that does nothing but our work: not one that only uses the package."""

import atexit
import gc
import os


def collect_less_garbage() -> None:
    """Hardly anything here is garbage that counting references leaves behind. To look for it among
    all that PyTorch and Numba make takes 0.2 s of a start, and at the end of the process 0.3 s."""
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)


def wait_asleep() -> None:
    """PyTorch's threads do not wait for their next work at full speed: they would take the cores
    that kernels and parser need. For coding; training is slower by it. Before PyTorch is loaded."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
