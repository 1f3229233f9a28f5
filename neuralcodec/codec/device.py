"""Where and how precisely the transforms run. Parsing is always exact, on the CPU."""

import ctypes
from functools import cache

import torch

from neuralcodec.errors import DeviceError


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
    kernel and clearing new ones takes a fifth of the time of coding. Other systems: no change."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
    mallopt(trim_threshold, 512 << 20)
    mallopt(mmap_threshold, 32 << 20)  # the most that glibc takes


def best_precision(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies in it, else float32."""
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if fast else torch.float32


def default_batch(device: torch.device) -> int:
    """GOPs side by side: one keeps a CPU busy; a GPU wants more."""
    return 4 if device.type == "cuda" else 1


def use_threads(count: int) -> None:
    """Lets PyTorch use so many threads for what is called from this one."""
    # A thread that has not asked before takes over, at its first operation, what any other has set.
    torch.get_num_threads()
    torch.set_num_threads(count)
