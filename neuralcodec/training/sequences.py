"""Batches of sequences to learn from, or to measure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

from neuralcodec.training.structures import Structure


@dataclass(frozen=True)
class DrawnSequences:
    """B sequences that are to be coded alike, each as one GOP.

    y (B, T, 1, H, W) and uv (B, T, 2, H/2, W/2) in [0, 1], q (B, T) in 0..63, frames as shown;
    stride (B,), int64: frames of the clip from one to the next.
    """

    y: Tensor
    uv: Tensor
    q: Tensor
    structure: Structure
    stride: Tensor

    @property
    def tensors(self) -> dict[str, Tensor]:
        """By the names of the fields."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in found.items() if isinstance(value, Tensor)}

    def planes(self, frames: Iterable[int]) -> tuple[Tensor, Tensor]:
        """y and uv of some frames: all items of the first, then all of the next."""
        chosen = list(frames)
        return torch.cat([self.y[:, t] for t in chosen]), torch.cat([self.uv[:, t] for t in chosen])

    def to(self, device: torch.device) -> Self:
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def first(self, items: int) -> Self:
        return self._each(lambda tensor: tensor[:items])

    def clone(self) -> Self:
        return self._each(torch.clone)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        changed: dict[str, Any] = {name: change(tensor) for name, tensor in self.tensors.items()}
        return replace(self, **changed)


@dataclass(frozen=True)
class Sequences(DrawnSequences):
    """The same, ready to be coded: motion (B, T - 1, 5, H/8, W/8), in the order of coding."""

    motion: Tensor
