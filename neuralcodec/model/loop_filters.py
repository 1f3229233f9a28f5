"""What decoded pictures go through before they are shown and referred to."""

from torch import Tensor, nn

from neuralcodec.model.deblocking import DeblockingFilter
from neuralcodec.model.smoothing import SmoothingFilter


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
