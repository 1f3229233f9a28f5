"""How the motion vectors of a frame are described: coarse to fine, by exact networks.

The grid of blocks is filled in steps: every 8th block in both directions, then the centres between
four known ones, then the rest in between, and so on down to every block. A block first tries its
candidates in turn (zero, the vector of the last frame there, its four known neighbours): one binary
decision each, repeated candidates left out. If none fits, the difference to a prediction is coded.
A network gives, per block, the index of the probability for each decision and of the scale for
each component, from known vectors and the last frame's field alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralcodec.model.config import ModelConfig
from neuralcodec.model.exact import ExactLinear, log_magnitude, rectify, to_index

CANDIDATES = 6  # zero, last frame's, four neighbours
VECTOR_LIMIT = 1023  # of |component|, in quarter samples
COARSEST = 8
OUTPUTS = CANDIDATES + 2


@dataclass(frozen=True)
class Step:
    """One pass over the grid: blocks at `spacing`, of the kind `base`, `centre` or `edge`."""

    spacing: int
    kind: str

    def targets(self, height: int, width: int, device: torch.device) -> Tensor:
        """(h, w) booleans: the blocks that this step fills in."""
        rows = torch.arange(height, device=device)[:, None]
        columns = torch.arange(width, device=device)[None]
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
    *(Step(spacing, kind) for spacing in (4, 2, 1) for kind in ("centre", "edge")),
)


@dataclass(frozen=True)
class StepContext:
    """What coder and trainer need of one step; maps over the whole grid.

    targets (h, w); candidates (B, 6, 2, h, w); usable (B, 6, h, w): not a repetition;
    prediction (B, 2, h, w); indices (B, h, w, 8): 6 decisions, then 2 scales.
    """

    targets: Tensor
    candidates: Tensor
    usable: Tensor
    prediction: Tensor
    indices: Tensor


def shift(x: Tensor, rows: int, columns: int) -> Tensor:
    """x[..., i + rows, j + columns], zero outside."""
    height, width = x.shape[-2:]
    pad = COARSEST
    padded = F.pad(x, (pad, pad, pad, pad))
    top, left = pad + rows, pad + columns
    return padded[..., top : top + height, left : left + width]


class VectorPrior(nn.Module):
    """The networks of all steps."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden = config.vector_channels
        self.read = nn.ModuleList(ExactLinear(9 * 5, hidden) for _ in STEPS)
        self.mix = nn.ModuleList(ExactLinear(hidden, hidden) for _ in STEPS)
        self.write = nn.ModuleList(ExactLinear(hidden, OUTPUTS, gain=0.3) for _ in STEPS)

    @property
    def rounding(self) -> bool:
        """As that of all its layers."""
        first = self.read[0]
        assert isinstance(first, ExactLinear)
        return first.rounding

    def context(
        self, number: int, known: Tensor, vectors: Tensor, last: Tensor, log_table: Tensor
    ) -> StepContext:
        """known (h, w) marks the blocks of `vectors` (B, 2, h, w) already coded; `last` alike."""
        step = STEPS[number]
        batch, _, height, width = vectors.shape
        mask = known.to(vectors.dtype)
        visible = vectors * mask
        candidates = [torch.zeros_like(vectors), last]
        inside = []
        for rows, columns in step.neighbours:
            candidates.append(shift(visible, rows, columns))
            inside.append(shift(mask, rows, columns))
        stacked = torch.stack(candidates, 1)
        usable = [torch.ones(batch, height, width, dtype=torch.bool, device=vectors.device)]
        for i in range(1, CANDIDATES):
            repeated = (stacked[:, :i] == stacked[:, i : i + 1]).all(2).any(1)
            usable.append(~repeated)
            if i >= 2:
                usable[i] &= inside[i - 2].bool()
        count = torch.stack(inside).sum(0)
        mean = (stacked[:, 2:].sum(1) / count.clamp(min=1)).round()
        prediction = torch.where(count > 0, mean, last)
        indices = self._network(number, visible, mask, last, log_table)
        targets = step.targets(height, width, vectors.device)
        return StepContext(targets, stacked, torch.stack(usable, 1), prediction, indices)

    def _network(
        self, number: int, visible: Tensor, mask: Tensor, last: Tensor, log_table: Tensor
    ) -> Tensor:
        rounding = self.rounding
        known = mask.expand(len(visible), 1, *mask.shape)
        near = torch.cat([_signed_log(visible, log_table), known], 1)
        before = _signed_log(last, log_table)
        spacing = min(STEPS[number].spacing, COARSEST // 2)
        x = torch.cat([_neighbourhood(near, spacing), _neighbourhood(before, 1)], 1)
        x = rectify(self.read[number](x.permute(0, 2, 3, 1)), rounding)
        x = rectify(self.mix[number](x), rounding)
        return to_index(self.write[number](x), rounding)

    def walk(self, vectors: Tensor, last: Tensor, log_table: Tensor) -> Iterator[StepContext]:
        """All steps in coding order. `vectors` may be filled in by the caller between steps."""
        known = torch.zeros(vectors.shape[-2:], dtype=torch.bool, device=vectors.device)
        for number in range(len(STEPS)):
            context = self.context(number, known, vectors, last, log_table)
            yield context
            known = known | context.targets


def _signed_log(vectors: Tensor, log_table: Tensor) -> Tensor:
    return vectors.sign() * log_magnitude(vectors, log_table)


def _neighbourhood(x: Tensor, spacing: int) -> Tensor:
    """(B, C, h, w) -> (B, 9 C, h, w): the dilated 3x3 neighbourhood, without a convolution
    (a library might choose Winograd's algorithm for one, which leaves the grid)."""
    offsets = (-spacing, 0, spacing)
    return torch.cat([shift(x, rows, columns) for rows in offsets for columns in offsets], 1)
