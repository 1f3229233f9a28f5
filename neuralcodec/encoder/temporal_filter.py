"""Temporal filtering of the frames that others lean on, along their motion, before they are coded.

What differs from frame to frame without moving, noise above all, costs bits in an anchor and helps
to predict none. Each such frame becomes the weighted mean of itself and of its neighbours, moved to
where it is: as the GOP-based temporal filter of VTM (JVET-O0549) and the ALT-REF frames of SVT-AV1
do it. A neighbour's weight falls with the error that its prediction leaves around a sample and in
the sample's block, measured by what the quality asked for makes of errors anyway.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.encoder.motion.motion_search import THOROUGH_SEARCH, range_at, search_vectors
from neuralcodec.model.config import QUALITIES, VECTOR_BLOCK
from neuralcodec.model.motion_compensation import warp_planes
from neuralcodec.video import Frame

Planes = tuple[Tensor, Tensor]  # y (1, 1, H, W), uv (1, 2, H/2, W/2) in [0, 1]

RADIUS = 4  # frames before and after that are looked at
# The weight of a neighbour that fits exactly, where the frame itself has 1: by the size of its
# mini-GOP and its level; of an intra frame, by the size of the mini-GOP after it. The more lean on
# a frame, the more; chains of P-frames would be smeared (docs/decisions/009-temporal-filter.md).
STRENGTHS: dict[int, tuple[float, ...]] = {2: (0.6,), 4: (0.8,), 8: (0.8, 0.3), 16: (0.8, 0.3)}
INTRA_STRENGTHS = {1: 0.2, 2: 0.6, 4: 1.2, 8: 1.2, 16: 1.2}
LOW_DELAY_STRENGTH = 0.25  # of frames of higher quality, which have neighbours in the past alone
BY_DISTANCE = {1: 1.0, 2: 0.8, 3: 0.6, 4: 0.5}  # of this
IN_CHROMA = 0.6
# Root mean squared error, in 8-bit steps, at which a weight has fallen to exp(-1/2): at the lowest
# and at the highest quality that can be asked for
ERROR_AT_WORST, ERROR_AT_BEST = 18.0, 4.5
WINDOW = 5  # samples of luma around each, across which errors are averaged
CHROMA_WINDOW = 3
SEARCH_LAMBDA = 3000.0  # vectors cost nothing here: enough to keep them smooth


@dataclass(frozen=True)
class Neighbours:
    """What a frame is to be filtered with. frames: by how many frames later they are shown,
    -RADIUS..RADIUS; strength: the weight of one that is near and fits exactly."""

    frames: Mapping[int, Frame]
    strength: float


def strength_at(size: int, level: int) -> float:
    """Of a frame in a mini-GOP of so many frames."""
    strengths = STRENGTHS.get(size, ())
    return strengths[level] if level < len(strengths) else 0.0


def filtered(
    frame: Planes, q: float, neighbours: Iterable[tuple[int, Planes]], strength: float
) -> Planes:
    """neighbours: with by how many frames later they are shown; the rest as in `Neighbours`."""
    y, uv = frame
    error = ERROR_AT_WORST * (ERROR_AT_BEST / ERROR_AT_WORST) ** (q / (QUALITIES - 1))
    fall = 2 * (error / 255) ** 2
    sums, totals = [y.clone(), uv.clone()], [torch.ones_like(y), torch.ones_like(uv)]
    for later, neighbour in neighbours:
        moved = _moved(y, neighbour)
        errors = (moved[0] - y).square()
        of_blocks = F.interpolate(F.avg_pool2d(errors, VECTOR_BLOCK), scale_factor=VECTOR_BLOCK)
        errors = (_around(errors, WINDOW) + of_blocks) / 2
        luma = strength * BY_DISTANCE[abs(later)] * torch.exp(-errors / fall)
        errors = _around((moved[1] - uv).square(), CHROMA_WINDOW)
        chroma = IN_CHROMA * F.avg_pool2d(luma, 2) * torch.exp(-errors / fall)
        for plane, weight in enumerate((luma, chroma)):
            sums[plane] += weight * moved[plane]
            totals[plane] += weight
    return sums[0] / totals[0], sums[1] / totals[1]


def _moved(y: Tensor, neighbour: Planes) -> Planes:
    """A neighbour as it would be at the time of luma y."""
    height, width = (side // VECTOR_BLOCK for side in y.shape[-2:])
    still = y.new_zeros(1, 2, height, width)
    mse_lambda = y.new_tensor([SEARCH_LAMBDA])
    reach = range_at(RADIUS)
    vectors = search_vectors(y, neighbour[0], still, mse_lambda, THOROUGH_SEARCH, far=reach)
    return warp_planes(*neighbour, vectors)


def _around(errors: Tensor, window: int) -> Tensor:
    """Means over squares around each sample."""
    padded = F.pad(errors, (window // 2,) * 4, mode="replicate")
    return F.avg_pool2d(padded, window, stride=1)
