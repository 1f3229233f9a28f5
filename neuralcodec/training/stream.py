"""Batches with their motion vectors, prepared in a process of their own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from neuralcodec.model.config import ModelConfig
from neuralcodec.training.objective import source_vectors
from neuralcodec.training.sampling import Sampler, open_cache
from neuralcodec.training.schedule import Schedule


@dataclass(frozen=True)
class Batch:
    """y (B, T, 1, S, S), uv (B, T, 2, S/2, S/2), q (B, T), vectors (B, T - 1, 2, S/8, S/8)."""

    y: Tensor
    uv: Tensor
    q: Tensor
    vectors: Tensor

    @property
    def parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.y, self.uv, self.q, self.vectors

    def to(self, device: torch.device) -> "Batch":
        return Batch(*(part.to(device, non_blocking=True) for part in self.parts))

    def first(self, items: int) -> "Batch":
        return Batch(self.y[:items], self.uv[:items], self.q[:items], self.vectors[:items])


class BatchStream(IterableDataset[Batch]):
    """All batches of a run from `first_step` on; step s is the same whatever came before it."""

    def __init__(
        self,
        cache: Path,
        held_out: frozenset[str],
        config: ModelConfig,
        schedule: Schedule,
        seed: int,
        first_step: int,
    ) -> None:
        self.cache, self.held_out, self.config = cache, held_out, config
        self.schedule, self.seed, self.first_step = schedule, seed, first_step

    def __iter__(self) -> Iterator[Batch]:
        torch.set_num_threads(1)
        sampler = Sampler(open_cache(self.cache, self.held_out), self.seed)
        for step in range(self.first_step, self.schedule.steps):
            phase = self.schedule.phase(step)
            sampler.start_step(step)
            y, uv, q = sampler.batch(phase.items, phase.length, phase.size)
            yield Batch(y, uv, q, source_vectors(self.config, y, q))


def load_in_background(stream: BatchStream) -> Iterator[Batch]:
    """One worker: its order is the order of the steps."""
    return iter(DataLoader(stream, batch_size=None, num_workers=1, prefetch_factor=4))
