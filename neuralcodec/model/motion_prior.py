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
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralcodec.kernels.compiled import can_run
from neuralcodec.kernels.parsing.vector_steps import CANDIDATES, INPUTS, OUTPUTS
from neuralcodec.model.config import ModelConfig
from neuralcodec.model.exact import (
    ExactLinear,
    log_magnitude,
    quality_activation,
    rectify,
    table_in_units,
    to_index,
)
from neuralcodec.model.kept import kept
from neuralcodec.model.motion_integers import IntegerNetworks, StepArrays, integer_walk
from neuralcodec.model.motion_steps import COARSEST, STEPS, StepPlaces, step_places

VECTOR_LIMIT = 1023  # of |component|, in quarter samples


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
                yield _arrays_of(context)
            return
        networks = kept(self, lambda: IntegerNetworks.of(self.read, self.mix, self.write))
        yield from integer_walk(networks, vectors, last, q, table_in_units(log_table))

    def _walk_arrays(
        self, vectors: Tensor, last: Tensor, q: Tensor, log_table: Tensor
    ) -> Iterator[StepContext]:
        items = zip(vectors, last, map(int, q.tolist()), strict=True)
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


def _arrays_of(context: StepContext) -> StepArrays:
    """Of a batch of one."""
    return StepArrays(
        context.blocks.numpy(),
        context.candidates[0].permute(2, 0, 1).to(torch.int32).contiguous().numpy(),
        context.usable[0].T.contiguous().numpy(),
        context.prediction[0].T.to(torch.int32).contiguous().numpy(),
        context.indices[0].to(torch.uint8).contiguous().numpy(),
    )


def _stacked(arrays: list[Any]) -> Tensor:
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
