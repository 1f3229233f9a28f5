"""How the motion vectors of a frame are described: coarse to fine, by exact networks.

The grid of blocks is filled in steps: every 16th block in both directions, then the centres between
four known ones, then the rest in between, and so on down to every block. A block first tries its
candidates in turn (zero, the vector of the last frame there, its four known neighbours): one binary
decision each, repeated candidates left out. If none fits, the difference to a prediction is coded.
A network gives, per block, the index of the probability for each decision and of the scale for
each component, from known vectors and the last frame's field alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralcodec.kernels.compiled import can_run
from neuralcodec.kernels.exact_layers import IntegerLayer, index_sums, rectify_sums, sums
from neuralcodec.kernels.vector_steps import (
    CANDIDATES,
    ask_blocks,
    compare_candidate,
    describe_blocks,
    fill_blocks,
    take_candidate,
    write_blocks,
)
from neuralcodec.model.config import ModelConfig
from neuralcodec.model.exact import (
    QUALITY_CENTRE,
    ExactLinear,
    log_magnitude,
    quality_activation,
    rectify,
    table_in_units,
    to_index,
)
from neuralcodec.model.kept import kept

VECTOR_LIMIT = 1023  # of |component|, in quarter samples
COARSEST = 16
WIDEST_LOOK = COARSEST // 2  # of the networks' 3x3 neighbourhoods
# A 3x3 of vectors known or not, one of the last field, the prediction, a 3x3 of what has changed
# since that field, the candidates, q: see `_Surroundings.inputs`.
INPUTS = 9 * 3 + 9 * 2 + 2 + 9 * 2 + CANDIDATES + 1
OUTPUTS = CANDIDATES + 2


@dataclass(frozen=True)
class Step:
    """One pass over the grid: blocks at `spacing`, of the kind `base`, `centre` or `edge`."""

    spacing: int
    kind: str

    def targets(self, height: int, width: int) -> Tensor:
        """(h, w) booleans: the blocks that this step fills in."""
        rows = torch.arange(height, device="cpu")[:, None]
        columns = torch.arange(width, device="cpu")[None]
        s = self.spacing
        if self.kind == "base":
            return (rows % s == 0) & (columns % s == 0)
        if self.kind == "centre":
            return (rows % (2 * s) == s) & (columns % (2 * s) == s)
        return (rows % s == 0) & (columns % s == 0) & ((rows // s + columns // s) % 2 == 1)

    @property
    def neighbours(self) -> tuple[tuple[int, int], ...]:
        s = self.spacing
        if self.kind == "centre":
            return (-s, -s), (-s, s), (s, -s), (s, s)
        return (-s, 0), (s, 0), (0, -s), (0, s)


STEPS = (
    Step(COARSEST, "base"),
    *(Step(spacing, kind) for spacing in (8, 4, 2, 1) for kind in ("centre", "edge")),
)


@dataclass(frozen=True)
class StepPlaces:
    """Where a step looks, for one size of grid, as flat indices.

    blocks (n,): the step's blocks in row order, in the grid itself. neighbours (4, n), near (9, n),
    close (9, n): in the grid padded by COARSEST on all sides.
    """

    blocks: Tensor
    neighbours: Tensor
    near: Tensor  # 3x3 at the spacing of the step
    close: Tensor  # 3x3 of adjacent blocks


@lru_cache(maxsize=256)
def step_places(number: int, height: int, width: int, device: torch.device) -> StepPlaces:
    step = STEPS[number]
    rows, columns = step.targets(height, width).nonzero(as_tuple=True)
    stride = width + 2 * COARSEST

    def at(offsets: list[tuple[int, int]]) -> Tensor:
        moved = [(rows + COARSEST + r) * stride + columns + COARSEST + c for r, c in offsets]
        return torch.stack(moved).to(device)

    def square(s: int) -> Tensor:
        return at([(r, c) for r in (-s, 0, s) for c in (-s, 0, s)])

    blocks = (rows * width + columns).to(device)
    look = min(step.spacing, WIDEST_LOOK)
    return StepPlaces(blocks, at(list(step.neighbours)), square(look), square(1))


@dataclass(frozen=True)
class StepContext:
    """What coder and trainer need of one step, at its n blocks.

    blocks (n,): flat indices into the grid; candidates (B, 6, 2, n); usable (B, 6, n): not a
    repetition; prediction (B, 2, n); indices (B, n, 8): 6 decisions, then 2 scales.
    """

    blocks: Tensor
    candidates: Tensor
    usable: Tensor
    prediction: Tensor
    indices: Tensor


@dataclass(frozen=True)
class StepArrays:
    """The same of one field, block after block: blocks (n,), candidates (n, 6, 2) int32, usable
    (n, 6), prediction (n, 2) int32, indices (n, 8) uint8."""

    blocks: np.ndarray
    candidates: np.ndarray
    usable: np.ndarray
    prediction: np.ndarray
    indices: np.ndarray

    @classmethod
    def of(cls, context: StepContext) -> "StepArrays":
        return cls(
            context.blocks.numpy(),
            context.candidates[0].permute(2, 0, 1).to(torch.int32).contiguous().numpy(),
            context.usable[0].T.contiguous().numpy(),
            context.prediction[0].T.to(torch.int32).contiguous().numpy(),
            context.indices[0].to(torch.uint8).contiguous().numpy(),
        )


class OpenBlocks:
    """The blocks of a step while their candidates are gone through.

    vectors (n, 2) int32: the prediction until a block takes another; is_open (n,): has not yet."""

    def __init__(self, step: StepArrays) -> None:
        self._step = step
        self.vectors = step.prediction.copy()
        self.is_open = np.ones(len(self.vectors), bool)

    def asked(self, candidate: int) -> tuple[np.ndarray, np.ndarray]:
        """Which blocks say whether it is theirs, and with the chance of which index."""
        usable, indices, n = self._step.usable, self._step.indices, len(self.vectors)
        if not can_run():
            asked = np.flatnonzero(self.is_open & usable[:, candidate])
            return asked, indices[asked, candidate]
        asked, chances = np.empty(n, np.int64), np.empty(n, np.uint8)
        count = ask_blocks(usable, indices, candidate, self.is_open, asked, chances)
        return asked[:count], chances[:count]

    def compare(self, candidate: int, asked: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Whether it is theirs, of the vectors wanted (n, 2) int32."""
        candidates = self._step.candidates
        if not can_run():
            return np.asarray((candidates[asked, candidate] == wanted[asked]).all(1))
        hits = np.empty(len(asked), bool)
        compare_candidate(asked, candidates, candidate, wanted, hits)
        return hits

    def write(self, field: np.ndarray) -> None:
        """Into a field (2, h w) float32."""
        if can_run():
            write_blocks(self.vectors, self._step.blocks, field)
        else:
            field[:, self._step.blocks] = self.vectors.T

    def take(self, candidate: int, asked: np.ndarray, hits: np.ndarray) -> None:
        candidates = self._step.candidates
        if can_run():
            take_candidate(hits, asked, candidates, candidate, self.is_open, self.vectors)
            return
        self.vectors[asked[hits]] = candidates[asked[hits], candidate]
        self.is_open[asked[hits]] = False


