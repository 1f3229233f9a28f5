"""Code lengths in bits, as the trainer counts them and as the integer tables realise them."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.kernels.vector_steps import CANDIDATES
from neuralcodec.model.config import SCALES
from neuralcodec.model.motion_prior import StepContext, VectorPrior

SMALLEST_SCALE = 0.04
LARGEST_SCALE = 64.0
DECISION_CENTRE = (SCALES - 1) / 2
DECISION_STEPS = 4.0  # index steps per unit of log odds


def laplace_scale(index: Tensor) -> Tensor:
    """Index 0..63 -> scale b of a Laplace distribution, log-spaced."""
    low, high = math.log(SMALLEST_SCALE), math.log(LARGEST_SCALE)
    return torch.exp(low + (high - low) / (SCALES - 1) * index)


def laplace_bits(value: Tensor, index: Tensor) -> Tensor:
    """Code length of `value` (an integer, or one with uniform noise) under Laplace(0, scale)
    integrated over [value - 1/2, value + 1/2]."""
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


def step_bits(context: StepContext, vectors: Tensor) -> Tensor:
    """Bits of one step of the vector description, (B,)."""
    wanted = vectors.flatten(2)[:, :, context.blocks]
    is_open = torch.ones_like(context.usable[:, 0])
    total = torch.zeros(vectors.shape[0], dtype=vectors.dtype, device=vectors.device)
    for i in range(CANDIDATES):
        asked = is_open & context.usable[:, i]
        hit = (context.candidates[:, i] == wanted).all(1)
        bits = decision_bits(hit, context.indices[..., i])
        total = total + torch.where(asked, bits, 0).sum(1)
        is_open = is_open & ~(asked & hit)
    difference = wanted - context.prediction
    for axis in range(2):
        bits = laplace_bits(difference[:, axis], context.indices[..., CANDIDATES + axis])
        total = total + torch.where(is_open, bits, 0).sum(1)
    return total


def option_bits(context: StepContext, vectors: Tensor) -> Tensor:
    """Bits of each choice that the n blocks of a step have, (B, 7, n): the six candidates, infinite
    where they cannot be named, and `vectors` (B, 2, n) as the difference to the prediction."""
    log_odds = decision_log_odds(context.indices[..., :CANDIDATES]).transpose(1, 2)
    refused = torch.where(context.usable, F.softplus(log_odds) / math.log(2), 0)
    taken = F.softplus(-log_odds) / math.log(2)
    total = refused.cumsum(1)
    named = torch.where(context.usable, total - refused + taken, math.inf)
    difference = vectors - context.prediction
    new = total[:, -1]
    for axis in range(2):
        new = new + laplace_bits(difference[:, axis], context.indices[..., CANDIDATES + axis])
    return torch.cat([named, new[:, None]], 1)


def vector_field_bits(
    prior: VectorPrior, vectors: Tensor, last: Tensor, q: Tensor, log_table: Tensor
) -> Tensor:
    """Bits of a whole field (B, 2, h, w), (B,)."""
    bits = [step_bits(context, vectors) for context in prior.walk(vectors, last, q, log_table)]
    return torch.stack(bits).sum(0)
