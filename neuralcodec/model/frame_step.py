"""One frame's way through the networks: what encoder and trainer share."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from neuralcodec.model.exact import exact_float32
from neuralcodec.model.inter import InterCoder, Prediction
from neuralcodec.model.intra import IntraCoder
from neuralcodec.model.recurrence import Recurrence, State
from neuralcodec.model.scale_prior import ScalePrior


@dataclass(frozen=True, kw_only=True)
class FrameCoding:
    """How a latent of one frame becomes symbols, bits and a picture, given what it refers to.

    show: rounded latent (B, N, h, w) -> the frame. The last three are None for an intra frame.
    """

    coder: IntraCoder | InterCoder
    prior: ScalePrior
    log_table: Tensor
    q: Tensor  # (B,)
    show: Callable[[Tensor], State]
    prediction: Prediction | None = None
    before: Recurrence | None = None
    motion: Tensor | None = None

    def quantise(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """latent (B, N, h, w) in symbol units -> its means and the rounded latent: the symbols
        are their difference."""
        side = None if self.prediction is None else self.prediction.side
        return self.coder.means.quantise(latent, side, self.coder.gain(self.q))

    def side_information(self, rows: int, columns: int) -> Tensor:
        """What the scale prior sees beside the symbols of the frame, (B, rows, columns, ...)."""
        history = None if self.before is None else self.before.history
        vectors = None if self.motion is None else self.motion[:, 1:3]
        with exact_float32(self.q.device.type):
            return self.prior.side_information(
                self.q, (len(self.q), rows, columns), self.log_table, history, vectors
            )


@dataclass(frozen=True, kw_only=True)
class CodedStep:
    """A frame that has been coded; all latents are (B, N, h, w), in symbol units."""

    coding: FrameCoding
    latent: Tensor  # as it was before it was quantised
    means: Tensor
    rounded: Tensor
    symbols: Tensor  # whole numbers
    filtered: Tensor | None  # (B, 2), see `loop_filters.Filtered`; None in an intra frame
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