class VectorPrior(nn.Module):
    """The networks of all steps."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden = config.vector_channels
        self.read = nn.ModuleList(ExactLinear(INPUTS, hidden) for _ in STEPS)
        self.mix = nn.ModuleList(ExactLinear(hidden, hidden) for _ in STEPS)
        self.write = nn.ModuleList(ExactLinear(hidden + INPUTS, OUTPUTS, gain=0.3) for _ in STEPS)

    def walk(
        self, vectors: Tensor, last: Tensor, q: Tensor, log_table: Tensor
    ) -> Iterator[StepContext]:
        """All steps in coding order. vectors (B, 2, h, w) in quarter samples, which a decoder fills
        in between steps; last: the field of the frame before, zero after an intra frame; q (B,)."""
        learns = torch.is_grad_enabled() and any(p.requires_grad for p in self.parameters())
        if can_run(vectors) and not learns:
            yield from self._walk_arrays(vectors, last, q, log_table)
            return
        quality = quality_activation(q)
        height, width = vectors.shape[-2:]
        known = torch.zeros(1, height * width, dtype=vectors.dtype, device=vectors.device)
        before = _pad(last)
        for number in range(len(STEPS)):
            places = step_places(number, height, width, vectors.device)
            mask = known.view(1, 1, height, width)
            visible = vectors * mask
            now = torch.cat([visible, mask.expand_as(visible[:, :1])], 1)
            context = _Surroundings(places, _pad(now), before, log_table)
            yield self._step(number, context, last.flatten(2), quality)
            known.index_fill_(1, places.blocks, 1)

    def array_walk(
        self, vectors: Tensor, last: Tensor, q: int, log_table: Tensor
    ) -> Iterator[StepArrays]:
        """The same for one field without gradients: vectors and last (2, h, w)."""
        if not can_run(vectors):
            quality = torch.tensor([q], device=vectors.device)
            for context in self.walk(vectors[None], last[None], quality, log_table):
                yield StepArrays.of(context)
            return
        networks = kept(self, lambda: _IntegerNetworks.of(self))
        height, width = vectors.shape[-2:]
        size = (height + 2 * COARSEST) * (width + 2 * COARSEST)
        now, before = np.zeros((2, size), np.int32), np.zeros((2, size), np.int32)
        known = np.zeros(size, np.int8)
        old = last.detach().float().contiguous().flatten(1).numpy()
        fill_blocks(old, np.arange(height * width), width, COARSEST, before, known)
        known[:] = 0
        table = table_in_units(log_table)
        for number, step in enumerate(STEPS):
            blocks = step_places(number, height, width, vectors.device).blocks.numpy()
            n = len(blocks)
            candidates = np.empty((n, CANDIDATES, 2), np.int32)
            usable = np.empty((n, CANDIDATES), bool)
            prediction = np.empty((n, 2), np.int32)
            inputs = np.empty((n, networks.hidden + INPUTS), np.int8)
            describe_blocks(
                now,
                known,
                before,
                blocks,
                width,
                COARSEST,
                step.spacing,
                min(step.spacing, WIDEST_LOOK),
                step.kind == "centre",
                table,
                q - QUALITY_CENTRE,
                candidates,
                usable,
                prediction,
                inputs,
                networks.hidden,
            )
            indices = networks.indices(number, inputs)
            yield StepArrays(blocks, candidates, usable, prediction, indices)
            filled = vectors.detach().float().contiguous().flatten(1).numpy()
            fill_blocks(filled, blocks, width, COARSEST, now, known)

    def _walk_arrays(
        self, vectors: Tensor, last: Tensor, q: Tensor, log_table: Tensor
    ) -> Iterator[StepContext]:
        items = zip(vectors, last, q.tolist(), strict=True)
        walks = [self.array_walk(*item, log_table) for item in items]
        for steps in zip(*walks, strict=True):
            yield StepContext(
                torch.from_numpy(steps[0].blocks),
                _stacked([s.candidates for s in steps]).permute(0, 2, 3, 1).to(vectors.dtype),
                _stacked([s.usable for s in steps]).transpose(1, 2),
                _stacked([s.prediction for s in steps]).transpose(1, 2).to(vectors.dtype),
                _stacked([s.indices for s in steps]).to(vectors.dtype),
            )

    def _step(
        self, number: int, around: "_Surroundings", last: Tensor, quality: Tensor
    ) -> StepContext:
        """last (B, 2, h w); quality (B,)."""
        places = around.places
        here = last[:, :, places.blocks]
        inside = around.now[:, -1][:, places.neighbours]  # (B, 4, n)
        neighbours = around.now[:, :2][:, :, places.neighbours].transpose(1, 2)
        candidates = torch.cat([torch.zeros_like(here)[:, None], here[:, None], neighbours], 1)
        count = inside.sum(1, keepdim=True)
        mean = (neighbours.sum(1) / count.clamp(min=1)).round()
        prediction = torch.where(count > 0, mean, here)
        usable = _usable(candidates, inside.bool())
        x = around.inputs(prediction, usable)
        x = torch.cat([x, quality[:, None, None].expand_as(x[..., :1])], -1)
        return StepContext(places.blocks, candidates, usable, prediction, self._indices(number, x))

    def _indices(self, number: int, x: Tensor) -> Tensor:
        """x (B, n, inputs) -> (B, n, 8)."""
        hidden = rectify(self.read[number](x))
        hidden = rectify(self.mix[number](hidden))
        return to_index(self.write[number](torch.cat([hidden, x], -1)))


@dataclass(frozen=True)
class _IntegerNetworks:
    """The layers of each step."""

    read: list[IntegerLayer]
    mix: list[IntegerLayer]
    write: list[IntegerLayer]

    @classmethod
    def of(cls, prior: VectorPrior) -> "_IntegerNetworks":
        def integers(layers: nn.ModuleList) -> list[IntegerLayer]:
            return [layer.in_integers() for layer in layers if isinstance(layer, ExactLinear)]

        return cls(integers(prior.read), integers(prior.mix), integers(prior.write))

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


def _stacked(arrays: list[np.ndarray]) -> Tensor:
    return torch.stack([torch.from_numpy(array) for array in arrays])


@dataclass(frozen=True)
class _Surroundings:
    """What the networks of a step may see: now (B, 3, padded grid), the known vectors and what is
    known; before (B, 2, padded grid), the last field."""

    places: StepPlaces
    now: Tensor
    before: Tensor
    log_table: Tensor

    def inputs(self, prediction: Tensor, usable: Tensor) -> Tensor:
        """The known vectors of the 3x3 at the step's spacing, and the last field's around the
        block, as differences to the prediction (B, 2, n): the logarithm of a long vector is too
        coarse to tell whether it is repeated. Then the prediction, by how much the known vectors
        differ from the last field's, and which candidates are usable: (B, n, INPUTS - 1)."""
        near = self.now[:, :2][:, :, self.places.near]
        known = self.now[:, -1:][:, :, self.places.near]
        old_near, old_close = (
            self.before[:, :, at] for at in (self.places.near, self.places.close)
        )
        base = prediction[:, :, None]
        return _by_place(
            [
                torch.cat([self._log((near - base) * known), known], 1),
                self._log(old_close - base),
                self._log(base),
                self._log((near - old_near) * known),
                usable.float()[:, :, None],
            ]
        )

    def _log(self, vectors: Tensor) -> Tensor:
        return _signed_log(vectors, self.log_table)


def _by_place(maps: list[Tensor]) -> Tensor:
    """Maps (B, channels, places, n), one after the other, by place, then channel: (B, n, all)."""
    return torch.cat([part.transpose(1, 2).flatten(1, 2) for part in maps], 1).transpose(1, 2)


def _usable(candidates: Tensor, inside: Tensor) -> Tensor:
    """candidates (B, 6, 2, n), inside (B, 4, n): is the neighbour known -> (B, 6, n)."""
    usable = [torch.ones_like(inside[:, 0])]
    for i in range(1, CANDIDATES):
        repeated = (candidates[:, :i] == candidates[:, i : i + 1]).all(2).any(1)
        usable.append(~repeated if i < 2 else ~repeated & inside[:, i - 2])
    return torch.stack(usable, 1)


def _signed_log(vectors: Tensor, log_table: Tensor) -> Tensor:
    return vectors.sign() * log_magnitude(vectors, log_table)


def _pad(maps: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, C, flat padded grid), zero outside."""
    return F.pad(maps, (COARSEST,) * 4).flatten(2)
