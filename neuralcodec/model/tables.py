"""Integer probability tables behind the scale and decision indices.

Made once, when a model file is written, and stored in it; never recomputed on a user's machine.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from neuralcodec.model.code_length import DECISION_CENTRE, DECISION_STEPS, laplace_scale
from neuralcodec.model.config import SCALES

PRECISION = 24  # bits; every probability is a positive multiple of 2**-24
TAIL = 2.0**-14  # what lies outside a table is escaped
MIN_SUPPORT = 64  # however narrow the distribution: an escape costs 16 bits more
MAX_SUPPORT = 700


@dataclass(frozen=True)
class CodingTables:
    """symbols: per index, 2K + 2 integers: probabilities of -K..K, then of 'outside'.
    decisions: (64,) probability of 'yes'. All in units of 2**-24."""

    symbols: tuple[Tensor, ...]
    decisions: Tensor

    def to_tensors(self) -> dict[str, Tensor]:
        return {
            "symbols": torch.cat(self.symbols),
            "sizes": torch.tensor([len(t) for t in self.symbols], dtype=torch.int32, device="cpu"),
            "decisions": self.decisions,
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "CodingTables":
        """Raises KeyError or ValueError when these are not tables."""
        sizes = tensors["sizes"].tolist()
        flat, decisions = tensors["symbols"], tensors["decisions"]
        if len(sizes) != SCALES or len(decisions) != SCALES or sum(sizes) != len(flat):
            raise ValueError("tables of the wrong size")
        tables = tuple(flat.split(sizes))
        for table in tables:
            if len(table) % 2 or int(table.min()) < 1 or int(table.sum()) != 1 << PRECISION:
                raise ValueError("a table that is no probability distribution")
        if int(decisions.min()) < 1 or int(decisions.max()) >= 1 << PRECISION:
            raise ValueError("a decision without doubt")
        return cls(tables, decisions)


def make_tables() -> CodingTables:
    """Laplace distributions over integers, and logistic decisions."""
    indices = torch.arange(SCALES, dtype=torch.float64, device="cpu")
    scales = laplace_scale(indices)
    odds = (indices - DECISION_CENTRE) / DECISION_STEPS
    decisions = (torch.sigmoid(odds) * (1 << PRECISION)).round().to(torch.int32)
    return CodingTables(tuple(_laplace_table(b) for b in scales), decisions)


def _laplace_table(scale: Tensor) -> Tensor:
    tail = torch.tensor(TAIL, dtype=torch.float32, device="cpu")
    support = int((-scale * torch.log(tail)).ceil().clamp(MIN_SUPPORT, MAX_SUPPORT))
    values = torch.arange(-support, support + 1, dtype=torch.float64, device="cpu")
    upper, lower = _laplace_cdf(values + 0.5, scale), _laplace_cdf(values - 0.5, scale)
    outside = 1 - (upper - lower).sum()
    masses = torch.cat([upper - lower, outside[None]])
    units = (masses * (1 << PRECISION)).round().clamp(min=1).to(torch.int32)
    units[support] += (1 << PRECISION) - int(units.sum())
    return units


def _laplace_cdf(x: Tensor, scale: Tensor) -> Tensor:
    tail = 0.5 * torch.exp(-x.abs() / scale)
    return torch.where(x < 0, tail, 1 - tail)
