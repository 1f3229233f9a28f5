"""Batches with their motion, prepared in a process of their own."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch.utils.data import DataLoader, IterableDataset

from neuralcodec.model.config import ModelConfig
from neuralcodec.training.sampling import Sampler, open_cache
from neuralcodec.training.schedule import Schedule
from neuralcodec.training.sequences import Sequences
from neuralcodec.training.source_motion import with_source_motion


class BatchStream(IterableDataset[Sequences]):
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

    def __iter__(self) -> Iterator[Sequences]:
        torch.set_num_threads(1)
        sampler = Sampler(open_cache(self.cache, self.held_out), self.seed)
        for step in range(self.first_step, self.schedule.steps):
            phase = self.schedule.phase(step)
            sampler.start_step(step)
            drawn = sampler.batch(phase.items, phase.length, phase.size)
            yield with_source_motion(self.config, drawn)


def load_in_background(stream: BatchStream) -> Iterator[Sequences]:
    """One worker: its order is the order of the steps."""
    return iter(DataLoader(stream, batch_size=None, num_workers=1, prefetch_factor=4))
