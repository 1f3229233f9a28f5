"""What a process may settle that does nothing but code: not one that only uses this package."""

import atexit
import gc
import os


def settle() -> None:
    """To be called before PyTorch is loaded."""
    # PyTorch's threads would wait for their next work at full speed, and take the cores that ours
    # need.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Hardly anything here is garbage that counting references leaves behind. To look for it among
    # all that PyTorch and Numba make takes 0.2 s of a start, and at the end of the process 0.3 s.
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)
