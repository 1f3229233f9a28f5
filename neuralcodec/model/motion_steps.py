"""The steps in which the grid of motion blocks is filled, and where each of them looks."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

COARSEST = 16
WIDEST_LOOK = COARSEST // 2  # of the networks' 3x3 neighbourhoods


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
