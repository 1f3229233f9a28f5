"""Blocks of one size with the best vectors found for them so far, and the torch version of them."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from neuralcodec.kernels.motion.planes import BORDER, CURRENT_BORDER, PHASES
from neuralcodec.kernels.motion.search import (
    BIT_UNITS,
    COST_UNITS,
    NEW_BITS,
    REACH,
    REPEATED_BITS,
    Support,
)
from neuralcodec.kernels.parsing.motion_walk import VECTOR_LIMIT
from neuralcodec.model.motion_compensation import LOBES, TAPS


class Level(Protocol):
    """Blocks of one size, and the best vectors found for them so far.

    Attributes:
        best: int32 (B, h, w, 2).
    """

    best: Tensor

    def begin(self, vectors: Tensor) -> None: ...

    def offer(
        self,
        fields: Sequence[Tensor] = (),
        *,
        neighbours: int = 0,
        moves: tuple[tuple[int, int], ...] = (),
        step: int = 1,
        before: Tensor | None = None,
    ) -> None:
        """Takes the best of several vectors for each block, the first of equals: its own, those of
        its neighbours so many blocks away, its own moved by so many steps, those of whole fields.
        Bits are estimated next to the present vectors of the blocks around, and those that the last
        frame has, if given."""


@lru_cache(maxsize=8)
def bit_table(device: torch.device) -> Tensor:
    """Rough code length of a component of a difference of vectors, by its size in quarter samples,
    in units of 1/BIT_UNITS."""
    bits = [round(1.5 * BIT_UNITS * math.log2(1 + size)) for size in range(2 * VECTOR_LIMIT + 1)]
    return torch.tensor(bits, dtype=torch.int32, device=device)


class TorchLevel:
    """The `Level` of GPUs, and of machines that compile no kernels."""

    def __init__(
        self, samples: Tensor, planes: Tensor, prices: Tensor, weights: Tensor, support: Support
    ) -> None:
        height, width = (side - 2 * CURRENT_BORDER for side in samples.shape[1:])
        device = samples.device
        self._windows = Windows(planes, support)
        self._prices, self._support = prices, support
        self._weights = weights[:, None, None] * support.samples
        self._target = targets(samples, support)
        self._origin = corners(height, width, support.block, device)
        self._lowest, self._highest = limits(self._origin, height, width, support)
        self._item = torch.arange(len(samples), device=device)[:, None, None]

    def begin(self, vectors: Tensor) -> None:
        self.best = self._inside(vectors)
        self._errors = self._error(self.best)

    def offer(
        self,
        fields: Sequence[Tensor] = (),
        *,
        neighbours: int = 0,
        moves: tuple[tuple[int, int], ...] = (),
        step: int = 1,
        before: Tensor | None = None,
    ) -> None:
        candidates = _neighbours(self.best, neighbours) if neighbours else []
        candidates += [self.best + offset for offset in self._offsets(moves) * step]
        candidates += fields
        vectors = torch.stack([self.best, *(self._inside(c) for c in candidates)])
        errors = torch.stack([self._errors, *(self._error(v) for v in vectors[1:])])
        bits = _BitEstimate(self._prices, self.best, before)
        area = self._support.block**2 * COST_UNITS
        costs = errors * area + torch.stack([bits.of(v) for v in vectors]) * self._weights
        choice = costs.argmin(0, keepdim=True)
        self._errors = errors.gather(0, choice)[0]
        self.best = vectors.gather(0, choice[..., None].expand(*choice.shape, 2))[0]

    def _offsets(self, moves: tuple[tuple[int, int], ...]) -> Tensor:
        return torch.tensor(moves, dtype=torch.int32, device=self.best.device).view(-1, 2)

    def _error(self, vectors: Tensor) -> Tensor:
        """Sums of absolute differences (B, h, w), int64."""
        windows = self._windows.at(vectors, self._origin, self._item)
        return (windows - self._target).abs_().sum((-1, -2))

    def _inside(self, vectors: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(vectors, self._lowest), self._highest)


class _BitEstimate:
    """What vectors would cost next to those of a field, and after the last frame's."""

    def __init__(self, table: Tensor, field: Tensor, before: Tensor | None) -> None:
        around = _neighbours(field, 1)
        self._table = table
        self._predictor = torch.stack([field, *around]).median(0).values
        self._known = around if before is None else [*around, before]

    def of(self, vectors: Tensor) -> Tensor:
        """(B, h, w), int64."""
        bits = NEW_BITS + self._table[(vectors - self._predictor).abs().long()].sum(-1)
        for other in self._known:
            bits = torch.where((vectors == other).all(-1), REPEATED_BITS, bits)
        return bits


