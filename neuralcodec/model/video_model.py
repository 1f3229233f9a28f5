"""One model: all networks, assembled from a configuration, and one frame's way through them."""

import copy

import torch
from torch import Tensor, nn

from neuralcodec.model.config import ModelConfig
from neuralcodec.model.exact import ExactLayer, exact_float32, log_magnitude, log_magnitude_table
from neuralcodec.model.frame_step import BestFiltered, CodedStep, FrameCoding, Refine
from neuralcodec.model.inter import InterCoder
from neuralcodec.model.intra import IntraCoder
from neuralcodec.model.layers import Float32Pointwise
from neuralcodec.model.loop_filters import FILTER_GAIN
from neuralcodec.model.motion_prior import MotionPrior
from neuralcodec.model.recurrence import Recurrence, State
from neuralcodec.model.scale_prior import History, ScalePrior


class VideoModel(nn.Module):
    """Intra and inter transforms (float) and the priors of latent and motion (exact).

    Of frames of B items: planes y (B, 1, H, W) and uv (B, 2, H/2, W/2) in [0, 1], H and W multiples
    of 16, q (B,) in 0..63, motion (B, 5, H/8, W/8) as in `Recurrence`.
    """

    log_table: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.intra = IntraCoder(config)
        self.inter = InterCoder(config)
        self.intra_prior = ScalePrior(config, inter=False)
        self.inter_prior = ScalePrior(config, inter=True)
        self.motion_prior = MotionPrior(config)
        self.register_buffer("log_table", log_magnitude_table())
        self.float()  # whatever PyTorch's default is in this program

    def code_intra(
        self, y: Tensor, uv: Tensor, q: Tensor, refine: Refine | None = None
    ) -> CodedStep:
        """A frame that refers to none. With gradients where they are enabled, those of rounding
        passed straight through."""
        coding = FrameCoding(
            coder=self.intra,
            prior=self.intra_prior,
            log_table=self.log_table,
            q=q,
            show=lambda rounded: self.intra.synthesise(rounded, q),
        )
        return self._code(coding, self.intra.analyse(y, uv, q), refine)

    def code_inter(
        self,
        y: Tensor,
        uv: Tensor,
        q: Tensor,
        motion: Tensor,
        before: Recurrence,
        refine: Refine | None = None,
        filter_gain: float = FILTER_GAIN,
    ) -> CodedStep:
        """A frame that is predicted from `before`, which must have its history."""
        prediction = self.inter.predict(before.state, motion[:, 1:3], q)
        show = BestFiltered(self.inter, prediction, q, (y, uv), filter_gain)
        coding = FrameCoding(
            coder=self.inter,
            prior=self.inter_prior,
            log_table=self.log_table,
            q=q,
            show=show,
            prediction=prediction,
            before=before,
            motion=motion,
        )
        return self._code(coding, self.inter.analyse(y, uv, prediction, q), refine)

    def show_intra(self, symbols: Tensor, q: Tensor) -> Recurrence:
        """symbols (B, N, h, w) of a frame -> what `code_intra` left, up to the history and to the
        rounding of floats."""
        rounded = self.intra.means.restore(symbols, None, self.intra.gain(q))
        return _left(self.intra.synthesise(rounded, q), None, None)

    def show_inter(
        self, symbols: Tensor, q: Tensor, motion: Tensor, filtered: Tensor, before: Recurrence
    ) -> Recurrence:
        """The same of `code_inter`; filtered (B, 2): see `loop_filters.Filtered`."""
        prediction = self.inter.predict(before.state, motion[:, 1:3], q)
        rounded = self.inter.means.restore(symbols, prediction.side, self.inter.gain(q))
        return _left(self.inter.synthesise(rounded, prediction, q, filtered), motion, None)

    def _code(self, coding: FrameCoding, latent: Tensor, refine: Refine | None) -> CodedStep:
        if refine is not None:
            latent = refine(latent, coding)
        means, rounded = coding.quantise(latent)
        # NaNs of a diverged training step become 0 here; its loss reports them.
        symbols = torch.nan_to_num((rounded - means).detach().round())
        state = coding.show(rounded)
        with exact_float32(latent.device.type):
            magnitudes = log_magnitude(symbols.permute(0, 2, 3, 1), self.log_table)
        history = History.begin(magnitudes)
        if coding.before is not None:
            assert coding.before.history is not None
            history = coding.before.history.advance(magnitudes)
        return CodedStep(
            coding=coding,
            latent=latent,
            means=means,
            rounded=rounded,
            symbols=symbols,
            filtered=coding.show.filtered if isinstance(coding.show, BestFiltered) else None,
            recurrence=_left(state, coding.motion, history),
        )

    def exact_layers(self) -> list[ExactLayer]:
        return [m for m in self.modules() if isinstance(m, ExactLayer)]

    def with_fast_networks(self, precision: torch.dtype) -> "VideoModel":
        """A copy whose float networks have their weights in `precision`, to run under autocast.
        Linear transforms, quantiser steps, means and exact layers stay in float32."""
        fast = copy.deepcopy(self)
        for coder in (fast.intra, fast.inter):
            for module in coder.modules():
                if isinstance(module, nn.Conv2d) and not isinstance(module, Float32Pointwise):
                    module.to(precision)
        return fast


def _left(state: State, motion: Tensor | None, history: History | None) -> Recurrence:
    """Of a frame whose place among others is not known here."""
    batch = len(state.y)
    if motion is None:
        motion = state.y.new_zeros(batch, 5, *state.feature.shape[-2:])
    none = torch.zeros(batch, 2, dtype=torch.long, device=state.y.device)
    return Recurrence(state, motion, none[:, 0], none, history)
