"""What decoded pictures go through before they are shown and referred to."""

import math
from enum import IntEnum

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralcodec.model.deblocking import DeblockingFilter
from neuralcodec.model.layers import QualityVector
from neuralcodec.model.smoothing import TOKEN, SmoothingFilter

LUMA = 64  # samples of a token; the others are chroma
CHANGE = 0.5 / 255  # mean absolute change from which on a block is filtered in full, to begin with


class Filtered(IntEnum):
    """Which blocks of a plane of an inter frame are filtered."""

    NONE = 0
    CHANGED = 1  # after prediction
    ALL = 2


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
        """Planes as in `State`, the feature that the picture was made of, q (B,) in 0..63."""
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
    ) -> list[tuple[Tensor, Tensor]]:
        """The planes in each way of `Filtered`, in that order.

        change: tokens (B, 96, H/8, W/8), what was added to the prediction; the others as for
        `forward`."""
        limits = self.log_changes(q).exp()
        luma = _where_changed(change[:, :LUMA], limits[:, :1], TOKEN)
        chroma = _where_changed(change[:, LUMA:], limits[:, 1:], TOKEN // 2)
        all_y, all_uv = self(y, uv, feature, q)
        changed = torch.lerp(y, all_y, luma), torch.lerp(uv, all_uv, chroma)
        return [(y, uv), changed, (all_y, all_uv)]


def choose_filtered(
    ways: list[tuple[Tensor, Tensor]], y: Tensor, uv: Tensor, least_gain: float = FILTER_GAIN
) -> Tensor:
    """The best `Filtered` of luma and of chroma, (B, 2).

    ways: as `InterLoopFilters.all_ways` gives them; y, uv: the source."""
    errors = torch.stack([torch.stack([_error(way[0], y), _error(way[1], uv)], 1) for way in ways])
    errors[Filtered.CHANGED :] *= 1 + least_gain
    return errors.argmin(0)


def pick_filtered(ways: list[tuple[Tensor, Tensor]], chosen: Tensor) -> tuple[Tensor, Tensor]:
    """The planes that `chosen` (B, 2) names."""
    y, uv = ways[Filtered.NONE]
    luma, chroma = chosen[:, :, None, None, None].unbind(1)
    for way in (Filtered.CHANGED, Filtered.ALL):
        y, uv = (
            torch.where(luma == way, ways[way][0], y),
            torch.where(chroma == way, ways[way][1], uv),
        )
    return y, uv


def _error(plane: Tensor, source: Tensor) -> Tensor:
    return (plane - source).detach().square().mean((1, 2, 3))


def _where_changed(change: Tensor, limit: Tensor, side: int) -> Tensor:
    """(B, 1, H, W), 0 to 1: how much blocks of `side` samples were changed."""
    size = change.abs().mean(1, keepdim=True) / limit
    return F.interpolate(size.clamp(max=1), scale_factor=side)
