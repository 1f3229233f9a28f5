"""Pictures for the tests of the motion kernels, and the same search by tensor operations."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from codec_clips import city_frames, cropped, ten_bit
from torch import Tensor

from neuralcodec.encoder.motion import motion_choice, motion_search


@contextmanager
def tensor_operations() -> Iterator[None]:
    """As on a machine that compiles no kernels."""
    with (
        patch.object(motion_search, "can_run", lambda *_: False),
        patch.object(motion_choice, "can_run", lambda *_: False),
    ):
        yield


def noise(batch: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Current picture and reference (B, 1, H, W), related in their right half only."""
    generator = torch.Generator().manual_seed(height + width)
    reference = torch.rand(batch, 1, height, width, generator=generator)
    current = torch.rand(batch, 1, height, width, generator=generator)
    half = width // 2
    current[..., half:] = reference.roll((2, -3), (2, 3))[..., half:]
    return current, reference


def clip(width: int, height: int, bit_depth: int = 8) -> tuple[Tensor, Tensor]:
    """The bundled clip's third frame and its first."""
    fmt, frames = cropped(*city_frames(3), width, height)
    if bit_depth == 10:
        fmt, frames = ten_bit(fmt, frames)
    peak = (1 << bit_depth) - 1
    first, _, third = (torch.from_numpy(f.y.astype("float32"))[None, None] / peak for f in frames)
    return third, first


def vectors(batch: int, height: int, width: int, reach: int) -> Tensor:
    """Random ones (B, 2, H/8, W/8), as a frame before might have had, half of them alike."""
    generator = torch.Generator().manual_seed(reach)
    size = (batch, 2, height // 8, width // 8)
    field = torch.randint(-reach, reach + 1, size, generator=generator).float()
    field[..., : size[-1] // 2] = 5
    return field
