"""Code lengths in bits, as the trainer counts them and as the integer tables realise them."""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.kernels.compiled import can_run
from neuralcodec.kernels.networks.laplace import LaplaceBits
from neuralcodec.kernels.parsing.motion_walk import (
    BOTH_USED,
    CANDIDATES,
    SCALES_AT,
    SECOND_USED,
    VECTOR_LIMIT,
)
from neuralcodec.model.config import SCALES
from neuralcodec.model.motion_prior import (
    MotionPrior,
    MotionSetting,
    StepContext,
    second_prediction,
)
from neuralcodec.model.motion_values import BOTH, FIRST, SECOND
from neuralcodec.model.skip_prior import SkipContext, SkipPrior, whole_areas

SMALLEST_SCALE = 0.04
LARGEST_SCALE = 64.0
LOG_SMALLEST = math.log(SMALLEST_SCALE)
LOG_STEP = (math.log(LARGEST_SCALE) - LOG_SMALLEST) / (SCALES - 1)  # from index to index
DECISION_CENTRE = (SCALES - 1) / 2
DECISION_STEPS = 4.0  # index steps per unit of log odds
PRICE_UNITS = 256  # of a bit, where motion is chosen by its price
NOT_TO_BE_HAD = 2**30  # a price above all others


def laplace_scale(index: Tensor) -> Tensor:
    """Index 0..63 -> scale b of a Laplace distribution, log-spaced."""
    return torch.exp(LOG_SMALLEST + LOG_STEP * index)


def laplace_bits(value: Tensor, index: Tensor) -> Tensor:
    """Code length of `value` (an integer, or one with uniform noise) under Laplace(0, scale)
    integrated over [value - 1/2, value + 1/2]."""
    if can_run(value, index) and value.shape == index.shape:
        bits: Tensor = LaplaceBits.apply(value, index, LOG_SMALLEST, LOG_STEP)
        return bits
    return _laplace_bits_by_tensors(value, index)


def _laplace_bits_by_tensors(value: Tensor, index: Tensor) -> Tensor:
    b = laplace_scale(index)
    v = value.abs()
    inside = 1 - torch.exp(-0.5 / b) * torch.cosh(v.clamp(max=0.5) / b)
    outside = torch.exp(-(v - 0.5).clamp(min=0) / b) * (0.5 * -torch.expm1(-1 / b))
    return -torch.log2(torch.where(v < 0.5, inside, outside).clamp(min=1e-9))


def decision_log_odds(index: Tensor) -> Tensor:
    """Index 0..63 -> log odds of 'yes'."""
    return (index - DECISION_CENTRE) / DECISION_STEPS


def decision_bits(yes: Tensor, index: Tensor) -> Tensor:
    log_odds = decision_log_odds(index)
    return F.softplus(torch.where(yes, -log_odds, log_odds)) / math.log(2)


@dataclass(frozen=True)
class StepSymbols:
    """What is coded of the n blocks of a step: yes (B, n, 8): the answers to all decisions, asked
    (B, n, 8): to which of them; differences (B, n, 4) to the predictions of both vectors, coded
    (B, n, 4): which of them."""

    yes: Tensor
    asked: Tensor
    differences: Tensor
    coded: Tensor

    @classmethod
    def of(cls, context: StepContext, motion: Tensor, distances: Tensor) -> "StepSymbols":
        """motion (B, 5, h, w), distances (B, 2)."""
        wanted = motion.flatten(2)[:, :, context.blocks]
        which = wanted[:, 0]
        is_open = torch.ones_like(context.usable[:, 0])
        yes, asked = [], []
        for i in range(CANDIDATES):
            asked.append(is_open & context.usable[:, i])
            yes.append((context.candidates[:, i] == wanted).all(1))
            is_open = is_open & ~(asked[i] & yes[i])
        is_two = (distances[:, 0] != distances[:, 1])[:, None]
        yes += [which == BOTH, which == SECOND]
        asked += [is_open & is_two, is_open & is_two & (which != BOTH)]
        second = second_prediction(context.prediction, wanted, distances)
        predicted = torch.cat([context.prediction[:, :2], second], 1)
        uses = [which != SECOND, which != SECOND, which != FIRST, which != FIRST]
        return cls(
            torch.stack(yes, 2),
            torch.stack(asked, 2),
            (wanted[:, 1:] - predicted).transpose(1, 2),
            torch.stack(uses, 2) & is_open[..., None],
        )

    def bits(self, indices: Tensor) -> Tensor:
        """Of each block, (B, n); indices (B, n, 12)."""
        decided = decision_bits(self.yes, indices[..., :SCALES_AT])
        different = laplace_bits(self.differences, indices[..., SCALES_AT:])
        of_decisions = torch.where(self.asked, decided, 0).sum(-1)
        return of_decisions + torch.where(self.coded, different, 0).sum(-1)


