"""The walk of `motion_prior` over the motion of one frame, in integers, and the choice among what a
block can name.

Arrays of a step have its blocks first.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from neuralcodec.kernels.compiled import can_run
from neuralcodec.kernels.parsing.exact_layers import IntegerLayer, index_sums, rectify_sums, sums
from neuralcodec.kernels.parsing.motion_walk import (
    CANDIDATES,
    INPUTS,
    OUTPUTS,
    ask_blocks,
    compare_candidate,
    describe_blocks,
    fill_blocks,
    take_candidate,
    write_blocks,
)
from neuralcodec.model.exact import QUALITY_CENTRE, ExactLinear
from neuralcodec.model.motion_steps import COARSEST, STEPS, WIDEST_LOOK, step_places


@dataclass(frozen=True)
class FrameSetting:
    """A `MotionSetting` of one frame: temporal (5, h, w), distances to both references."""

    temporal: Tensor
    distances: tuple[int, int]
    level: int
    q: int

    @property
    def is_two(self) -> bool:
        """The references differ."""
        return self.distances[0] != self.distances[1]


@dataclass(frozen=True)
class StepArrays:
    """A `StepContext` of one frame: blocks (n,), candidates (n, 6, 5) int32, usable (n, 6),
    prediction (n, 4) int32, inputs (n, INPUTS) int8, indices (n, 12) uint8."""

    blocks: np.ndarray
    candidates: np.ndarray
    usable: np.ndarray
    prediction: np.ndarray
    inputs: np.ndarray
    indices: np.ndarray


class OpenBlocks:
    """The blocks of a step while their candidates are gone through.

    motion (n, 5) int32: 0 until a block has its own; is_open (n,): has not yet."""

    def __init__(self, step: StepArrays) -> None:
        self._step = step
        self.motion = np.zeros((len(step.blocks), 5), np.int32)
        self.is_open = np.ones(len(self.motion), bool)

    def asked(self, candidate: int) -> tuple[np.ndarray, np.ndarray]:
        """Which blocks say whether it is theirs, and with the chance of which index."""
        usable, indices, n = self._step.usable, self._step.indices, len(self.motion)
        if not can_run():
            asked = np.flatnonzero(self.is_open & usable[:, candidate])
            return asked, indices[asked, candidate]
        asked, chances = np.empty(n, np.int64), np.empty(n, np.uint8)
        count = ask_blocks(usable, indices, candidate, self.is_open, asked, chances)
        return asked[:count], chances[:count]

    def compare(self, candidate: int, asked: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Whether it is what those asked want, of motion (n, 5) int32."""
        candidates = self._step.candidates
        if not can_run():
            return np.asarray((candidates[asked, candidate] == wanted[asked]).all(1))
        hits = np.empty(len(asked), bool)
        compare_candidate(asked, candidates, candidate, wanted, hits)
        return hits

    def take(self, candidate: int, asked: np.ndarray, hits: np.ndarray) -> None:
        """Those asked that have hit are done."""
        candidates = self._step.candidates
        if can_run():
            take_candidate(hits, asked, candidates, candidate, self.is_open, self.motion)
            return
        self.motion[asked[hits]] = candidates[asked[hits], candidate]
        self.is_open[asked[hits]] = False

    def write(self, field: np.ndarray) -> None:
        """Into a field (5, h w) float32."""
        if can_run():
            write_blocks(self.motion, self._step.blocks, field)
        else:
            field[:, self._step.blocks] = self.motion.T


@dataclass(frozen=True)
class IntegerNetworks:
    """The layers of each step."""

    read: list[IntegerLayer]
    mix: list[IntegerLayer]
    write: list[IntegerLayer]

    @classmethod
    def of(cls, read: nn.ModuleList, mix: nn.ModuleList, write: nn.ModuleList) -> "IntegerNetworks":
        def integers(layers: nn.ModuleList) -> list[IntegerLayer]:
            return [layer.in_integers() for layer in layers if isinstance(layer, ExactLinear)]

        return cls(integers(read), integers(mix), integers(write))

    @property
    def hidden(self) -> int:
        return len(self.mix[0].bias)

    def indices(self, number: int, inputs: np.ndarray) -> np.ndarray:
        """inputs (n, hidden + INPUTS), of which the first are for what the layers leave."""
        read, mix, write = self.read[number], self.mix[number], self.write[number]
        all_inputs = torch.from_numpy(inputs)
        hidden = np.empty((len(inputs), self.hidden), np.int8)
        rectify_sums(sums(all_inputs[:, self.hidden :], read), read.bias, hidden, 0)
        rectify_sums(sums(torch.from_numpy(hidden), mix), mix.bias, inputs, 0)
        indices = np.empty((len(inputs), OUTPUTS), np.uint8)
        index_sums(sums(all_inputs, write), write.bias, indices)
        return indices


def integer_walk(
    networks: IntegerNetworks, motion: Tensor, setting: FrameSetting, table: np.ndarray
) -> Iterator[StepArrays]:
    """All steps; motion (5, h, w), filled in between them, as in `MotionPrior.walk`."""
    height, width = motion.shape[-2:]
    size = (height + 2 * COARSEST) * (width + 2 * COARSEST)
    now, temporal = np.zeros((4, size), np.int32), np.zeros((4, size), np.int32)
    known = np.zeros((2, size), np.int8)
    before = setting.temporal.detach().float().contiguous().flatten(1).numpy()
    fill_blocks(before, np.arange(height * width), width, COARSEST, temporal, known)
    which = before[0].astype(np.int8)
    known[:] = 0
    distances = np.array(setting.distances, np.int64)
    for number, step in enumerate(STEPS):
        blocks = step_places(number, height, width, motion.device).blocks.numpy()
        n = len(blocks)
        candidates = np.empty((n, CANDIDATES, 5), np.int32)
        usable = np.empty((n, CANDIDATES), bool)
        prediction = np.empty((n, 4), np.int32)
        inputs = np.empty((n, networks.hidden + INPUTS), np.int8)
        describe_blocks(
            now,
            known,
            temporal,
            which,
            blocks,
            width,
            COARSEST,
            step.spacing,
            min(step.spacing, WIDEST_LOOK),
            step.kind == "centre",
            table,
            distances,
            setting.level,
            setting.q - QUALITY_CENTRE,
            candidates,
            usable,
            prediction,
            inputs,
            networks.hidden,
        )
        indices = networks.indices(number, inputs)
        seen = inputs[:, networks.hidden :]
        yield StepArrays(blocks, candidates, usable, prediction, seen, indices)
        filled = motion.detach().float().contiguous().flatten(1).numpy()
        fill_blocks(filled, blocks, width, COARSEST, now, known)
