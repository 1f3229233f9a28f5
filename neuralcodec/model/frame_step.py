"""One frame's way through the networks: what encoder and trainer share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from neuralcodec.model.exact import exact_float32, log_magnitude, round_through
from neuralcodec.model.inter import InterCoder, Prediction, Referred
from neuralcodec.model.intra import IntraCoder
from neuralcodec.model.latent import Choose
from neuralcodec.model.recurrence import Recurrence, State
from neuralcodec.model.scale_prior import History, Past, ScalePrior
from neuralcodec.model.skip_prior import SkipContext, activity_of
from neuralcodec.references import Placement

# How much more errors weigh, since other frames lean on what one shows: of an intra frame, of inter
# frames by level
INTRA_LEANING, LEANING = 2.5, (4.0, 2.0, 1.4, 1.0)


def leaning_of(level: Tensor) -> Tensor:
    """(B,), of inter frames."""
    return _leanings(level.device)[level.clamp(max=len(LEANING) - 1)]


@lru_cache(maxsize=8)
def _leanings(device: torch.device) -> Tensor:
    return torch.tensor(LEANING, dtype=torch.float32, device=device)


@dataclass(frozen=True)
class FramePlace:
    """Of B frames: level (B,), and time (B,), the number in the GOP as shown; whole numbers."""

    level: Tensor
    time: Tensor

    @classmethod
    def of(cls, places: Sequence[Placement], device: torch.device) -> "FramePlace":
        level = torch.tensor([place.level for place in places], device=device)
        return cls(level, torch.tensor([place.shown for place in places], device=device))

    def refer(self, references: tuple[Recurrence, Recurrence]) -> Referred:
        first, second = references
        distances = torch.stack([self.time - first.time, self.time - second.time], 1)
        return Referred((first.state, second.state), self.level, distances)


@dataclass(frozen=True, kw_only=True)
class FrameCoding:
    """How a latent of one frame becomes symbols, bits and a picture, given what it refers to.

    show: rounded latent (B, N, h, w) -> the frame before any of it is skipped; source: planes y and
    uv. What follows is None for an intra frame; skipped (B, 2, h, w): where each reference was.
    """

    coder: IntraCoder | InterCoder
    prior: ScalePrior
    log_table: Tensor
    q: Tensor  # (B,)
    mse_lambda: Tensor  # (B,), of `distortion`
    show: Callable[[Tensor], State]
    source: tuple[Tensor, Tensor]
    prediction: Prediction | None = None
    refer: Referred | None = None
    motion: Tensor | None = None
    history: History | None = None
    skipped: Tensor | None = None

    def quantise(self, latent: Tensor, choose: Choose = round_through) -> tuple[Tensor, Tensor]:
        """latent (B, N, h, w) in symbol units -> its means and the rounded latent: the symbols
        are their difference. choose: see `LatentMeans.quantise`."""
        side = None if self.prediction is None else self.prediction.side
        return self.coder.means.quantise(latent, side, self.coder.gain(self.q), choose)

    @torch.no_grad()
    def symbols(self, latent: Tensor) -> Tensor:
        """Whole numbers, as the nearest ones to the latent in turn; 0 for NaN."""
        means, rounded = self.quantise(latent)
        return torch.nan_to_num((rounded - means).round())

    @torch.no_grad()
    def indices(self, symbols: Tensor) -> Tensor:
        """The scales that the prior gives to symbols (B, N, h, w) of the frame: of the same
        shape."""
        side = self.side_information(*symbols.shape[-2:])
        with exact_float32(symbols.device.type):
            magnitudes = log_magnitude(symbols.permute(0, 2, 3, 1), self.log_table)
            return self.prior.all_indices(side, magnitudes).permute(0, 3, 1, 2)

    @property
    def weight(self) -> Tensor:
        """What an error of the frame weighs, (B,): λ, and more where others lean on the frame."""
        if self.refer is None:
            return INTRA_LEANING * self.mse_lambda
        return leaning_of(self.refer.level) * self.mse_lambda

    def side_information(self, rows: int, columns: int) -> Tensor:
        """What the scale prior sees beside the symbols of the frame, (B, rows, columns, ...)."""
        shape = len(self.q), rows, columns
        with exact_float32(self.q.device.type):
            return self.prior.side_information(self.q, shape, self.log_table, self.past)

    @property
    def past(self) -> Past | None:
        """What the scale prior knows of other frames."""
        if self.history is None:
            return None
        assert self.motion is not None and self.refer is not None
        return Past(self.history, self.motion, self.refer.level, self.refer.distances)

    @property
    def skip_context(self) -> SkipContext:
        """What is known of an inter frame before its skipped positions."""
        past = self.past
        assert past is not None and self.skipped is not None
        activity = activity_of(past.history.last, past.history.mean)
        return SkipContext(self.q, past.motion, past.level, past.distances, activity, self.skipped)


@dataclass(frozen=True, kw_only=True)
class CodedStep:
    """A frame that has been coded; all latents are (B, N, h, w), in symbol units."""

    coding: FrameCoding
    latent: Tensor  # as it was before it was quantised
    means: Tensor
    rounded: Tensor
    symbols: Tensor  # whole numbers
    filtered: Tensor | None  # (B, 2), see `loop_filters.Filtered`; None in an intra frame
    skipped: Tensor  # (B, 1, h, w), see `skipping`
    recurrence: Recurrence


# A latent before it is quantised, and how it will be coded -> one that is coded better.
Refine = Callable[[Tensor, FrameCoding], Tensor]


class BestFiltered:
    """Rounded latent -> the frame: filtered as suits the source best the first time, and in the
    same way from then on, whatever becomes of the latent."""

    def __init__(
        self,
        inter: InterCoder,
        prediction: Prediction,
        q: Tensor,
        source: tuple[Tensor, Tensor],
        least_gain: float,
    ) -> None:
        """source: planes y and uv; least_gain: see `loop_filters.choose_filtered`."""
        self.inter, self.prediction, self.q = inter, prediction, q
        self.source, self.least_gain = source, least_gain
        self.filtered: Tensor | None = None

    def __call__(self, rounded: Tensor) -> State:
        if self.filtered is None:
            shown, self.filtered = self.inter.synthesise_best(
                rounded, self.prediction, self.q, *self.source, self.least_gain
            )
            return shown
        return self.inter.synthesise(rounded, self.prediction, self.q, self.filtered)
