"""Which positions of an inter frame are skipped: their prediction stands as it is.

First every area of 4x4 positions says whether all of it is skipped, then each position of the
others. Both in two checkerboard halves, of which the second sees the first. Exact arithmetic on
what is known before: q, level, distances, motion, which positions the references skipped, and how
much their symbols said.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralcodec.kernels.parsing.exact_layers import ACTIVATION_UNITS
from neuralcodec.model.exact import ExactLinear, quality_activation, rectify, to_index
from neuralcodec.model.scale_prior import SEEN_OF_MOTION, motion_maps

AREA = 4  # positions per side
HIDDEN = 16
ACTIVITY = 2  # the largest magnitude of the last symbols, and of the running mean
OF_POSITION = 1 + SEEN_OF_MOTION + 2 + ACTIVITY  # q, motion, skipped by each reference, activity
AROUND = 2 * 4  # neighbours known to be skipped, known not to be
COUNT_UNITS = 7  # of an activation, for each position of an area that a reference skipped


@dataclass(frozen=True)
class SkipContext:
    """What is known of B frames before. q (B,); motion (B, 5, 2h, 2w), level (B,), distances
    (B, 2): as in `scale_prior.Past`; activity (B, h, w, 2): see `activity_of`; before
    (B, 2, h, w): 1 where each reference was skipped, else 0."""

    q: Tensor
    motion: Tensor
    level: Tensor
    distances: Tensor
    activity: Tensor
    before: Tensor

    @classmethod
    def cat(cls, parts: Sequence["SkipContext"]) -> "SkipContext":
        return cls(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    def maps(self, log_table: Tensor) -> Tensor:
        """(B, h, w, OF_POSITION)."""
        shape = *self.activity.shape[:3], 1
        quality = quality_activation(self.q)[:, None, None, None].expand(shape)
        motion = motion_maps(self.motion, self.level, self.distances, log_table)
        return torch.cat([quality, *motion, self.before.permute(0, 2, 3, 1), self.activity], -1)


def activity_of(last: Tensor, mean: Tensor) -> Tensor:
    """Of both parts (B, h, w, N) of a `History`, the largest of each position: (B, h, w, 2)."""
    return torch.stack([last.amax(-1), mean.amax(-1)], -1)


@dataclass(frozen=True)
class SkipStep:
    """Decisions that are coded at once. is_area: of areas, not of positions; asked (B, h, w): which
    ones, positions of skipped areas left out; indices (B, h, w): of their chances."""

    is_area: bool
    asked: Tensor
    indices: Tensor


class _Chance(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.read = ExactLinear(inputs, HIDDEN)
        self.write = ExactLinear(HIDDEN + inputs, 1, gain=0.3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, h, w, inputs) -> indices (B, h, w)."""
        return to_index(self.write(torch.cat([rectify(self.read(x)), x], -1)))[..., 0]


class SkipPrior(nn.Module):
    """The networks of areas and of positions."""

    def __init__(self) -> None:
        super().__init__()
        self.area = _Chance(OF_POSITION + 2 + AROUND)
        self.position = _Chance(OF_POSITION + AROUND)

    def walk(self, skipped: Tensor, context: SkipContext, log_table: Tensor) -> Iterator[SkipStep]:
        """All steps in coding order. skipped (B, 1, h, w) of 0 and 1, which a decoder fills in
        between them."""
        seen = context.maps(log_table)
        of_areas = torch.cat([_largest_in_areas(seen), _counted_in_areas(context.before)], -1)
        for is_second in (False, True):
            whole = whole_areas(skipped)
            now = torch.zeros_like(whole) if not is_second else _parity(whole)[0]
            x = torch.cat([of_areas, _around(whole, now)], -1)
            asked = _parity(whole)[int(is_second)]
            yield SkipStep(True, asked[:, 0] > 0, self.area(x))
        whole = whole_areas(skipped)
        by_area = F.interpolate(whole, scale_factor=AREA)[
            ..., : skipped.shape[2], : skipped.shape[3]
        ]
        for is_second in (False, True):
            halves = _parity(skipped)
            known = torch.maximum(by_area, halves[0] if is_second else torch.zeros_like(by_area))
            x = torch.cat([seen, _around(skipped, known)], -1)
            asked = halves[int(is_second)] * (1 - by_area)
            yield SkipStep(False, asked[:, 0] > 0, self.position(x))


def whole_areas(skipped: Tensor) -> Tensor:
    """(B, 1, h, w) -> (B, 1, h / AREA, w / AREA), rounded up: areas of which all is skipped."""
    down, right = (-side % AREA for side in skipped.shape[-2:])
    return -F.max_pool2d(-F.pad(skipped, (0, right, 0, down), value=1.0), AREA)


def _largest_in_areas(maps: Tensor) -> Tensor:
    """(B, h, w, C) -> (B, h / AREA, w / AREA, C)."""
    channels = maps.permute(0, 3, 1, 2)
    return F.max_pool2d(channels, AREA, ceil_mode=True).permute(0, 2, 3, 1)


def _counted_in_areas(before: Tensor) -> Tensor:
    down, right = (-side % AREA for side in before.shape[-2:])
    padded = F.pad(before, (0, right, 0, down))
    counts = F.avg_pool2d(padded, AREA, divisor_override=1)
    return counts.permute(0, 2, 3, 1) * (COUNT_UNITS / ACTIVATION_UNITS)


def _around(flags: Tensor, known: Tensor) -> Tensor:
    """Of the four neighbours, whether they are known to be set, and known not to be."""
    both = torch.cat([flags * known, (1 - flags) * known], 1)
    padded = F.pad(both, (1, 1, 1, 1))
    sides = (
        padded[:, :, :-2, 1:-1],
        padded[:, :, 2:, 1:-1],
        padded[:, :, 1:-1, :-2],
        padded[:, :, 1:-1, 2:],
    )
    return torch.cat(sides, 1).permute(0, 2, 3, 1)


def _parity(like: Tensor) -> tuple[Tensor, Tensor]:
    odd = _odd(*like.shape[-2:], like.device)
    return (1 - odd).expand_as(like), odd.expand_as(like)


@lru_cache(maxsize=32)
def _odd(rows: int, columns: int, device: torch.device) -> Tensor:
    i = torch.arange(rows, device=device)[:, None]
    j = torch.arange(columns, device=device)[None]
    return ((i + j) % 2).float()
