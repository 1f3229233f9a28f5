"""Where and how precisely the transforms run. Parsing is always exact, on the CPU."""

import ctypes
from functools import cache

import torch

from neuralcodec.errors import DeviceError, UsageError


def find_device(name: str) -> torch.device:
    """'auto' (a GPU if there is one), 'cpu', 'cuda' or 'cuda:N'. Raises DeviceError."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"no such device: {name} (use auto, cpu, cuda or cuda:N)") from error
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"device {name} is not supported (use auto, cpu, cuda or cuda:N)")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise DeviceError(f"device {name} asked for, but there are {count} CUDA devices here")
    return device


@cache
def keep_freed_memory() -> None:
    """Tells glibc's allocator to keep what is freed: handing every tensor's pages back to the
    kernel and clearing new ones takes a fifth of the time of coding. All threads share it, or each
    would keep its own: at 1920x1080 that is 100 MiB. Other systems: no change."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX
    trim_threshold, mmap_threshold, most_arenas = -1, -3, -8
    mallopt(trim_threshold, 512 << 20)
    mallopt(mmap_threshold, 32 << 20)  # the most that glibc takes
    mallopt(most_arenas, 1)


# Everywhere the same: with another precision the float recurrence slowly leaves the encoder's path,
# and in a long GOP may end far from it (scripts/measure_drift.py).
DEFAULT_PRECISION = torch.float32


def choose_precision(name: str | None) -> torch.dtype:
    """'float32', 'bfloat16', or None for what the device does best. Raises UsageError."""
    if name is None:
        return DEFAULT_PRECISION
    if name not in ("float32", "bfloat16"):
        raise UsageError(f"precision {name} is not float32 or bfloat16")
    return torch.float32 if name == "float32" else torch.bfloat16


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an operation failed for want of memory, on a GPU or a CPU."""
    # On a CPU PyTorch gives a plain RuntimeError.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )


def default_batch(device: torch.device) -> int:
    """GOPs side by side: one keeps a CPU busy; a GPU wants more."""
    return 4 if device.type == "cuda" else 1
