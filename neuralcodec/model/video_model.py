"""One model: all networks, assembled from a configuration, and one frame's way through them."""

import copy

import torch
from torch import Tensor, nn

from neuralcodec.model.coarse_means import CoarseMeans
from neuralcodec.model.config import ModelConfig
from neuralcodec.model.exact import (
    ExactLayer,
    exact_float32,
    log_magnitude,
    log_magnitude_table,
    round_through,
)
from neuralcodec.model.frame_step import BestFiltered, CodedStep, FrameCoding, FramePlace, Refine
from neuralcodec.model.inter import InterCoder
from neuralcodec.model.intra import IntraCoder
from neuralcodec.model.layers import Float32Pointwise
from neuralcodec.model.loop_filters import FILTER_GAIN
from neuralcodec.model.motion_prior import MotionPrior
from neuralcodec.model.rdoq import cheaper_symbols
from neuralcodec.model.recurrence import Recurrence, State
from neuralcodec.model.scale_prior import History, ScalePrior
from neuralcodec.model.skip_choice import choose_by_price, choose_skipped
from neuralcodec.model.skip_prior import SkipPrior
from neuralcodec.model.skipping import surely_none, with_skipped


class VideoModel(nn.Module):
    """Intra and inter transforms (float) and the priors of latent and motion (exact).

    Of frames of B items: planes y (B, 1, H, W) and uv (B, 2, H/2, W/2) in [0, 1], H and W multiples
    of 16, q (B,) in LOWEST_Q..HIGHEST_Q, motion (B, 5, H/8, W/8) as in `Recurrence`.
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
        self.skip_prior = SkipPrior()
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
            mse_lambda=self.config.quality_lambdas(q),
            show=lambda rounded: self.intra.synthesise(rounded, q),
            source=(y, uv),
        )
        return self._code(coding, self.intra.analyse(y, uv, q), refine, None)

    def code_inter(
        self,
        y: Tensor,
        uv: Tensor,
        q: Tensor,
        place: FramePlace,
        motion: Tensor,
        references: tuple[Recurrence, Recurrence],
        refine: Refine | None = None,
        filter_gain: float = FILTER_GAIN,
    ) -> CodedStep:
        """A frame that is predicted from two references, which must have their histories."""
        refer = place.refer(references)
        prediction = self.inter.predict(refer, motion, q)
        show = BestFiltered(self.inter, prediction, q, (y, uv), filter_gain)
        coding = FrameCoding(
            coder=self.inter,
            prior=self.inter_prior,
            log_table=self.log_table,
            q=q,
            mse_lambda=self.config.quality_lambdas(q),
            show=show,
            source=(y, uv),
            prediction=prediction,
            refer=refer,
            motion=motion,
            history=_history_of(references),
            skipped=torch.cat([reference.skipped for reference in references], 1),
        )
        latent = self.inter.analyse(y, uv, prediction, q)
        return self._code(coding, latent, refine, place.time)

    def show_intra(self, symbols: Tensor, q: Tensor) -> Recurrence:
        """symbols (B, N, h, w) of a frame -> what `code_intra` left, up to the history and to the
        rounding of floats."""
        rounded = self.intra.means.restore(symbols, None, self.intra.gain(q))
        state = self.intra.synthesise(rounded, q)
        return _left_by_intra(state, q, None)

    def show_inter(
        self,
        symbols: Tensor,
        q: Tensor,
        place: FramePlace,
        motion: Tensor,
        filtered: Tensor,
        skipped: Tensor,
        references: tuple[Recurrence, Recurrence],
    ) -> Recurrence:
        """The same of `code_inter`; filtered (B, 2): see `loop_filters.Filtered`; skipped
        (B, 1, h, w): see `skipping`."""
        prediction = self.inter.predict(place.refer(references), motion, q)
        rounded = self.inter.means.restore(symbols, prediction.side, self.inter.gain(q))
        state = self.inter.synthesise(rounded, prediction, q, filtered)
        state = with_skipped(state, prediction.still, skipped)
        return Recurrence(
            state, motion, place.time, place.refer(references).distances, skipped, None
        )

    def _code(
        self, coding: FrameCoding, latent: Tensor, refine: Refine | None, time: Tensor | None
    ) -> CodedStep:
        indices = coding.indices(coding.symbols(latent))
        choose = cheaper_symbols(coding, indices)
        means, rounded = coding.quantise(latent, choose)
        if refine is not None:
            latent, choose = refine(rounded, coding), round_through
            means, rounded = coding.quantise(latent)
        state = coding.show(rounded)
        skipped = none_skipped(state)
        if coding.prediction is not None:
            still = coding.prediction.still
            sends = (rounded != means).any(1, keepdim=True)
            if torch.is_grad_enabled():  # what is sent has to learn to be better than nothing
                skipped = choose_skipped(state, still, coding.source) * ~sends
            else:
                symbols = (rounded - means).round()
                skipped = choose_by_price(state, symbols, indices, coding, self.skip_prior)
                if not surely_none(sends & (skipped > 0)):
                    sent = 1 - skipped
                    means, rounded = coding.quantise(latent, lambda x: choose(x) * sent)
                    state = coding.show(rounded)
            state = with_skipped(state, still, skipped)
        # NaNs of a diverged training step become 0 here; its loss reports them.
        symbols = torch.nan_to_num((rounded - means).detach().round())
        with exact_float32(latent.device.type):
            magnitudes = log_magnitude(symbols.permute(0, 2, 3, 1), self.log_table)
        if coding.history is None or coding.motion is None or coding.refer is None or time is None:
            left = _left_by_intra(state, coding.q, History.begin(magnitudes))
        else:
            history = coding.history.advance(magnitudes)
            distances = coding.refer.distances
            left = Recurrence(state, coding.motion, time, distances, skipped, history)
        return CodedStep(
            coding=coding,
            latent=latent,
            means=means,
            rounded=rounded,
            symbols=symbols,
            filtered=coding.show.filtered if isinstance(coding.show, BestFiltered) else None,
            skipped=skipped,
            recurrence=left,
        )

    def exact_layers(self) -> list[ExactLayer]:
        return [m for m in self.modules() if isinstance(m, ExactLayer)]

    def with_fast_networks(self, precision: torch.dtype) -> "VideoModel":
        """A copy whose float networks have their weights in `precision`, to run under autocast.
        Linear transforms, quantiser steps, means and exact layers stay in float32."""
        fast = copy.deepcopy(self)
        for coder in (fast.intra, fast.inter):
            stay = {
                part
                for module in coder.modules()
                if isinstance(module, Float32Pointwise | CoarseMeans)
                for part in module.modules()
            }
            for module in coder.modules():
                if isinstance(module, nn.Conv2d) and module not in stay:
                    module.to(precision)
        return fast


def none_skipped(state: State) -> Tensor:
    return state.latent.new_zeros(len(state.latent), 1, *state.latent.shape[-2:])


def _left_by_intra(state: State, q: Tensor, history: History | None) -> Recurrence:
    motion = state.y.new_zeros(len(state.y), 5, *state.feature.shape[-2:])
    none = torch.zeros(len(q), 2, dtype=torch.long, device=q.device)
    return Recurrence(state, motion, none[:, 0], none, none_skipped(state), history)


def _history_of(references: tuple[Recurrence, Recurrence]) -> History:
    first, second = (reference.history for reference in references)
    assert first is not None and second is not None
    return first if second is first else History.of_both(first, second)
