"""Inter frames: planes <-> latent, given the motion-compensated past.

The recurrent predictor: the feature map of the last frame, warped, and the warped planes give a
context; the context corrects the warped picture, conditions analysis and synthesis, and predicts
the means of the latent. The synthesis leaves the next feature map.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from neuralcodec.model.config import BLOCK, ModelConfig
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
from neuralcodec.model.loop_filters import (
    FILTER_GAIN,
    InterLoopFilters,
    choose_filtered,
    pick_filtered,
)
from neuralcodec.model.motion_compensation import QUARTER, warp_feature, warp_planes
from neuralcodec.model.recurrence import MIDDLE, PICTURE_RANGE, State


@dataclass(frozen=True)
class Prediction:
    """What is known of a frame before its latent."""

    tokens: Tensor  # (B, 96, H/8, W/8)
    context: Tensor  # (B, C, H/8, W/8)
    side: Tensor  # (B, C + N, H/16, W/16): input of the mean networks


class InterCoder(nn.Module):
    """y = T(t - p) + small(blocks(t, p, context)); picture = p + T'(y) + head(feature).

    T: a linear transform."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c, n, anchors = config.channels, config.latents, config.quality_anchors
        self.linear = LinearTransform(n)
        self.gather = Pointwise(96 + c + 4, c)
        self.context_bias = QualityVector(c, anchors)
        self.context = blocks(c, config.context_blocks)
        self.correct = Pointwise(c, 96)
        self.analysis = nn.Sequential(
            Pointwise(96 + 96 + c, c),
            *blocks(c, config.inter_analysis_blocks),
            Downsample(c, n),
        )
        self.expand = Upsample(n, c)
        self.fuse = Pointwise(2 * c, c)
        self.synthesis = blocks(c, config.inter_synthesis_blocks)
        self.head = Pointwise(c, 96)
        self.log_gain = QualityVector(n, anchors)
        self.log_step = QualityVector(n, anchors)
        self.filters = InterLoopFilters(c, anchors)
        self.summary = Downsample(c, c)
        self.means = LatentMeans(n, c + n, c)

    def predict(self, state: State, vectors: Tensor, q: Tensor) -> Prediction:
        """vectors (B, 2, H/8, W/8) in quarter samples, q (B,)."""
        y, uv = warp_planes(state.y, state.uv, vectors)
        warped = planes_to_tokens(y, uv)
        feature = warp_feature(state.feature, vectors)
        motion = vectors / (QUARTER * BLOCK)
        motion = torch.cat([motion, motion.abs()], 1)
        gathered = self.gather(warped - MIDDLE, feature, motion)
        context: Tensor = self.context(gathered + self.context_bias(q).to(gathered.dtype))
        tokens: Tensor = self.correct(context, plus=warped)
        side = torch.cat([self.summary(context).float(), state.latent], 1)
        return Prediction(tokens, context, side)

    def analyse(self, y: Tensor, uv: Tensor, prediction: Prediction, q: Tensor) -> Tensor:
        """Planes of the frame -> latent (B, N, H/16, W/16) in symbol units."""
        tokens, predicted = planes_to_tokens(y, uv), prediction.tokens
        seen = torch.cat([tokens - MIDDLE, predicted - MIDDLE, prediction.context], 1)
        detail: Tensor = self.analysis(seen)
        return (self.linear.analyse(tokens - predicted) + detail.float()) * self.gain(q)

    def synthesise(
        self, rounded: Tensor, prediction: Prediction, q: Tensor, filtered: Tensor
    ) -> State:
        """Rounded latent -> the frame, as the state for the next.

        filtered (B, 2): `Filtered` of luma and of chroma."""
        shown, change = self._unfiltered(rounded, prediction, q)
        if not filtered.any():
            return shown
        ways = self.filters.all_ways(shown.y, shown.uv, change, shown.feature, q)
        y, uv = pick_filtered(ways, filtered)
        return replace(shown, y=y, uv=uv)

    def synthesise_best(
        self,
        rounded: Tensor,
        prediction: Prediction,
        q: Tensor,
        y: Tensor,
        uv: Tensor,
        least_gain: float = FILTER_GAIN,
    ) -> tuple[State, Tensor]:
        """The same, filtered in the way that is best for the source y, uv; and what to give
        `synthesise` as `filtered` to have that again."""
        shown, change = self._unfiltered(rounded, prediction, q)
        ways = self.filters.all_ways(shown.y, shown.uv, change, shown.feature, q)
        filtered = choose_filtered(ways, y, uv, least_gain)
        best_y, best_uv = pick_filtered(ways, filtered)
        return replace(shown, y=best_y, uv=best_uv), filtered

    def _unfiltered(
        self, rounded: Tensor, prediction: Prediction, q: Tensor
    ) -> tuple[State, Tensor]:
        """And the tokens that were added to the prediction."""
        latent = rounded * self.log_step(q).exp()
        feature = self.synthesis(self.fuse(self.expand(latent), prediction.context))
        change: Tensor = self.head(feature, plus=self.linear.synthesise(latent))
        y, uv = tokens_to_planes(bounded(prediction.tokens + change, *PICTURE_RANGE))
        return State(y, uv, feature, latent), change

    def gain(self, q: Tensor) -> Tensor:
        """Symbol units per latent unit, (B, N, 1, 1)."""
        return torch.exp(self.log_gain(q))
