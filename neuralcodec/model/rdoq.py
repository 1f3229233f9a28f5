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
from neuralcodec.model.frame_step import FrameCoding
from neuralcodec.model.inter import InterCoder
from neuralcodec.model.intra import IntraCoder
from neuralcodec.model.latent import Choose


def linear_curvature(coder: IntraCoder | InterCoder, q: Tensor) -> Tensor:
    """Second derivative of the squared error of one block of 16x16, summed over its samples with
    the weights of `distortion` (in luma samples), by a symbol: (B, N, 1, 1)."""
    basis = coder.linear.inverse_basis.detach().float().flatten(1)
    energy = basis.unflatten(0, (96, 4)).square().sum(1)
    luma, chroma = energy[:64].sum(0), energy[64:].sum(0)
    # half as many chroma samples as luma samples
    weighted = LUMA_WEIGHT * luma + CHROMA_WEIGHT * 2 * chroma
    return 2 * weighted[None, :, None, None] * torch.exp(2 * coder.log_step(q))


def cheaper_symbols(coding: FrameCoding, indices: Tensor) -> Choose:
    """To quantise a latent (B, N, h, w) with: each symbol is the nearest whole number or the one
    below it in size. indices: of scales, by which symbols are priced. Gradients pass straight
    through."""
    with torch.no_grad():
        weight = coding.weight[:, None, None, None]
        bend = weight / 2 * linear_curvature(coding.coder, coding.q)
        of_one, of_more = _bits_of_last_step(indices.device)[:, indices.long()]

    def choose(difference: Tensor) -> Tensor:
        with torch.no_grad():
            size = difference.abs()
            symbol = size.round()
            more_error = bend * (2 * (size - symbol) + 1)  # of a symbol that is one smaller
            saved = torch.where(symbol == 1, of_one, of_more)
            smaller = (symbol - 1).clamp(min=0)
            chosen = torch.where(saved > more_error, smaller, symbol) * difference.sign()
        return difference + (chosen - difference).detach() if difference.requires_grad else chosen

    return choose


@lru_cache(maxsize=8)
def _bits_of_last_step(device: torch.device) -> Tensor:
    """(2, SCALES): how many more bits a symbol takes than one that is smaller by one, if it is 1,
    and if it is larger."""
    index = torch.arange(SCALES, dtype=torch.float64, device="cpu")
    bits = torch.stack([laplace_bits(torch.full_like(index, n), index) for n in range(4)])
    return torch.stack([bits[1] - bits[0], bits[3] - bits[2]]).float().to(device)
