"""How the motion of a frame is described: coarse to fine, by exact networks.

The grid of blocks is filled in steps: every 16th block in both directions, then the centres between
four known ones, then the rest in between, and so on down to every block. A block first tries its
candidates in turn, each a whole motion (no motion, the temporal one, those of its four known
neighbours): one binary decision each, repeated candidates left out. If none fits, two decisions say
which references are used, and then come the differences to predictions of their vectors. A network
gives, per block, the index of the probability for each decision and of the scale for each
component, from known motion and the temporal one alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralcodec.kernels.compiled import can_run
from neuralcodec.kernels.parsing.exact_layers import ACTIVATION_UNITS
from neuralcodec.kernels.parsing.motion_walk import CANDIDATES, INPUTS, OUTPUTS, VECTOR_LIMIT
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
from neuralcodec.model.motion_integers import (
    FrameSetting,
    IntegerNetworks,
    StepArrays,
    integer_walk,
)
from neuralcodec.model.motion_steps import COARSEST, STEPS, StepPlaces, step_places
from neuralcodec.model.motion_values import BOTH, FIRST, SECOND


@dataclass(frozen=True)
class MotionSetting:
    """What is known of B frames before their motion.

    temporal (B, 5, h, w): see `temporal_motion`; distances (B, 2): by how much the frame is shown
    later than each of its references, equal where they are the same frame; level (B,), q (B,)."""

    temporal: Tensor
    distances: Tensor
    level: Tensor
    q: Tensor

    def select(self, chosen: Tensor) -> "MotionSetting":
        parts = (self.temporal, self.distances, self.level, self.q)
        return MotionSetting(*(part[chosen] for part in parts))

    @property
    def is_two(self) -> Tensor:
        """(B,): the references differ."""
        return self.distances[:, 0] != self.distances[:, 1]

    def frames(self) -> list[FrameSetting]:
        both = [(int(first), int(second)) for first, second in self.distances.tolist()]
        levels, qualities = map(int, self.level.tolist()), map(int, self.q.tolist())
        parts = zip(self.temporal, both, levels, qualities, strict=True)
        return [FrameSetting(*part) for part in parts]


@dataclass(frozen=True)
class StepContext:
    """What coder and trainer need of one step, at its n blocks.

    blocks (n,): flat indices into the grid; candidates (B, 6, 5, n); usable (B, 6, n): not a
    repetition; prediction (B, 4, n): of the vectors in both references; inputs (B, n, INPUTS) int8:
    what the networks see, in units of activations; indices (B, n, 12): 6 decisions, whether both
    references are used, whether the second, 4 scales.
    """

    blocks: Tensor
    candidates: Tensor
    usable: Tensor
    prediction: Tensor
    inputs: Tensor
    indices: Tensor


class MotionPrior(nn.Module):
    """The networks of all steps."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden = config.vector_channels
        self.read = nn.ModuleList(ExactLinear(INPUTS, hidden) for _ in STEPS)
        self.mix = nn.ModuleList(ExactLinear(hidden, hidden) for _ in STEPS)
        self.write = nn.ModuleList(ExactLinear(hidden + INPUTS, OUTPUTS, gain=0.3) for _ in STEPS)

    def walk(
        self, motion: Tensor, setting: MotionSetting, log_table: Tensor
    ) -> Iterator[StepContext]:
        """All steps in coding order. motion (B, 5, h, w): see `recurrence.Recurrence`; a decoder
        fills it in between steps."""
        learns = torch.is_grad_enabled() and any(p.requires_grad for p in self.parameters())
        if can_run(motion) and not learns:
            yield from self._walk_arrays(motion, setting, log_table)
            return
        height, width = motion.shape[-2:]
        known = torch.zeros(1, 1, height, width, dtype=motion.dtype, device=motion.device)
        constants = _constants(setting, log_table)
        for number in range(len(STEPS)):
            places = step_places(number, height, width, motion.device)
            now = torch.cat([motion[:, 1:] * known, _uses(motion) * known], 1)
            around = _Surroundings(places, _pad(now), _pad(setting.temporal[:, 1:]), log_table)
            yield self._step(number, around, setting, constants)
            known.view(-1).index_fill_(0, places.blocks, 1)

    def array_walk(
        self, motion: Tensor, setting: FrameSetting, log_table: Tensor
    ) -> Iterator[StepArrays]:
        """The same for one frame without gradients: motion (5, h, w)."""
        if not can_run(motion):
            one = [torch.tensor([n]) for n in (setting.distances, setting.level, setting.q)]
            batch = MotionSetting(setting.temporal[None], *(n.to(motion.device) for n in one))
            for context in self.walk(motion[None], batch, log_table):
                yield _arrays_of(context)
            return
        networks = kept(self, lambda: IntegerNetworks.of(self.read, self.mix, self.write))
        yield from integer_walk(networks, motion, setting, table_in_units(log_table))

    def _walk_arrays(
        self, motion: Tensor, setting: MotionSetting, log_table: Tensor
    ) -> Iterator[StepContext]:
        items = zip(motion, setting.frames(), strict=True)
        walks = [self.array_walk(*item, log_table) for item in items]
        for steps in zip(*walks, strict=True):
            yield StepContext(
                torch.from_numpy(steps[0].blocks),
                _stacked([s.candidates for s in steps]).permute(0, 2, 3, 1).to(motion.dtype),
                _stacked([s.usable for s in steps]).transpose(1, 2),
                _stacked([s.prediction for s in steps]).transpose(1, 2).to(motion.dtype),
                _stacked([s.inputs for s in steps]),
                _stacked([s.indices for s in steps]).to(motion.dtype),
            )

    def _step(
        self, number: int, around: "_Surroundings", setting: MotionSetting, constants: Tensor
    ) -> StepContext:
        """constants (B, inputs): what the networks see of the whole frame."""
        places = around.places
        here = setting.temporal.flatten(2)[:, :, places.blocks]
        vectors, uses = around.now[:, :4], around.now[:, 4:]
        near, used = (
            maps[:, :, places.neighbours].transpose(1, 2) for maps in (vectors, uses)
        )  # (B, 4, 4, n), (B, 4, 2, n)
        which = torch.where(used[:, :, 1] > 0, SECOND + used[:, :, 0], used[:, :, 0] + FIRST - 1)
        neighbours = torch.cat([which[:, :, None], near], 2)
        zero = torch.zeros_like(here)
        zero[:, 0] = torch.where(setting.is_two, BOTH, FIRST)[:, None].to(zero.dtype)
        temporal = torch.cat([here[:, :1], here[:, 1:] * _uses(here).repeat_interleave(2, 1)], 1)
        candidates = torch.cat([zero[:, None], temporal[:, None], neighbours], 1)
        usable = _usable(candidates)
        prediction = _predict(near, used, here[:, 1:], setting)
        x = around.inputs(prediction, usable)
        x = torch.cat([x, _uses(here).transpose(1, 2)], -1)
        x = torch.cat([x, constants[:, None].expand(-1, x.shape[1], -1)], -1)
        units = (x * ACTIVATION_UNITS).to(torch.int8)
        indices = self.indices(number, x)
        return StepContext(places.blocks, candidates, usable, prediction, units, indices)

    def indices(self, number: int, x: Tensor) -> Tensor:
        """Of a step by its number: what the networks see, x (..., INPUTS) -> (..., 12)."""
        hidden = rectify(self.read[number](x))
        hidden = rectify(self.mix[number](hidden))
        return to_index(self.write[number](torch.cat([hidden, x], -1)))


