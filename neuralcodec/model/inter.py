"""Inter frames: planes <-> latent, given two motion-compensated frames, which may be the same.

The recurrent predictor: the feature maps of both references, warped, and the planes predicted from
them, block by block from one or from their mean, give a context; the context corrects the predicted
picture, conditions analysis and synthesis, and predicts the means of the latent. The synthesis
leaves the feature map for frames to come. P-frames, B-frames and frames of low delay are coded by
the same weights, which know the level of a frame and how far its references are.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralcodec.model.config import BLOCK, VECTOR_BLOCK, ModelConfig
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
from neuralcodec.model.motion_values import FIRST, SECOND
from neuralcodec.model.recurrence import MIDDLE, PICTURE_RANGE, State
from neuralcodec.references import HIGHEST_LEVEL


@dataclass(frozen=True)
class Prediction:
    """What is known of a frame before its latent."""

    tokens: Tensor  # (B, 96, H/8, W/8)
    context: Tensor  # (B, C, H/8, W/8)
    side: Tensor  # (B, C + N, H/16, W/16): input of the mean networks
    still: State  # the frame if nothing were sent and nothing changed


@dataclass(frozen=True)
class Referred:
    """What a frame is predicted from, and from how far. states: of both references, the same object
    where they are one frame; level (B,); distances (B, 2): how much later the frame is shown than
    each of them, in frames, negative where it comes before."""

    states: tuple[State, State]
    level: Tensor
    distances: Tensor


class PlaceVector(nn.Module):
    """What is added to the context for the place of a frame among others."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.levels = nn.Parameter(torch.zeros(HIGHEST_LEVEL + 1, channels, dtype=torch.float32))
        self.distances = nn.Parameter(torch.zeros(4, channels, dtype=torch.float32))

    def forward(self, refer: Referred) -> Tensor:
        """(B, channels, 1, 1)."""
        away = refer.distances.float()
        octaves = away.sign() * (1 + away.abs()).log2()
        is_before = (away[:, 1:] < 0).float()
        is_single = (away[:, :1] == away[:, 1:]).float()
        known = torch.cat([octaves, is_before, is_single], 1)
        found: Tensor = self.levels[refer.level] + known @ self.distances
        return found[:, :, None, None]


class InterCoder(nn.Module):
    """y = T(t - p) + small(blocks(t, p, context)); picture = p + T'(y) + head(feature).

    T: a linear transform."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c, n, anchors = config.channels, config.latents, config.quality_anchors
        self.linear = LinearTransform(n)
        self.gather = Pointwise(96 + c + 4, c)
        self.gather_second = Pointwise(96 + 96 + c + 2 + 4, c, bias=False)
        self.place = PlaceVector(c)
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

    def predict(self, refer: Referred, motion: Tensor, q: Tensor) -> Prediction:
        """motion (B, 5, H/8, W/8): see `recurrence.Recurrence`; q (B,)."""
        first, second = refer.states
        of_first, of_second = motion[:, 1:3], motion[:, 3:5]
        halves = halves_of_first(motion)
        y, uv = warp_planes(first.y, first.uv, of_first, halves)
        feature, latent = warp_feature(first.feature, of_first), first.latent
        if second is not first:
            from_second = warp_planes(second.y, second.uv, of_second, 2 - halves)
            contrast = _contrast((y, uv), from_second, halves)
            y, uv = y + from_second[0], uv + from_second[1]
            share = halves / 2
            other = warp_feature(second.feature, of_second)
            both = 4 * share * (1 - share)
            unlike = both * (feature - other)
            feature = share * feature + (1 - share) * other
            latent = _mean_latent(share, first.latent, second.latent)
        warped = planes_to_tokens(y, uv)
        gathered = self.gather(warped - MIDDLE, feature, _scaled(of_first))
        if second is not first:
            # All zero in frames that refer to one alone, which may be in the same batch
            differing = torch.cat([contrast, contrast.abs()], 1)
            used = torch.cat([1 - share, both, _scaled(of_second)], 1)
            gathered = self.gather_second(differing, unlike, used, plus=gathered.float())
        bias = self.context_bias(q) + self.place(refer)
        context: Tensor = self.context(gathered + bias.to(gathered.dtype))
        tokens: Tensor = self.correct(context, plus=warped)
        side = torch.cat([self.summary(context).float(), latent], 1)
        # Interpolated again and again where all is skipped: no picture may run away
        planes = bounded(y, *PICTURE_RANGE), bounded(uv, *PICTURE_RANGE)
        still = State(*planes, feature, torch.zeros_like(latent))
        return Prediction(tokens, context, side, still)

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


def halves_of_first(motion: Tensor) -> Tensor:
    """How many halves of its prediction each block has from the first reference, (B, 1, h, w)."""
    which = motion[:, :1]
    return torch.where(which == FIRST, 2.0, torch.where(which == SECOND, 0.0, 1.0))


def _scaled(vectors: Tensor) -> Tensor:
    motion = vectors / (QUARTER * BLOCK)
    return torch.cat([motion, motion.abs()], 1)


def _contrast(
    from_first: tuple[Tensor, Tensor], from_second: tuple[Tensor, Tensor], halves: Tensor
) -> Tensor:
    """Where blocks are the mean of both, how the references differ, as tokens: large where
    something is hidden in one of them. Planes of each as `warp_planes` gave them."""
    parts = []
    for first, second, scale in zip(
        from_first, from_second, (VECTOR_BLOCK, VECTOR_BLOCK // 2), strict=True
    ):
        share = F.interpolate(halves / 2, scale_factor=scale, mode="bilinear")
        parts.append(4 * torch.lerp(first, -second, share))
    return planes_to_tokens(*parts)


def _mean_latent(share: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """share (B, 1, H/8, W/8) of the first."""
    return torch.lerp(second, first, F.avg_pool2d(share, 2))
