"""Code lengths in bits, as the trainer counts them and as the integer tables realise them."""

import math
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
PRICE_UNITS = 256  # of a bit, where vectors are chosen by their price
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


def step_bits(context: StepContext, motion: Tensor, distances: Tensor) -> Tensor:
    """Bits of one step of the description of motion (B, 5, h, w), (B,); distances (B, 2)."""
    wanted = motion.flatten(2)[:, :, context.blocks]
    is_open = torch.ones_like(context.usable[:, 0])
    total = torch.zeros(motion.shape[0], dtype=motion.dtype, device=motion.device)
    for i in range(CANDIDATES):
        asked = is_open & context.usable[:, i]
        hit = (context.candidates[:, i] == wanted).all(1)
        bits = decision_bits(hit, context.indices[..., i])
        total = total + torch.where(asked, bits, 0).sum(1)
        is_open = is_open & ~(asked & hit)
    which, indices = wanted[:, 0], context.indices
    is_two = (distances[:, 0] != distances[:, 1])[:, None]
    bits = decision_bits(which == BOTH, indices[..., BOTH_USED])
    total = total + torch.where(is_open & is_two, bits, 0).sum(1)
    bits = decision_bits(which == SECOND, indices[..., SECOND_USED])
    total = total + torch.where(is_open & is_two & (which != BOTH), bits, 0).sum(1)
    second = second_prediction(context.prediction, wanted, distances)
    predicted = torch.cat([context.prediction[:, :2], second], 1)
    for part in range(4):
        coded = is_open & (which != (SECOND if part < 2 else FIRST))
        bits = laplace_bits(
            wanted[:, 1 + part] - predicted[:, part], indices[..., SCALES_AT + part]
        )
        total = total + torch.where(coded, bits, 0).sum(1)
    return total


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
    steps = prior.walk(motion, setting, log_table)
    return torch.stack([step_bits(step, motion, setting.distances) for step in steps]).sum(0)


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