def option_bits(context: StepContext, motions: Tensor, distances: Tensor) -> Tensor:
    """Bits of each choice that the n blocks of a step have, (B, 6 + options, n), int64, in units of
    1/PRICE_UNITS: the six candidates, NOT_TO_BE_HAD where they cannot be named, and `motions`
    (B, options, 5, n) described as new; distances (B, 2)."""
    decisions, _ = price_tables(motions.device)
    indices = context.indices.long().transpose(1, 2)
    refused, taken = decisions.long()[:, indices[:, :CANDIDATES]]
    refused = torch.where(context.usable, refused, 0)
    total = refused.cumsum(1)
    named = torch.where(context.usable, total - refused + taken, NOT_TO_BE_HAD)
    new = [_new_bits(context, motion, distances) for motion in motions.unbind(1)]
    return torch.cat([named, total[:, -1:] + torch.stack(new, 1)], 1)


def _new_bits(context: StepContext, motion: Tensor, distances: Tensor) -> Tensor:
    """Of motion (B, 5, n) that is described as new, without those of what was refused."""
    decisions, differences = price_tables(motion.device)
    indices = context.indices.long().transpose(1, 2)
    which = motion[:, 0]
    is_both = (which == BOTH).long()
    of_which = decisions[is_both, indices[:, BOTH_USED]].long()
    of_which += decisions[(which == SECOND).long(), indices[:, SECOND_USED]] * (1 - is_both)
    total = of_which * (distances[:, :1] != distances[:, 1:])
    second = second_prediction(context.prediction, motion, distances)
    predicted = torch.cat([context.prediction[:, :2], second], 1)
    sizes = (motion[:, 1:] - predicted).abs().long()
    for part in range(4):
        bits = differences[indices[:, SCALES_AT + part], sizes[:, part]]
        total = total + bits * (which != (SECOND if part < 2 else FIRST))
    return total


@lru_cache(maxsize=8)
def price_tables(device: torch.device) -> tuple[Tensor, Tensor]:
    """Bits in units of 1/PRICE_UNITS, int32: of the answers no and yes by the index of the
    decision, (2, SCALES); of a difference by the index of its scale and its size, (SCALES, sizes).
    """
    indices = torch.arange(SCALES, dtype=torch.float64, device="cpu")
    sizes = torch.arange(2 * VECTOR_LIMIT + 1, dtype=torch.float64, device="cpu")
    answers = torch.tensor([[False], [True]], device="cpu").expand(2, SCALES)
    decisions = decision_bits(answers, indices.expand(2, SCALES))
    differences = laplace_bits(sizes, indices[:, None])

    def rounded(bits: Tensor) -> Tensor:
        return (bits * PRICE_UNITS).round().to(torch.int32).to(device)

    return rounded(decisions), rounded(differences)


def motion_bits(
    prior: MotionPrior, motion: Tensor, setting: MotionSetting, log_table: Tensor
) -> Tensor:
    """Bits of the motion of whole frames (B, 5, h, w), (B,)."""
    total = torch.zeros(len(motion), dtype=motion.dtype, device=motion.device)
    for step in prior.walk(motion, setting, log_table):
        symbols = StepSymbols.of(step, motion, setting.distances)
        total = total + symbols.bits(step.indices).sum(1)
    return total


def skip_map_bits(
    prior: SkipPrior, skipped: Tensor, context: SkipContext, log_table: Tensor
) -> Tensor:
    """Bits of skipped (B, 1, h, w), (B,); none where no position is."""
    total = torch.zeros(len(skipped), device=skipped.device)
    for step in prior.walk(skipped, context, log_table):
        flags = whole_areas(skipped)[:, 0] if step.is_area else skipped[:, 0]
        bits = decision_bits(flags > 0, step.indices)
        total = total + torch.where(step.asked, bits, 0).sum((1, 2))
    return torch.where(skipped.flatten(1).any(1), total, 0)
