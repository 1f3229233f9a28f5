"""Rate-distortion optimised quantisation: a symbol becomes one smaller where that saves more bits
than the error is worth, as encoders of H.264 and HEVC do (RDOQ).

The prices are those of the scale prior for the symbols as rounded; what is changed only makes
others cheaper. The linear transform is near enough to orthonormal for errors of symbols to add up.
"""

from functools import lru_cache

import torch
from torch import Tensor

from neuralcodec.model.code_length import laplace_bits
from neuralcodec.model.config import SCALES
from neuralcodec.model.distortion import CHROMA_WEIGHT, LUMA_WEIGHT
from neuralcodec.model.exact import exact_float32, log_magnitude
from neuralcodec.model.frame_step import FrameCoding
from neuralcodec.model.inter import InterCoder
from neuralcodec.model.intra import IntraCoder

# Times λ: other frames lean on what this one shows
INTRA_LEANING, INTER_LEANING = 2.5, 1.6


def linear_curvature(coder: IntraCoder | InterCoder, q: Tensor) -> Tensor:
    """Second derivative of the squared error of one block of 16x16, summed over its samples with
    the weights of `distortion` (in luma samples), by a symbol: (B, N, 1, 1)."""
    basis = coder.linear.inverse_basis.detach().float().flatten(1)
    energy = basis.unflatten(0, (96, 4)).square().sum(1)
    luma, chroma = energy[:64].sum(0), energy[64:].sum(0)
    # half as many chroma samples as luma samples
    weighted = LUMA_WEIGHT * luma + CHROMA_WEIGHT * 2 * chroma
    return 2 * weighted[None, :, None, None] * torch.exp(2 * coder.log_step(q))


def optimise_symbols(latent: Tensor, coding: FrameCoding) -> Tensor:
    """latent (B, N, h, w), in symbol units -> another, each symbol of which is that of the first or
    smaller by one. Gradients pass straight through."""
    with torch.no_grad():
        means, rounded = coding.quantise(latent)
        symbols = (rounded - means).round()
        indices = _indices(symbols, coding)
        leaning = INTRA_LEANING if coding.prediction is None else INTER_LEANING
        weight = leaning * coding.mse_lambda[:, None, None, None]
        bend = weight / 2 * linear_curvature(coding.coder, coding.q)
        saved = _bits_of_last_step(latent.device)[:, indices.long()]

        def choose(difference: Tensor) -> Tensor:
            size = difference.abs()
            symbol = size.round()
            more_error = bend * (2 * (size - symbol) + 1)  # of a symbol that is one smaller
            bits = torch.where(symbol == 1, saved[0], saved[1])
            return torch.where(bits > more_error, (symbol - 1).clamp(min=0), symbol) * torch.sign(
                difference
            )

        _, chosen = coding.quantise(latent, choose)
    return latent + (chosen - latent).detach()


def _indices(symbols: Tensor, coding: FrameCoding) -> Tensor:
    """Of scales, (B, N, h, w)."""
    side = coding.side_information(*symbols.shape[-2:])
    with exact_float32(symbols.device.type):
        magnitudes = log_magnitude(symbols.permute(0, 2, 3, 1), coding.log_table)
        return coding.prior.all_indices(side, magnitudes).permute(0, 3, 1, 2)


@lru_cache(maxsize=8)
def _bits_of_last_step(device: torch.device) -> Tensor:
    """(2, SCALES): how many more bits a symbol takes than one that is smaller by one, if it is 1,
    and if it is larger."""
    index = torch.arange(SCALES, dtype=torch.float64, device="cpu")
    bits = torch.stack([laplace_bits(torch.full_like(index, n), index) for n in range(4)])
    return torch.stack([bits[1] - bits[0], bits[3] - bits[2]]).float().to(device)
