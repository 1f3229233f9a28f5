"""Batches drawn by many processes ahead of the step that needs them.

Motion search is a thousand small tensor operations for whole batches: 15 ms or so on a GPU, but
0.1 microseconds a pixel and reference on a core with compiled kernels, ten times as much without
them: one to ten seconds for a batch of a GPU. So on a GPU it runs there, beside the steps; for a
CPU the workers do it.
"""

import multiprocessing
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neuralcodec.model.config import ModelConfig
from neuralcodec.training.sampling import Sampler, open_cache
from neuralcodec.training.schedule import Phase, Schedule
from neuralcodec.training.sequences import DrawnSequences, Sequences
from neuralcodec.training.source_motion import with_source_motion
from neuralcodec.training.structures import Structure

AHEAD = 2  # batches for each worker
PLANES = ("y", "uv")
SAMPLES = 255.0  # of 8 bits: what crosses between processes


@dataclass(frozen=True)
class PackedBatch:
    """Fields of `Sequences` as they cross between processes: samples are uint8. Without motion
    where it is still to be searched for."""

    arrays: dict[str, np.ndarray]
    structure: Structure


@dataclass(frozen=True)
class BatchSource:
    cache: Path
    held_out: frozenset[str]
    config: ModelConfig
    seed: int
    search: bool  # for motion where the batch is drawn
    alike: int = 1  # steps in a row that have one structure

    def draw(self, step: int, phase: Phase) -> PackedBatch:
        sampler = _sampler(self.cache, self.held_out, self.seed, self.alike)
        sampler.start_step(step)
        drawn = sampler.batch(phase.items, phase.length, phase.size)
        if self.search:
            drawn = with_source_motion(self.config, drawn)
        arrays = {name: tensor.numpy() for name, tensor in drawn.tensors.items()}
        for name in PLANES:
            arrays[name] = (arrays[name] * SAMPLES).round().astype(np.uint8)
        return PackedBatch(arrays, drawn.structure)

    def on_device(self, packed: PackedBatch, device: torch.device) -> Sequences:
        tensors = {name: _moved(array, device) for name, array in packed.arrays.items()}
        for name in PLANES:
            tensors[name] = tensors[name].float() / SAMPLES
        if "motion" in tensors:
            return Sequences(structure=packed.structure, **tensors)
        drawn = DrawnSequences(structure=packed.structure, **tensors)
        return with_source_motion(self.config, drawn)


class BatchPool:
    """Gives the batches of one step after the other; without workers it draws them itself."""

    def __init__(self, source: BatchSource, schedule: Schedule, step: int, workers: int) -> None:
        self.source, self.schedule, self.next_step = source, schedule, step
        self.waiting: deque[Future[PackedBatch]] = deque()
        # spawned: a process forked from one that uses a GPU may hang
        context = multiprocessing.get_context("spawn")
        self.pool = (
            ProcessPoolExecutor(workers, context, initializer=_one_thread) if workers else None
        )
        self.ahead = AHEAD * workers

    def batches(self, device: torch.device) -> Iterator[Sequences]:
        if device.type != "cuda":
            while True:
                yield self.source.on_device(self._next(), device)
        # one ahead, on a stream of its own: beside a recorded step the processor has nothing to do
        stream = torch.cuda.Stream(device)

        def prepare() -> Sequences:
            with torch.cuda.stream(stream):
                batch = self.source.on_device(self._next(), device)
                stream.synchronize()
            return batch

        with ThreadPoolExecutor(1) as thread:
            coming = thread.submit(prepare)
            while True:
                batch = coming.result()
                coming = thread.submit(prepare)
                yield batch

    def fill(self) -> None:
        """Asks for as many batches ahead as there may be, of the phase that is now."""
        while self.pool and len(self.waiting) < self.ahead:
            phase = self.schedule.phase(self.next_step)
            self.waiting.append(self.pool.submit(self.source.draw, self.next_step, phase))
            self.next_step += 1

    def _next(self) -> PackedBatch:
        if self.pool is None:
            self.next_step += 1
            phase = self.schedule.phase(self.next_step - 1)
            return self.source.draw(self.next_step - 1, phase)
        self.fill()
        parts = self.waiting.popleft().result()
        self.fill()
        return parts

    def close(self) -> None:
        if self.pool:
            self.pool.shutdown(wait=True, cancel_futures=True)


@lru_cache(maxsize=1)
def _sampler(cache: Path, held_out: frozenset[str], seed: int, alike: int) -> Sampler:
    return Sampler(open_cache(cache, held_out), seed, alike)


def _one_thread() -> None:
    torch.set_num_threads(1)


def _moved(part: np.ndarray, device: torch.device) -> Tensor:
    tensor = torch.from_numpy(part)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
