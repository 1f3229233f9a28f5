"""What decoded pictures go through before they are shown and referred to."""

import math
from dataclasses import dataclass
from enum import IntEnum

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralcodec.kernels.compiled import can_run
from neuralcodec.kernels.pixels import blending as kernels
from neuralcodec.model.deblocking import DeblockingFilter
from neuralcodec.model.layers import QualityVector
from neuralcodec.model.smoothing import SmoothingFilter

LUMA = 64  # samples of a token; the others are chroma
CHANGE = 0.5 / 255  # mean absolute change from which on a block is filtered in full, to begin with


class Filtered(IntEnum):
    """Which blocks of a plane of an inter frame are filtered."""

    NONE = 0
    CHANGED = 1  # after prediction
    ALL = 2


@dataclass(frozen=True)
class FilteredPlane:
    """A plane of an inter frame in each way of `Filtered`.

    plain, filtered: (B, C, H, W); changed (B, 1, H/8, W/8), 0 to 1: how much blocks were changed
    after prediction, and how much of a filter they take if only those are filtered."""

    plain: Tensor
    filtered: Tensor
    changed: Tensor

    def shown(self, way: Tensor) -> Tensor:
        """The plane as `way` (B,) says of each item."""
        way = way.view(-1, 1, 1, 1)
        share = torch.where(way == Filtered.CHANGED, self.changed, (way == Filtered.ALL).float())
        return blended(self.plain, self.filtered, share)

    @torch.no_grad()
    def errors(self, source: Tensor) -> Tensor:
        """Mean squared error of each way, (3, B)."""
        if can_run(source) and self.plain.dtype == torch.float32:
            return kernels.squared_errors(self.plain, self.filtered, self.changed, source)
        return self.reference_errors(source)

    def reference_errors(self, source: Tensor) -> Tensor:
        """The same by tensor operations."""
        changed = reference_blended(self.plain, self.filtered, self.changed)
        ways = torch.stack([self.plain, changed, self.filtered])
        return (ways - source).square().mean((2, 3, 4))


# What a filter must take off the squared error of a frame at least: later ones inherit what it
# smooths away, which this error does not tell.
FILTER_GAIN = 0.005


class LoopFilters(nn.Module):
    """Networks at 1/8 resolution see blocks; these see samples."""

    def __init__(self, channels: int, anchors: int) -> None:
        super().__init__()
        self.deblocking = DeblockingFilter(anchors)
        self.smoothing = SmoothingFilter(channels, anchors)

    def forward(self, y: Tensor, uv: Tensor, feature: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        """Planes as in `State`, the feature that the picture was made of, q (B,)."""
        y, uv = self.deblocking(y, uv, q)
        filtered: tuple[Tensor, Tensor] = self.smoothing(y, uv, feature, q)
        return filtered


class InterLoopFilters(LoopFilters):
    """The same, by default where a block was changed after prediction.

    What is predicted has been filtered before, often at the higher quality of an intra frame. What
    stands still would be filtered once a frame, and its texture would be gone after a few:
    filtering the blocks around a changed one too made a still scene 5 % larger over 32 frames.
    A frame may say otherwise (`Filtered`).
    """

    def __init__(self, channels: int, anchors: int) -> None:
        super().__init__(channels, anchors)
        self.log_changes = QualityVector(2, anchors)  # of luma and chroma
        nn.init.constant_(self.log_changes.anchors, math.log(CHANGE))

    def all_ways(
        self, y: Tensor, uv: Tensor, change: Tensor, feature: Tensor, q: Tensor
    ) -> tuple[FilteredPlane, FilteredPlane]:
        """Luma and chroma.

        change: tokens (B, 96, H/8, W/8), what was added to the prediction; the others as for
        `forward`."""
        limits = self.log_changes(q).exp()
        filtered_y, filtered_uv = self(y, uv, feature, q)
        return (
            FilteredPlane(y, filtered_y, _changed(change[:, :LUMA], limits[:, :1])),
            FilteredPlane(uv, filtered_uv, _changed(change[:, LUMA:], limits[:, 1:])),
        )


def choose_filtered(
    ways: tuple[FilteredPlane, FilteredPlane],
    y: Tensor,
    uv: Tensor,
    least_gain: float = FILTER_GAIN,
) -> Tensor:
    """The best `Filtered` of luma and of chroma for the source y, uv: (B, 2)."""
    errors = torch.stack([ways[0].errors(y), ways[1].errors(uv)], 2)
    errors[Filtered.CHANGED :] *= 1 + least_gain
    return errors.argmin(0)


def pick_filtered(
    ways: tuple[FilteredPlane, FilteredPlane], chosen: Tensor
) -> tuple[Tensor, Tensor]:
    """The planes that `chosen` (B, 2) names."""
    return ways[0].shown(chosen[:, 0]), ways[1].shown(chosen[:, 1])


def blended(plain: Tensor, filtered: Tensor, share: Tensor) -> Tensor:
    """Planes (B, C, H, W); share of `filtered` (B, 1, H/side, W/side) of each block."""
    if can_run(plain, filtered) and plain.dtype == filtered.dtype == torch.float32:
        return kernels.blended(plain, filtered, share)
    return reference_blended(plain, filtered, share)


def reference_blended(plain: Tensor, filtered: Tensor, share: Tensor) -> Tensor:
    """The same by tensor operations."""
    side = plain.shape[-1] // share.shape[-1]
    return torch.lerp(plain, filtered, F.interpolate(share, scale_factor=side))


def _changed(change: Tensor, limit: Tensor) -> Tensor:
    """(B, 1, H/8, W/8), 0 to 1."""
    return (change.abs().mean(1, keepdim=True) / limit).clamp(max=1)
