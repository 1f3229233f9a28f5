"""Scale priors: which probability table each latent symbol is coded with.

Channels are coded in groups from coarse to fine; the network of a group sees the magnitudes of the
groups before it and, in inter frames, of the frames before. The groups of intra frames are coded in
two checkerboard halves, of which the second sees the first: neighbours in the same channel say
much, and inter frames know them from those they refer to. In the first groups a half of the first
half comes before the other, see `lattice`. Exact arithmetic throughout, and only symbols already
decoded as input, so that encoder and decoder agree to the last bit everywhere. All maps are
channels-last: (B, h, w, channels).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
import torch
from torch import Tensor, nn

from neuralcodec.kernels.parsing.exact_layers import ACTIVATION_UNITS, LIMIT
from neuralcodec.model.config import ModelConfig
from neuralcodec.model.exact import (
    ExactDepthwise,
    ExactLinear,
    log_magnitude,
    quality_activation,
    rectify,
    to_index,
)
from neuralcodec.model.lattice import (
    COARSE_CHANNELS,
    COARSE_STEPS,
    parity_map,
    step_map,
    steps_of_positions,
)
from neuralcodec.model.motion_values import FIRST, SECOND

SIDE_CHANNELS = 2  # quality, parity
STEP_CHANNELS = COARSE_STEPS - 1  # of intra frames: when the means of a position become known
# |dx|, |dy| and their spread in the first reference and in the second, how many of the four blocks
# use each, level, log distances
SEEN_OF_MOTION = 4 + 4 + 2 + 1 + 2
MOTION_CHANNELS = SEEN_OF_MOTION + 1  # and follows-an-intra-frame
LEVEL_UNITS = 16  # of an activation, for each level
USE_UNITS = 8  # for each block


@dataclass(frozen=True)
class History:
    """What an inter frame knows of the frames before, as exact maps (B, h, w, N)."""

    last: Tensor  # log magnitudes of the last frame's symbols
    mean: Tensor  # running mean of them
    after_intra: Tensor  # (B,), 1 where that frame was an intra frame, else 0

    @classmethod
    def begin(cls, magnitudes: Tensor) -> "History":
        return cls(magnitudes, magnitudes, magnitudes.new_ones(len(magnitudes)))

    def advance(self, magnitudes: Tensor) -> "History":
        """The mean moves a quarter of the way, rounded down to the grid: exact integers."""
        units = (3 * self.mean + magnitudes) * (ACTIVATION_UNITS / 4)
        mean = units.floor() / ACTIVATION_UNITS
        return History(magnitudes, mean, magnitudes.new_zeros(len(magnitudes)))

    @classmethod
    def of_both(cls, first: "History", second: "History") -> "History":
        """What two frames mean for one that refers to both: the larger magnitudes, and the mean of
        the running means, rounded down to the grid."""
        units = (first.mean + second.mean) * (ACTIVATION_UNITS / 2)
        return cls(
            torch.maximum(first.last, second.last),
            units.floor() / ACTIVATION_UNITS,
            torch.maximum(first.after_intra, second.after_intra),
        )

    def select(self, item: int) -> "History":
        """Of one item of the batch, as a batch of one."""
        one = slice(item, item + 1)
        return History(self.last[one], self.mean[one], self.after_intra[one])

    def split(self, parts: int) -> list["History"]:
        """The reverse of `cat`: so many equal parts of the batch."""
        tensors = (self.last, self.mean, self.after_intra)
        return [
            History(*of_part) for of_part in zip(*(t.chunk(parts) for t in tensors), strict=True)
        ]

    @classmethod
    def cat(cls, parts: Sequence["History"]) -> "History":
        return cls(
            torch.cat([part.last for part in parts]),
            torch.cat([part.mean for part in parts]),
            torch.cat([part.after_intra for part in parts]),
        )


@dataclass(frozen=True)
class Past:
    """What is known of an inter frame before its symbols. history: of both references, see
    `History.of_both`; motion (B, 5, 2h, 2w): see `recurrence.Recurrence`; level (B,); distances
    (B, 2): see `inter.Referred`."""

    history: History
    motion: Tensor
    level: Tensor
    distances: Tensor

    @classmethod
    def cat(cls, parts: Sequence["Past"]) -> "Past | None":
        if not parts:
            return None
        return cls(
            History.cat([part.history for part in parts]),
            torch.cat([part.motion for part in parts]),
            torch.cat([part.level for part in parts]),
            torch.cat([part.distances for part in parts]),
        )


def _four_blocks(maps: Tensor) -> Tensor:
    """(B, C, 2h, 2w) -> (B, h, w, C, 4): of each latent position."""
    batch, channels, rows, columns = maps.shape
    four = maps.view(batch, channels, rows // 2, 2, columns // 2, 2)
    return four.permute(0, 2, 4, 1, 3, 5).flatten(4)


def _motion_of_positions(vectors: Tensor) -> Tensor:
    """(B, 2, 2h, 2w) -> (B, h, w, 4): per latent position, the largest component of its four
    blocks and how far they are apart. Integers stay integers."""
    four = _four_blocks(vectors)
    return torch.cat([four.abs().amax(-1), four.amax(-1) - four.amin(-1)], -1)


def motion_maps(
    motion: Tensor, level: Tensor, distances: Tensor, log_table: Tensor
) -> list[Tensor]:
    """Maps (B, h, w, ...) of SEEN_OF_MOTION channels in all, exact; arguments as in `Past`."""
    first, second = (
        log_magnitude(_motion_of_positions(motion[:, part]), log_table)
        for part in (slice(1, 3), slice(3, 5))
    )
    uses = torch.cat([motion[:, :1] != SECOND, motion[:, :1] != FIRST], 1).float()
    used = _four_blocks(uses).sum(-1) * (USE_UNITS / ACTIVATION_UNITS)
    away = log_magnitude(distances, log_table) * distances.sign()
    depth = level * (LEVEL_UNITS / ACTIVATION_UNITS)
    constants = torch.cat([depth[:, None].float(), away.float()], 1)
    return [first, second, used, constants[:, None, None].expand(*first.shape[:3], -1)]


class GroupNetwork(nn.Module):
    """One hidden 3x3 neighbourhood; gives a scale index per symbol of its group.

    The last layer sees the inputs directly too, which `hidden` channels are too few to carry. own:
    the last inputs, so many, are known symbols of the group itself; it sees those around as well.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, own: int = 0) -> None:
        super().__init__()
        self.read = ExactLinear(inputs, hidden)
        self.look = ExactDepthwise(hidden)
        self.mix = ExactLinear(hidden, hidden)
        self.around = ExactDepthwise(own) if own else None
        self.write = ExactLinear(hidden + inputs + own, outputs, gain=0.3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = rectify(self.read(x))
        hidden = rectify(self.look(hidden))
        seen = [rectify(self.mix(hidden)), x]
        if self.around is not None:
            known = x[..., -self.around.weight.shape[0] :]
            seen.append(rectify(self.around(known)))
        return to_index(self.write(torch.cat(seen, -1)))


class Stage(Enum):
    """Which of a group's networks a pass takes."""

    FIRST = auto()
    BETWEEN = auto()
    SECOND = auto()


@dataclass(frozen=True)
class Pass:
    """Some symbols of a frame that are coded at once: those of a group, or part of them.

    chosen (h, w, channels of the group): which ones; None: all. known, alike: which ones are
    known before; None: none.
    """

    group: int
    channels: slice
    stage: Stage = Stage.FIRST
    chosen: Tensor | None = None
    known: Tensor | None = None

    def values_known_after(self, values: np.ndarray) -> np.ndarray:
        """Symbols of the group, those that are not known yet made 0. Of a pass on the CPU."""
        if self.chosen is None:
            return values
        known = self.chosen if self.known is None else self.chosen | self.known
        found: np.ndarray = values * known.numpy()
        return found


class ScalePrior(nn.Module):
    """The group networks of intra frames, or (with history) of inter frames."""

    def __init__(self, config: ModelConfig, inter: bool) -> None:
        super().__init__()
        self.bounds = list(zip((0, *config.groups[:-1]), config.groups, strict=True))
        hidden = config.prior_channels
        side = SIDE_CHANNELS
        self.summarise: ExactLinear | None = None
        if inter:
            self.summarise = ExactLinear(2 * config.latents, hidden)
            side += hidden + MOTION_CHANNELS
        else:
            side += STEP_CHANNELS
        self.hidden, self.side = hidden, side
        self.networks = nn.ModuleList(
            GroupNetwork(start + side, hidden, end - start) for start, end in self.bounds
        )
        self.between, self.second = nn.ModuleList(), nn.ModuleList()
        if not inter:
            self.between.extend(
                GroupNetwork(end + side, hidden, end - start, own=end - start)
                for start, end in self.bounds
                if end <= COARSE_CHANNELS
            )
            self.second.extend(
                GroupNetwork(end + side, hidden, end - start, own=end - start)
                for start, end in self.bounds
            )

    def side_information(
        self,
        q: Tensor,
        shape: tuple[int, int, int],
        log_table: Tensor,
        past: Past | None = None,
    ) -> Tensor:
        """What all groups of a frame see; q (B,), shape (B, h, w); past: of an inter frame."""
        batch, height, width = shape
        quality = quality_activation(q)[:, None, None, None]
        maps = [
            quality.expand(batch, height, width, 1),
            parity_map(height, width, 1, q.device).expand(batch, height, width, 1),
        ]
        if self.summarise is None:
            steps = steps_of_positions(height, width, q.device)
            maps.append(steps.expand(batch, *steps.shape))
        else:
            assert past is not None
            history = past.history
            seen = torch.cat([history.last, history.mean], -1)
            maps.append(rectify(self.summarise(seen)))
            maps += motion_maps(past.motion, past.level, past.distances, log_table)
            maps.append(history.after_intra[:, None, None, None].expand_as(maps[0]))
        return torch.cat(maps, -1)

    def passes(self, height: int, width: int, device: torch.device) -> Iterator[Pass]:
        """In the order of coding."""
        size = height, width
        for group, (start, end) in enumerate(self.bounds):
            channels = slice(start, end)
            if not self.second:
                yield Pass(group, channels)
                continue
            known = None
            first = parity_map(*size, end, device)[..., start:] > 0
            if group < len(self.between):
                known = step_map(*size, end, device)[..., start:] < COARSE_STEPS - 1
                yield Pass(group, channels, Stage.FIRST, known)
                yield Pass(group, channels, Stage.BETWEEN, first & ~known, known)
            else:
                yield Pass(group, channels, Stage.FIRST, first)
            yield Pass(group, channels, Stage.SECOND, ~first, first)

    def indices(self, coded: Pass, side: Tensor, magnitudes: Tensor) -> Tensor:
        """Scale indices (B, h, w, channels of the group), of which the pass takes its own, from
        the magnitudes of what was coded before it."""
        seen = [magnitudes[..., : coded.channels.start], side]
        if coded.known is not None:
            seen.append(magnitudes[..., coded.channels] * coded.known)
        network = self.of_stage(coded.stage)[coded.group]
        indices: Tensor = network(torch.cat(seen, -1))
        return indices

    def of_stage(self, stage: Stage) -> nn.ModuleList:
        """The networks of all groups, or of the first ones."""
        return {
            Stage.FIRST: self.networks,
            Stage.BETWEEN: self.between,
            Stage.SECOND: self.second,
        }[stage]

    def all_indices(self, side: Tensor, magnitudes: Tensor) -> Tensor:
        """Of all passes, when the symbols are known: (B, h, w, N)."""
        found: dict[int, Tensor] = {}
        _, height, width, _ = side.shape
        for coded in self.passes(height, width, side.device):
            indices = self.indices(coded, side, magnitudes)
            if coded.chosen is not None and coded.group in found:
                indices = torch.where(coded.chosen, indices, found[coded.group])
            found[coded.group] = indices
        return torch.cat(list(found.values()), -1)


assert LIMIT / ACTIVATION_UNITS > 2  # the quality map reaches -2..2