def _neighbours(vectors: Tensor, distance: int) -> list[Tensor]:
    """Of (B, h, w, 2)."""
    return [_shifted(vectors, dim, by) for dim in (2, 1) for by in (-distance, distance)]


def neighbours_of(fields: Tensor, distance: int) -> list[Tensor]:
    """What is left, right, above and below of each block of (..., h, w), `distance` blocks away;
    that at the edge beyond it."""
    return [_shifted(fields, dim, by) for dim in (-1, -2) for by in (-distance, distance)]


def _shifted(vectors: Tensor, dim: int, by: int) -> Tensor:
    size = vectors.shape[dim]
    places = (torch.arange(size, device=vectors.device) + by).clamp(0, size - 1)
    return vectors.index_select(dim, places)


class Windows:
    """What the vectors of blocks point at, in `padded_planes`."""

    def __init__(self, planes: Tensor, support: Support) -> None:
        side = support.side
        views = planes.unfold(2, side, 1).unfold(3, side, 1)
        self._views = views[..., :: support.skipped, :]
        height, width = (length - 2 * BORDER for length in planes.shape[2:])
        self._margin = support.margin
        # Further out, windows see the same
        self._first = -side - TAPS + LOBES + 1
        self._last = torch.tensor([width + 1, height + 1], device=planes.device)

    def at(self, vectors: Tensor, origin: Tensor, item: Tensor) -> Tensor:
        """vectors (..., 2) of blocks whose corners lie at origin (..., 2) -> (..., rows, side)."""
        quarters = vectors.long()
        whole, fraction = quarters >> 2, quarters & 3
        start = torch.minimum((whole + origin - self._margin).clamp(min=self._first), self._last)
        start = start + BORDER
        plane = PHASES * fraction[..., 1] + fraction[..., 0]
        return self._views[item, plane, start[..., 1], start[..., 0]]


def corners(height: int, width: int, block: int, device: torch.device) -> Tensor:
    """Of all blocks, (h, w, 2): column and row of the first sample."""
    columns = torch.arange(0, width, block, device=device)
    rows = torch.arange(0, height, block, device=device)[:, None]
    return torch.stack(torch.broadcast_tensors(columns, rows), -1)


def targets(samples: Tensor, support: Support) -> Tensor:
    """What is compared of the current picture for each block, (B, h, w, rows, side)."""
    inner = CURRENT_BORDER - support.margin
    cut = samples[:, inner : samples.shape[1] - inner, inner : samples.shape[2] - inner]
    windows = cut.unfold(1, support.side, support.block).unfold(2, support.side, support.block)
    return windows[..., :: support.skipped, :].contiguous()


def limits(origin: Tensor, height: int, width: int, support: Support) -> tuple[Tensor, Tensor]:
    """The lowest and the highest vectors (h, w, 2) of blocks whose corners lie at origin: their
    windows reach out of the picture by REACH samples at most."""
    room = REACH - support.margin - 2
    size = torch.tensor([width, height], device=origin.device)
    lowest = (-4 * (origin + room)).clamp(min=-VECTOR_LIMIT)
    highest = (4 * (size - support.block - origin + room)).clamp(max=VECTOR_LIMIT)
    return lowest.to(torch.int32), highest.to(torch.int32)
