"""Block motion search of the encoder, on luma.

Vectors are integers in quarter samples, one per 8x8 block. A full search at 1/8 and 1/4 resolution
gives candidates for 16x16 blocks; these are refined to half samples, handed to their four 8x8
blocks, and refined to quarter samples there. The cost is the mean of absolute differences over a
support somewhat larger than the block + λ * an estimate of the bits, in which a vector equal to a
neighbour's or to the temporal one is nearly free.

Everything is whole numbers: samples of 10 bit, bits in 16ths, λ. So kernels and the torch version
here, which GPUs run, find the same vectors of the same pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.encoder.motion.motion_levels import Level, TorchLevel, Windows, bit_table, corners
from neuralcodec.kernels.compiled import can_run
from neuralcodec.kernels.motion import full_search as full_search_kernels
from neuralcodec.kernels.motion import planes as plane_kernels
from neuralcodec.kernels.motion.planes import (
    BORDER,
    CURRENT_BORDER,
    FILTER_UNITS,
    FILTERS,
    MIDDLE_UNITS,
    PEAK,
)
from neuralcodec.kernels.motion.search import (
    BIT_UNITS,
    COARSE,
    COST_UNITS,
    FINE,
    THOROUGH,
    SearchLevel,
    Support,
)
from neuralcodec.kernels.parsing.motion_walk import VECTOR_LIMIT
from neuralcodec.model.motion_compensation import LOBES

# At 1/8 resolution, by how many frames away the reference is at least: ±48, ±96 samples. With ±192
# for 8 frames and more, `kitesurf` lost 0.8 dB.
EIGHTH_RANGES = {0: 6, 3: 12}
QUARTER_RANGE = 3  # ±12 samples
FULL, HALF, QUARTER = 4, 2, 1  # sizes of a step, in quarter samples
SIDEWAYS = ((1, 0), (-1, 0), (0, 1), (0, -1))
AROUND = (*SIDEWAYS, (1, 1), (1, -1), (-1, 1), (-1, -1))


@dataclass(frozen=True)
class SearchEffort:
    """quarter_samples: refine vectors beyond half samples. every_offer: offer each 8x8 block moves
    by whole samples and its neighbours' half-sample vectors too. thorough: compare all rows of 8x8
    blocks, not every second one of a wider support, and move vectors diagonally too. bit_price:
    what an estimated bit weighs; 1 for a field that is final."""

    quarter_samples: bool = True
    every_offer: bool = True
    thorough: bool = False
    bit_price: float = 1.0


NORMAL_SEARCH = SearchEffort()
THOROUGH_SEARCH = SearchEffort(thorough=True)


def bit_weights(mse_lambda: Tensor, bit_price: float | Tensor) -> Tensor:
    """λ for absolute errors from the λ of bpp + λ·MSE, by the usual square root (x264, HM): what a
    bit weighs, in 64ths of a sample's step of 10 bit summed over a block. (B,) -> (B,), int64."""
    weights = (0.75 * mse_lambda.double()).rsqrt() * bit_price
    return (weights * (PEAK * COST_UNITS // BIT_UNITS)).round().clamp(min=1).long()


def search_vectors(
    current: Tensor,
    reference: Tensor,
    last: Tensor,
    mse_lambda: Tensor,
    effort: SearchEffort = NORMAL_SEARCH,
    planes: Tensor | None = None,
    far: int = EIGHTH_RANGES[0],
    seen: Tensor | None = None,
) -> Tensor:
    """current, reference: luma (B, 1, H, W) in [0, 1], H and W multiples of 16; last: the temporal
    vectors (B, 2, H/8, W/8); mse_lambda (B,); planes: `padded_planes` of the reference,
    where they are there already; far: see `range_at`; seen (B, H/16, W/16, 2), int32: more vectors
    to begin with. Returns integers, shaped as `last`."""
    with torch.no_grad(), torch.autocast(current.device.type, enabled=False):
        planes = padded_planes(reference) if planes is None else planes
        samples = samples_of(current, CURRENT_BORDER)
        before = last.permute(0, 2, 3, 1).to(torch.int32)
        weights = bit_weights(mse_lambda, effort.bit_price)
        field = _search_coarse(samples, planes, weights, before, far, seen)
        fine = _level(samples, planes, weights, THOROUGH if effort.thorough else FINE)
        found = _search_fine(fine, field, before, effort)
        return found.permute(0, 3, 1, 2).float().contiguous()


def _level(samples: Tensor, planes: Tensor, weights: Tensor, support: Support) -> Level:
    """Of `samples_of` the current picture and `padded_planes` of the reference."""
    bits = bit_table(samples.device)
    if can_run(samples, planes):
        return SearchLevel(samples, planes, bits, weights, support, VECTOR_LIMIT)
    return TorchLevel(samples, planes, bits, weights, support)


def range_at(distance: int) -> int:
    """Steps of the search at 1/8 resolution, for a reference so many frames away."""
    return max(reach for least, reach in EIGHTH_RANGES.items() if abs(distance) >= least)


def _search_coarse(
    samples: Tensor,
    planes: Tensor,
    weights: Tensor,
    last: Tensor,
    reach: int,
    seen: Tensor | None,
) -> Tensor:
    """Half-sample vectors of 16x16 blocks, (B, H/16, W/16, 2)."""
    far = full_search(samples, planes, weights, 8, reach)
    near = full_search(samples, planes, weights, 4, QUARTER_RANGE)
    before = _to_steps(last[:, ::2, ::2], FULL)
    level = _level(samples, planes, weights, COARSE)
    level.begin(torch.zeros_like(far))
    offered = [far, near, before]
    if seen is not None:
        offered.append(_to_steps(seen, FULL))
    level.offer(offered)
    level.offer(neighbours=1)
    level.offer(moves=AROUND, step=FULL, before=before)
    level.offer(neighbours=1)
    level.offer(moves=AROUND, step=HALF, before=before)
    return level.best


def _search_fine(level: Level, field: Tensor, last: Tensor, effort: SearchEffort) -> Tensor:
    """Quarter-sample vectors of 8x8 blocks, (B, H/8, W/8, 2)."""
    moves = AROUND if effort.thorough else SIDEWAYS
    level.begin(field.repeat_interleave(2, 1).repeat_interleave(2, 2))
    before = _to_steps(last, HALF)
    level.offer([torch.zeros_like(before), before], neighbours=2, before=before)
    if effort.every_offer:
        level.offer(moves=SIDEWAYS, step=FULL, before=before)
    level.offer(moves=moves, step=HALF, before=before)
    if effort.every_offer:
        level.offer(neighbours=1, before=before)
    if effort.quarter_samples:
        level.offer(moves=moves, step=QUARTER, before=last)
        level.offer([last], neighbours=1, before=last)
    return level.best


def full_search(samples: Tensor, planes: Tensor, weights: Tensor, scale: int, reach: int) -> Tensor:
    """Best vector per 16x16 block, int32 (B, h, w, 2), over all offsets at 1/scale resolution."""
    prices = bit_table(samples.device)
    if can_run(samples, planes):
        return full_search_kernels.full_search(samples, planes, prices, weights, scale, reach)
    small = F.avg_pool2d(_within(samples, CURRENT_BORDER), scale, divisor_override=1)
    other = F.avg_pool2d(_within(planes[:, 0], BORDER), scale, divisor_override=1)
    other = F.pad(other, (reach,) * 4, mode="replicate")
    height, width = small.shape[-2:]
    side = 2 * reach + 1
    shifted = other[:, 0].unfold(1, height, 1).unfold(2, width, 1)
    errors = (shifted - small[:, :, None]).abs_().reshape(-1, side * side, height, width)
    block = COARSE.block // scale
    padded = F.pad(errors, (1,) * 4, mode="replicate")
    sums = F.avg_pool2d(padded, block + 2, stride=block, divisor_override=1).long()
    steps = torch.arange(-reach, reach + 1, device=small.device) * (FULL * scale)
    offsets = torch.stack([steps.repeat(side), steps.repeat_interleave(side)], -1)
    compared = (scale * (block + 2)) ** 2
    price = prices[offsets.abs()].sum(-1)[None] * weights[:, None] * compared
    costs = sums * (COARSE.block**2 * COST_UNITS) + price[..., None, None]
    return offsets.to(torch.int32)[costs.argmin(1)]


def predicted_blocks(planes: Tensor, vectors: Tensor) -> Tensor:
    """What vectors (B, 2, H/8, W/8) in a reference, given as `padded_planes`, predict: (B, H, W),
    int16."""
    if can_run(planes, vectors):
        return plane_kernels.predicted_blocks(planes, vectors, FINE.block)
    support = Support(FINE.block, FINE.block, 1)
    height, width = (side - 2 * BORDER for side in planes.shape[2:])
    origin = corners(height, width, support.block, planes.device)
    item = torch.arange(len(planes), device=planes.device)[:, None, None]
    windows = Windows(planes, support).at(vectors.permute(0, 2, 3, 1), origin, item)
    return windows.permute(0, 1, 3, 2, 4).reshape(-1, height, width)


def refine_opposite(
    current: Tensor,
    predicted: Tensor,
    planes: Tensor,
    vectors: Tensor,
    offered: Sequence[Tensor],
    mse_lambda: Tensor,
    bit_price: float,
) -> Tensor:
    """Vectors (B, 2, H/8, W/8) in one reference, given as `padded_planes`, so that the mean of what
    they predict and of what the other one does comes near the current luma (B, 1, H, W).
    predicted: `predicted_blocks` of the other reference; offered: more vectors to begin with."""
    with torch.no_grad(), torch.autocast(current.device.type, enabled=False):
        border = CURRENT_BORDER
        other = F.pad(predicted[:, None].float(), (border,) * 4, mode="replicate")[:, 0]
        samples = (2 * samples_of(current, border) - other).to(torch.int16)
        weights = 2 * bit_weights(mse_lambda, bit_price)  # errors are twice those of the mean
        level = _level(samples, planes, weights, THOROUGH)
        level.begin(_rows(vectors))
        before = _rows(offered[0])
        level.offer([_rows(field) for field in offered], neighbours=1, before=before)
        level.offer(moves=SIDEWAYS, step=HALF, before=before)
        level.offer(moves=AROUND, step=QUARTER, before=before)
        return level.best.permute(0, 3, 1, 2).float().contiguous()


def _rows(field: Tensor) -> Tensor:
    """(B, 2, h, w) -> (B, h, w, 2), int32."""
    return field.permute(0, 2, 3, 1).to(torch.int32).contiguous()


def _within(samples: Tensor, border: int) -> Tensor:
    """(B, rows, columns) without the border: (B, 1, H, W), float32."""
    return samples[:, None, border:-border, border:-border].float()


def samples_of(picture: Tensor, border: int) -> Tensor:
    """Luma (B, 1, H, W) in [0, 1] in steps of 10 bit, its edges repeated around it: int16
    (B, H + 2 border, W + 2 border)."""
    if can_run(picture):
        return plane_kernels.samples_of(picture, border)
    samples = (picture.float() * PEAK).clamp(0, PEAK).round()
    return F.pad(samples, (border,) * 4, mode="replicate")[:, 0].to(torch.int16)


def padded_planes(reference: Tensor) -> Tensor:
    """(B, 1, H, W) -> (B, 16, H + 2 BORDER, W + 2 BORDER), int16: what windows are taken from.
    Plane 4 y + x is the picture moved by x quarter samples to the left and y up, by the filter of
    motion compensation."""
    if can_run(reference):
        return plane_kernels.padded_planes(reference)
    padded = samples_of(reference, BORDER + LOBES).float()
    batch, height, width = padded.shape
    height, width = height - 2 * LOBES, width - 2 * LOBES
    planes = padded.new_empty(batch, FULL, FULL, height, width, dtype=torch.int16)
    for x, across in enumerate(FILTERS):
        moved = (_filtered(padded, 2, across) * (MIDDLE_UNITS / FILTER_UNITS) + 0.5).floor()
        for y, down in enumerate(FILTERS):
            units = _filtered(moved, 1, down)
            planes[:, y, x] = (units / (MIDDLE_UNITS * FILTER_UNITS) + 0.5).floor()
    return planes.flatten(1, 2)


def _filtered(plane: Tensor, dim: int, weights: tuple[int, ...]) -> Tensor:
    """Shorter by LOBES samples at both ends of dim."""
    size = plane.shape[dim] - 2 * LOBES
    total = torch.zeros_like(plane.narrow(dim, 0, size))
    for tap, weight in enumerate(weights):
        total.add_(plane.narrow(dim, 1 + tap, size), alpha=weight)
    return total


def _to_steps(vectors: Tensor, step: int) -> Tensor:
    return (vectors + step // 2) & -step
