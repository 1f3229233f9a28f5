"""How an encoder shows an inter frame: with the loop filters that suit its source."""

from torch import Tensor

from neuralcodec.model.inter import InterCoder, Prediction
from neuralcodec.model.state import State


class BestFiltered:
    """Rounded latent -> the frame: filtered as suits the source best the first time, and in the
    same way from then on, whatever becomes of the latent."""

    def __init__(
        self, inter: InterCoder, prediction: Prediction, q: Tensor, y: Tensor, uv: Tensor
    ) -> None:
        self.inter, self.prediction, self.q, self.source = inter, prediction, q, (y, uv)
        self.filtered: Tensor | None = None

    def __call__(self, rounded: Tensor) -> State:
        if self.filtered is None:
            shown, self.filtered = self.inter.synthesise_best(
                rounded, self.prediction, self.q, *self.source
            )
            return shown
        return self.inter.synthesise(rounded, self.prediction, self.q, self.filtered)
