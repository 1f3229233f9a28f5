"""The symbols of a latent, reconsidered for the very frame that is coded.

The analysis networks give each symbol as the nearest integer, without knowing its price. Here the
gradient of bits + λ·distortion through the decoder's networks says, for all symbols at once, what
a step of ±1 would change to first order; the curvature of the linear transform and the table of
the symbol itself say the rest. What is judged is always the rounded latent, which will be written
and shown: straight-through gradients of rounding, tried first, gained nothing in 10 iterations.

Steps are taken in the latent, before quantisation: a step in the symbols of the first checkerboard
half would move the means of the second, and with them a picture that nobody asked for.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from neuralcodec.model.code_length import laplace_bits
from neuralcodec.model.distortion import distortion
from neuralcodec.model.exact import exact_float32, log_magnitude
from neuralcodec.model.frame_step import FrameCoding
from neuralcodec.model.rdoq import linear_curvature

LEANING = 1.6  # times λ: later frames lean on what this one shows; 1.0 loses half of the gain
BENT = 1.2  # curvature of all networks over that of their linear part


@dataclass(frozen=True)
class _Judgement:
    cost: float  # bits + λ·distortion
    rounded: Tensor  # (1, N, h, w), as all that follow
    symbols: Tensor
    indices: Tensor
    slope: Tensor | None  # of the cost by the rounded latent


def refine_latent(
    latent: Tensor, coding: FrameCoding, y: Tensor, uv: Tensor, rounds: int
) -> Tensor:
    """latent (1, N, h, w) of the frame y, uv, in symbol units, before it is quantised -> another,
    whose bits + λ·distortion are not higher once it is quantised.

    rounds: how often the latent is judged anew, each about three times the work of showing it."""
    assert len(latent) == 1
    weight = LEANING * float(coding.mse_lambda)
    side = coding.side_information(*latent.shape[-2:])
    curvature = linear_curvature(coding.coder, coding.q)
    best = latent
    kept = _judge(best, coding, side, y, uv, weight, with_slope=rounds > 0)
    share = 1.0  # of the moves that seem to pay
    for number in range(rounds):
        moved = best + _moves(best, kept, curvature, weight, share)
        judged = _judge(moved, coding, side, y, uv, weight, with_slope=number + 1 < rounds)
        if judged.cost < kept.cost:
            best, kept = moved, judged
        else:  # from the best once more, not as far
            share /= 4
    return best


def _judge(
    latent: Tensor,
    coding: FrameCoding,
    side: Tensor,
    y: Tensor,
    uv: Tensor,
    weight: float,
    with_slope: bool,
) -> _Judgement:
    """The slope is that of the picture, and of the bits by way of the scales of symbols coded
    later; a symbol's own table has steps, not slopes."""
    means, rounded = coding.quantise(latent)
    symbols = (rounded - means).round()
    with torch.set_grad_enabled(with_slope):
        rounded = rounded.detach().requires_grad_(with_slope)
        values = symbols + (rounded - rounded.detach())
        with exact_float32(latent.device.type):
            maps = values.permute(0, 2, 3, 1)
            smooth = torch.log1p(maps.abs())
            exact = log_magnitude(maps.detach(), coding.log_table)
            magnitudes = exact + smooth - smooth.detach()
            indices = coding.prior.all_indices(side, magnitudes).permute(0, 3, 1, 2)
            bits = laplace_bits(symbols, indices).sum()
        error = distortion(coding.show(rounded), y, uv)[0] * (y.shape[-2] * y.shape[-1])
        cost = bits + weight * error
        slope = torch.autograd.grad(cost, rounded)[0] if with_slope else None
    return _Judgement(float(cost), rounded.detach(), symbols, indices.detach(), slope)


def _moves(
    latent: Tensor, at: _Judgement, curvature: Tensor, weight: float, share: float
) -> Tensor:
    """What to add to the latent, so that each symbol moves by -1, 0 or 1, whichever promises the
    lowest cost; only the most promising `share` of the moves."""
    assert at.slope is not None
    now = laplace_bits(at.symbols, at.indices)
    bend = BENT / 2 * weight * curvature
    promise, move = torch.zeros_like(latent), torch.zeros_like(latent)
    for direction in (-1, 1):
        price = laplace_bits(at.symbols + direction, at.indices) - now
        change = at.slope * direction + bend + price
        better = change < promise
        promise = torch.where(better, change, promise)
        move = torch.where(better, direction, move)
    promises = promise[promise < 0]
    if share < 1 and promises.numel():
        limit = promises.kthvalue(max(1, int(share * promises.numel()))).values
        move = torch.where(promise <= limit, move, 0)
    return torch.where(move == 0, 0, at.rounded + move - latent)
