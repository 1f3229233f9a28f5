"""Intra frames: planes <-> latent without any reference."""

import torch
from torch import Tensor, nn

from neuralcodec.model.config import ModelConfig
from neuralcodec.model.latent import LatentMeans
from neuralcodec.model.layers import (
    Downsample,
    LinearTransform,
    Pointwise,
    QualityVector,
    Upsample,
    blocks,
    bounded,
    planes_to_tokens,
    tokens_to_planes,
)
from neuralcodec.model.loop_filters import LoopFilters
from neuralcodec.model.recurrence import MIDDLE, PICTURE_RANGE, State


class IntraCoder(nn.Module):
    """y = T(t) + small(blocks(t)); picture = T'(y) + head(feature), T a linear transform."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c, n, anchors = config.channels, config.latents, config.quality_anchors
        self.linear = LinearTransform(n)
        self.analysis = nn.Sequential(
            Pointwise(96, c),
            *blocks(c, config.intra_analysis_blocks),
            Downsample(c, n),
        )
        self.expand = Upsample(n, c)
        self.quality_bias = QualityVector(c, anchors)
        self.synthesis = blocks(c, config.intra_synthesis_blocks)
        self.head = Pointwise(c, 96)
        self.log_gain = QualityVector(n, anchors)
        self.log_step = QualityVector(n, anchors)
        self.filters = LoopFilters(c, anchors)
        self.means = LatentMeans(n, 0, c)

    def analyse(self, y: Tensor, uv: Tensor, q: Tensor) -> Tensor:
        """Planes (B, 1, H, W), (B, 2, H/2, W/2) in [0, 1], q (B,) -> latent (B, N, H/16, W/16)."""
        tokens = planes_to_tokens(y, uv) - MIDDLE
        detail: Tensor = self.analysis(tokens)
        return (self.linear.analyse(tokens) + detail.float()) * self.gain(q)

    def synthesise(self, rounded: Tensor, q: Tensor) -> State:
        """Rounded latent -> the frame, as the state for the next one."""
        latent = rounded * self.log_step(q).exp()
        feature = self.expand(latent)
        feature = feature + self.quality_bias(q).to(feature.dtype)
        feature = self.synthesis(feature)
        detail: Tensor = self.head(feature)
        tokens = self.linear.synthesise(latent) + detail.float() + MIDDLE
        y, uv = tokens_to_planes(bounded(tokens, *PICTURE_RANGE))
        y, uv = self.filters(y, uv, feature, q)
        return State(y, uv, feature, torch.zeros_like(latent))

    def gain(self, q: Tensor) -> Tensor:
        """Symbol units per latent unit, (B, N, 1, 1)."""
        return torch.exp(self.log_gain(q))
