"""Two versions of a plane, blended by blocks; `model.loop_filters` has the reference."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.kernels.compiled import compiled, inlined
from neuralcodec.kernels.strips import in_strips

HALF, ONE = np.float32(0.5), np.float32(1)

Real = Any  # a float32


@inlined()
def between(one: Real, other: Real, share: Real) -> Real:
    """As `torch.lerp`: exact at both ends."""
    away = other - one
    return one + share * away if share < HALF else other - away * (ONE - share)


@inlined()
def spread(shares: np.ndarray, line: np.ndarray) -> None:
    """Each share over the samples of its block."""
    side = len(line) // len(shares)
    for n in range(len(shares)):
        for j in range(side):
            line[side * n + j] = shares[n]


@compiled(
    "void(float32[:,:,::1], float32[:,:,::1], float32[:,:,::1], float32[:,:,::1], intp, intp)"
)
def blend(
    ones: np.ndarray,
    others: np.ndarray,
    shares: np.ndarray,
    blended: np.ndarray,
    first: int,
    end: int,
) -> None:
    """Rows of blocks first..end - 1, counted over all planes; shares (B, rows, columns)."""
    count, height, width = ones.shape
    rows = shares.shape[1]
    side, channels = height // rows, count // len(shares)
    share = np.empty(width, np.float32)
    for number in range(first, end):
        plane, row = number // rows, number % rows
        spread(shares[plane // channels, row], share)
        for y in range(side * row, side * (row + 1)):
            one, other, result = ones[plane, y], others[plane, y], blended[plane, y]
            for x in range(width):
                result[x] = between(one[x], other[x], share[x])


@compiled(
    "void(float32[:,:,::1], float32[:,:,::1], float32[:,:,::1], float32[:,:,::1],"
    " float64[:,:,::1], intp, intp)",
    fastmath={"reassoc", "contract"},
)
def measure(
    ones: np.ndarray,
    others: np.ndarray,
    shares: np.ndarray,
    sources: np.ndarray,
    errors: np.ndarray,
    first: int,
    end: int,
) -> None:
    """errors (planes, rows of blocks, 3): squared errors of ones, blended planes and others."""
    count, height, width = ones.shape
    rows = shares.shape[1]
    side, channels = height // rows, count // len(shares)
    share = np.empty(width, np.float32)
    for number in range(first, end):
        plane, row = number // rows, number % rows
        spread(shares[plane // channels, row], share)
        for y in range(side * row, side * (row + 1)):
            one, other, source = ones[plane, y], others[plane, y], sources[plane, y]
            of_one, of_blended, of_other = np.float32(0), np.float32(0), np.float32(0)
            for x in range(width):
                error = one[x] - source[x]
                of_one += error * error
                error = between(one[x], other[x], share[x]) - source[x]
                of_blended += error * error
                error = other[x] - source[x]
                of_other += error * error
            errors[plane, row, 0] += of_one
            errors[plane, row, 1] += of_blended
            errors[plane, row, 2] += of_other


def _planes(*tensors: Tensor) -> tuple[np.ndarray, ...]:
    return tuple(tensor.detach().contiguous().flatten(0, 1).numpy() for tensor in tensors)


class _Blending(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ones: Tensor, others: Tensor, shares: Tensor) -> Tensor:
        ctx.save_for_backward(ones, others, shares)
        blended = torch.empty(ones.shape, dtype=torch.float32, device="cpu")
        known = _planes(ones, others, shares)
        rows = len(known[0]) * shares.shape[2]
        in_strips(blend, rows, *known, *_planes(blended), least=4)
        return blended

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        ones, others, shares = ctx.saved_tensors
        side = ones.shape[-1] // shares.shape[-1]
        of_others = gradient * F.interpolate(shares, scale_factor=side)
        of_samples = (gradient * (others - ones)).sum(1, keepdim=True)
        of_shares = F.avg_pool2d(of_samples, side, divisor_override=1)
        return gradient - of_others, of_others, of_shares


def blended(ones: Tensor, others: Tensor, shares: Tensor) -> Tensor:
    """Planes (B, C, H, W) of float32; shares of `others` (B, 1, rows, columns) of blocks."""
    result: Tensor = _Blending.apply(ones, others, shares)
    return result


def squared_errors(ones: Tensor, others: Tensor, shares: Tensor, source: Tensor) -> Tensor:
    """Means over an item: of `ones`, of what `blended` gives, and of `others`; (3, B)."""
    known = _planes(ones, others, shares, source)
    batch, channels, rows = len(ones), ones.shape[1], shares.shape[2]
    errors = torch.zeros(batch * channels, rows, 3, dtype=torch.float64, device="cpu")
    in_strips(measure, batch * channels * rows, *known, errors.numpy(), least=4)
    return (errors.view(batch, -1, 3).sum(1).T / ones[0].numel()).float()
