"""The symbols of a latent, reconsidered for the very frame that is coded.

The analysis networks give each symbol as the nearest integer, without knowing its price. Here the
gradient of bits + λ·distortion through the decoder's networks says, for all symbols at once, what
a step of ±1 would change to first order; the curvature of the linear transform and the table of
the symbol itself say the rest. Symbols stay integers all the time, so what is judged is what will
be written and shown: rounding with straight-through gradients, tried first, gained nothing in 10
iterations.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from neuralcodec.model.distortion import LUMA_WEIGHT, distortion
from neuralcodec.model.exact import exact_float32, log_magnitude
from neuralcodec.model.inter import InterCoder
from neuralcodec.model.intra import IntraCoder
from neuralcodec.model.priors import ScalePrior
from neuralcodec.model.rate import laplace_bits
from neuralcodec.model.state import State

LEANING = 1.6  # times λ: later frames lean on what this one shows. 1.0 loses the gain again
BENT = 1.2  # curvature of all networks over that of their linear part


@dataclass(frozen=True)
class FrameCoding:
    """How the symbols of one frame become a picture and bits.

    show: symbols (1, N, h, w) -> the picture, as a decoder makes it; prior, side: of its symbols;
    curvature (1, N, 1, 1): from `linear_curvature`.
    """

    show: Callable[[Tensor], State]
    prior: ScalePrior
    side: Tensor
    log_table: Tensor
    curvature: Tensor


@dataclass(frozen=True)
class _Judgement:
    bits: Tensor
    distortion: Tensor
    indices: Tensor  # (1, N, h, w)


def linear_curvature(coder: IntraCoder | InterCoder, q: Tensor) -> Tensor:
    """Second derivative of the squared error of one block of 16x16, summed over its samples with
    the weights of `distortion` (in luma samples), by a symbol: (1, N, 1, 1)."""
    basis = coder.linear.inverse_basis.detach().float().flatten(1)
    energy = basis.unflatten(0, (96, 4)).square().sum(1)
    luma, chroma = energy[:64].sum(0), energy[64:].sum(0)
    # half as many chroma samples as luma samples
    weighted = LUMA_WEIGHT * luma + (1 - LUMA_WEIGHT) * 2 * chroma
    return 2 * weighted[None, :, None, None] * torch.exp(2 * coder.log_step(q))


def refine_symbols(
    symbols: Tensor, coding: FrameCoding, y: Tensor, uv: Tensor, mse_lambda: float, rounds: int
) -> Tensor:
    """symbols (1, N, h, w) of the frame y, uv -> symbols of a cost that is not higher.

    rounds: gradients taken, each about three times the work of showing the frame."""
    pixels = y.shape[-2] * y.shape[-1]
    weight = LEANING * mse_lambda
    best = current = symbols
    lowest, share = torch.inf, 1.0  # share: of the moves that seem to pay
    slope = indices = None
    for number in range(rounds + 1):
        last = number == rounds
        values = current.clone().requires_grad_(not last)
        with torch.set_grad_enabled(not last):
            judged = _judge(values, coding, y, uv)
            cost = judged.bits + weight * pixels * judged.distortion
        if float(cost) < lowest:
            best, lowest = current, float(cost)
            if not last:
                (slope,) = torch.autograd.grad(cost, values)
                indices = judged.indices.detach()
        else:  # from the best once more, not as far
            share /= 4
        if not last:
            assert slope is not None and indices is not None
            current = _step(best, slope, indices, coding, weight, share)
    return best


def _judge(symbols: Tensor, coding: FrameCoding, y: Tensor, uv: Tensor) -> _Judgement:
    """The cost of integer symbols. Its gradient is that of the picture, and of the bits by way of
    the scales of symbols coded later; a symbol's own table has steps, not slopes."""
    shown = coding.show(symbols)
    with exact_float32(symbols.device.type):
        maps = symbols.permute(0, 2, 3, 1)
        smooth = torch.log1p(maps.abs())
        exact = log_magnitude(maps.detach(), coding.log_table)
        magnitudes = exact + smooth - smooth.detach()
        indices = coding.prior.all_indices(coding.side, magnitudes).permute(0, 3, 1, 2)
        bits = laplace_bits(symbols.detach(), indices).sum()
    return _Judgement(bits, distortion(shown, y, uv)[0], indices)


def _step(
    symbols: Tensor,
    slope: Tensor,
    indices: Tensor,
    coding: FrameCoding,
    weight: float,
    share: float,
) -> Tensor:
    """Moves each symbol by -1, 0 or 1, whichever promises the lowest cost; only the most promising
    `share` of the moves."""
    now = laplace_bits(symbols, indices)
    bend = BENT / 2 * weight * coding.curvature
    promise, move = torch.zeros_like(symbols), torch.zeros_like(symbols)
    for direction in (-1, 1):
        price = laplace_bits(symbols + direction, indices) - now
        change = slope * direction + bend + price
        better = change < promise
        promise = torch.where(better, change, promise)
        move = torch.where(better, direction, move)
    promises = promise[promise < 0]
    if share < 1 and promises.numel():
        limit = promises.kthvalue(max(1, int(share * promises.numel()))).values
        move = torch.where(promise <= limit, move, 0)
    return symbols + move
