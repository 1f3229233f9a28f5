"""Symbols and means to the rounded latent, in the two steps of `model.latent.LatentMeans.restore`,
which has the reference. All maps are channels-last: (B, h, w, N)."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from neuralcodec.kernels.compiled import compiled
from neuralcodec.kernels.strips import in_strips

_MAPS = "float32[:,:,:,::1]"


@compiled(f"void({_MAPS}, {_MAPS}, float32[:,::1], {_MAPS}, {_MAPS}, int64, int64)")
def _begin(
    symbols: Any, means: Any, scale: Any, known: Any, seen: Any, first: Any, end: Any
) -> None:
    """Of half of a checkerboard, zeros elsewhere. means: in latent units; scale (B, N)."""
    height, width, channels = symbols.shape[1:]
    for number in range(first, end):
        item, row = number // height, number % height
        for column in range(width):
            values, mean = symbols[item, row, column], means[item, row, column]
            result, unscaled = known[item, row, column], seen[item, row, column]
            for n in range(channels):
                total = values[n] + mean[n] * scale[item, n]
                total = total if (row + column + n) & 1 else np.float32(0)
                result[n] = total
                unscaled[n] = total / scale[item, n]


@compiled(f"void({_MAPS}, {_MAPS}, float32[:,::1], {_MAPS}, int64, int64)")
def _end(symbols: Any, means: Any, scale: Any, known: Any, first: Any, end: Any) -> None:
    """The other half."""
    height, width, channels = symbols.shape[1:]
    for number in range(first, end):
        item, row = number // height, number % height
        for column in range(width):
            values, mean = symbols[item, row, column], means[item, row, column]
            result = known[item, row, column]
            for n in range(channels):
                total = values[n] + mean[n] * scale[item, n]
                result[n] = result[n] if (row + column + n) & 1 else total


def _rows(maps: Tensor) -> Tensor:
    return maps.detach().permute(0, 2, 3, 1).contiguous()


def known_half(symbols: Tensor, means: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """symbols, means (B, N, h, w); scale (B, N, 1, 1), symbol units per latent unit. Gives the half
    that is known first, in symbol units and in latent units."""
    values, mean = _rows(symbols), _rows(means)
    known, seen = torch.empty_like(values), torch.empty_like(values)
    rows, factors = values.shape[0] * values.shape[1], scale.detach().flatten(1).contiguous()
    arrays = [part.numpy() for part in (values, mean, factors, known, seen)]
    in_strips(_begin, rows, *arrays, least=4)
    return known.permute(0, 3, 1, 2), seen.permute(0, 3, 1, 2)


def both_halves(symbols: Tensor, means: Tensor, scale: Tensor, known: Tensor) -> Tensor:
    """known: from `known_half`, and completed in place."""
    values, mean, result = _rows(symbols), _rows(means), _rows(known)
    rows, factors = values.shape[0] * values.shape[1], scale.detach().flatten(1).contiguous()
    arrays = [part.numpy() for part in (values, mean, factors, result)]
    in_strips(_end, rows, *arrays, least=4)
    return result.permute(0, 3, 1, 2)
