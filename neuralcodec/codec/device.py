"""Where and how precisely the transforms run. Parsing is always exact, on the CPU."""

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
