"""In which order the symbols of a frame become known: halves of a checkerboard, and the steps of
the first half of an intra frame."""

from functools import lru_cache

import torch
from torch import Tensor

COARSE_CHANNELS = 24  # whose means are predicted from coarser steps
COARSE_STEPS = 4  # of the first half: every fourth row and column, the middles, and so on


@lru_cache(maxsize=32)
def parity_map(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """(h, w, channels) of 0 and 1: a checkerboard that alternates from channel to channel too."""
    rows, columns, numbers = _places(height, width, channels, device)
    return ((rows + columns + numbers) % 2).float()


@lru_cache(maxsize=32)
def step_map(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """(h, w, channels), int64: step 0..3 in which each symbol of the first half becomes known,
    COARSE_STEPS for the second half. Of 16 positions 1, 1, 2 and 4; each step lies between what
    is known before."""
    rows, columns, numbers = _places(height, width, channels, device)
    columns = columns + 1 + numbers % 2
    halves = rows // 2 + columns // 2
    step = torch.where(rows % 4 == 2, 1, 0)
    step = torch.where(halves % 2 == 1, 2, step)
    step = torch.where(rows % 2 == 1, COARSE_STEPS - 1, step)
    return torch.where((rows + columns) % 2 == 1, COARSE_STEPS, step)


def _places(
    height: int, width: int, channels: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    rows = torch.arange(height, device=device)[:, None, None]
    columns = torch.arange(width, device=device)[None, :, None]
    return rows, columns, torch.arange(channels, device=device)


@lru_cache(maxsize=32)
def steps_of_positions(height: int, width: int, device: torch.device) -> Tensor:
    """(h, w, COARSE_STEPS - 1) of 0 and 1: at which step but the last the symbols of a position
    become known that belong to the first half."""
    both = step_map(height, width, 2, device).amin(-1)
    return torch.stack([both == step for step in range(COARSE_STEPS - 1)], -1).float()
