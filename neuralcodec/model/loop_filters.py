"""What decoded pictures go through before they are shown and referred to."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralcodec.model.deblocking import DeblockingFilter
from neuralcodec.model.layers import QualityVector
from neuralcodec.model.smoothing import TOKEN, SmoothingFilter

LUMA = 64  # samples of a token; the others are chroma
CHANGE = 0.5 / 255  # mean absolute change from which on a block is filtered in full, to begin with


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
    """The same, where a block was changed after prediction.

    What is predicted has been filtered before, often at the higher quality of an intra frame. What
    stands still would be filtered once a frame, and its texture would be gone after a few:
    filtering the blocks around a changed one too made a still scene 5 % larger over 32 frames.
    """

    def __init__(self, channels: int, anchors: int) -> None:
        super().__init__(channels, anchors)
        self.log_changes = QualityVector(2, anchors)  # of luma and chroma
        nn.init.constant_(self.log_changes.anchors, math.log(CHANGE))

    def filter_changes(
        self, y: Tensor, uv: Tensor, change: Tensor, feature: Tensor, q: Tensor
    ) -> tuple[Tensor, Tensor]:
        """change: tokens (B, 96, H/8, W/8), what was added to the prediction; the others as for
        `forward`."""
        limits = self.log_changes(q).exp()
        luma = _where_changed(change[:, :LUMA], limits[:, :1], TOKEN)
        chroma = _where_changed(change[:, LUMA:], limits[:, 1:], TOKEN // 2)
        filtered_y, filtered_uv = self(y, uv, feature, q)
        return torch.lerp(y, filtered_y, luma), torch.lerp(uv, filtered_uv, chroma)


def _where_changed(change: Tensor, limit: Tensor, side: int) -> Tensor:
    """(B, 1, H, W), 0 to 1: how much blocks of `side` samples were changed."""
    size = change.abs().mean(1, keepdim=True) / limit
    return F.interpolate(size.clamp(max=1), scale_factor=side)