def mirrored(vectors: Tensor, numerator: Tensor, denominator: Tensor) -> Tensor:
    """Vectors (B, 2, ...) * numerator (B,) / denominator (B,), to the nearest whole numbers, halves
    away from zero, within VECTOR_LIMIT."""
    shape = (-1, *(1,) * (vectors.dim() - 1))
    above, below = numerator.long().view(shape), denominator.long().view(shape)
    products = vectors.long() * above
    quotients = (2 * products.abs() + below.abs()) // (2 * below.abs())
    signed = torch.where((products >= 0) == (below >= 0), quotients, -quotients)
    return signed.clamp(-VECTOR_LIMIT, VECTOR_LIMIT).to(vectors.dtype)


def second_prediction(prediction: Tensor, motion: Tensor, distances: Tensor) -> Tensor:
    """Of the vector in the second reference, once the one in the first is known: prediction
    (B, 4, n), motion (B, 5, n), distances (B, 2) -> (B, 2, n)."""
    opposite = mirrored(motion[:, 1:3], distances[:, 1], distances[:, 0])
    return torch.where(motion[:, :1] == BOTH, opposite, prediction[:, 2:])


def _predict(near: Tensor, used: Tensor, temporal: Tensor, setting: MotionSetting) -> Tensor:
    """near (B, 4, 4, n): vectors of the neighbours, used (B, 4, 2, n), temporal (B, 4, n): vectors
    -> (B, 4, n)."""
    count = used.sum(1)
    total = (near * used.repeat_interleave(2, 2)).sum(1)
    mean = (total / count.clamp(min=1).repeat_interleave(2, 1)).round()
    away = setting.distances
    of_other = [
        mirrored(mean[:, 2 - s : 4 - s], away[:, s // 2], away[:, 1 - s // 2]) for s in (0, 2)
    ]
    known, other_known = ((n > 0).repeat_interleave(2, 1) for n in (count, count.flip(1)))
    is_two = setting.is_two[:, None, None]
    fallback = torch.where(other_known & is_two, torch.cat(of_other, 1), temporal)
    prediction = torch.where(known, mean, fallback)
    of_first = torch.arange(4, device=near.device)[None, :, None] < 2
    return torch.where(is_two | of_first, prediction, 0)


def _arrays_of(context: StepContext) -> StepArrays:
    """Of a batch of one."""
    return StepArrays(
        context.blocks.numpy(),
        context.candidates[0].permute(2, 0, 1).to(torch.int32).contiguous().numpy(),
        context.usable[0].T.contiguous().numpy(),
        context.prediction[0].T.to(torch.int32).contiguous().numpy(),
        context.inputs[0].numpy(),
        context.indices[0].to(torch.uint8).contiguous().numpy(),
    )


def _stacked(arrays: list[Any]) -> Tensor:
    return torch.stack([torch.from_numpy(array) for array in arrays])


@dataclass(frozen=True)
class _Surroundings:
    """What the networks of a step may see: now (B, 6, padded grid), the known vectors, and which
    blocks are known to use the first reference and the second; temporal (B, 4, padded grid)."""

    places: StepPlaces
    now: Tensor
    temporal: Tensor
    log_table: Tensor

    def inputs(self, prediction: Tensor, usable: Tensor) -> Tensor:
        """For each reference: the known vectors of the 3x3 at the step's spacing, and the temporal
        ones around the block, as differences to the prediction (B, 4, n): the logarithm of a long
        vector is too coarse to tell whether it is repeated. Then the prediction, and by how much
        the known vectors differ from the temporal ones. After both, which candidates are usable:
        (B, n, 2 * REFERENCE_INPUTS + CANDIDATES)."""
        maps = []
        for k in range(2):
            of_one = slice(2 * k, 2 * k + 2)
            near = self.now[:, of_one][:, :, self.places.near]
            known = self.now[:, 4 + k : 5 + k][:, :, self.places.near]
            old_near, old_close = (
                self.temporal[:, of_one][:, :, at] for at in (self.places.near, self.places.close)
            )
            base = prediction[:, of_one, None]
            maps += [
                torch.cat([self._log((near - base) * known), known], 1),
                self._log(old_close - base),
                self._log(base),
                self._log((near - old_near) * known),
            ]
        return _by_place([*maps, usable.float()[:, :, None]])

    def _log(self, vectors: Tensor) -> Tensor:
        return _signed_log(vectors, self.log_table)


def _constants(setting: MotionSetting, log_table: Tensor) -> Tensor:
    """What is the same for all blocks of a frame, as activations (B, 5)."""
    is_two = setting.is_two[:, None].float()
    away = _signed_log(setting.distances, log_table)
    level = setting.level[:, None].float()
    quality = quality_activation(setting.q)[:, None]
    return torch.cat([is_two, away[:, :1], away[:, 1:] * is_two, level, quality], 1)


def _uses(motion: Tensor) -> Tensor:
    """(B, 5, ...) -> (B, 2, ...): whether a block uses the first reference, and the second."""
    which = motion[:, :1]
    return torch.cat([which != SECOND, which != FIRST], 1).to(motion.dtype)


def _by_place(maps: list[Tensor]) -> Tensor:
    """Maps (B, channels, places, n), one after the other, by place, then channel: (B, n, all)."""
    return torch.cat([part.transpose(1, 2).flatten(1, 2) for part in maps], 1).transpose(1, 2)


def _usable(candidates: Tensor) -> Tensor:
    """candidates (B, 6, 5, n): those that are not known use no reference, -1 -> (B, 6, n)."""
    usable = [torch.ones_like(candidates[:, 0, 0], dtype=torch.bool)]
    for i in range(1, CANDIDATES):
        repeated = (candidates[:, :i] == candidates[:, i : i + 1]).all(2).any(1)
        usable.append(~repeated & (candidates[:, i, 0] >= 0))
    return torch.stack(usable, 1)


def _signed_log(vectors: Tensor, log_table: Tensor) -> Tensor:
    return vectors.sign() * log_magnitude(vectors, log_table)


def _pad(maps: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, C, flat padded grid), zero outside."""
    return F.pad(maps, (COARSEST,) * 4).flatten(2)
