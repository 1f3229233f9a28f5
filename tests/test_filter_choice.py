"""Each inter frame says which of its blocks are filtered, as is best for its source."""

from itertools import combinations, product
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from training_runs import TINY

from neuralcodec.model import video_model
from neuralcodec.model.distortion import distortion
from neuralcodec.model.exact import round_through
from neuralcodec.model.frame_step import BestFiltered, FrameCoding
from neuralcodec.model.inter import InterCoder, Prediction, Referred
from neuralcodec.model.loop_filters import FILTER_GAIN, Filtered, FilteredPlane, choose_filtered
from neuralcodec.model.recurrence import State
from neuralcodec.model.skip_choice import choose_skipped
from neuralcodec.model.skipping import with_skipped
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.objective import sequence_costs
from neuralcodec.training.sequences import Sequences
from neuralcodec.training.structures import chain


class InterFrame(NamedTuple):
    coder: InterCoder
    rounded: Tensor
    prediction: Prediction
    q: Tensor

    @property
    def known(self) -> tuple[Tensor, Prediction, Tensor]:
        """What a decoder has."""
        return self.rounded, self.prediction, self.q


def predicted(model: VideoModel, state: State, q: Tensor) -> Prediction:
    """Of frames right after those in `state`, which do not move."""
    items, rows, columns = len(q), *state.feature.shape[-2:]
    refer = Referred((state, state), torch.zeros(items, dtype=torch.int64), torch.ones(items, 2))
    return model.inter.predict(refer, torch.zeros(items, 5, rows, columns), q)


@pytest.fixture
def model() -> VideoModel:
    torch.manual_seed(0)
    return VideoModel(TINY).eval()


@pytest.fixture
def frame(model: VideoModel) -> InterFrame:
    """Of two pictures, whose filters do something, but not the same to all blocks."""
    with torch.no_grad():
        model.inter.filters.smoothing.weights.anchors.fill_(0.02)
        model.inter.filters.log_changes.anchors.fill_(-1.0)
        q, latent = torch.tensor([30.0, 5.0]), torch.randn(2, TINY.latents, 2, 3)
        prediction = predicted(model, model.intra.synthesise(latent, q), q)
    return InterFrame(model.inter, latent, prediction, q)


@torch.no_grad()
def test_a_frame_says_which_of_its_blocks_are_filtered(frame: InterFrame):
    coder = frame.coder
    ways = [coder.synthesise(*frame.known, torch.full((2, 2), way)) for way in Filtered]
    assert not any(torch.equal(one.y, other.y) for one, other in combinations(ways, 2))
    assert not any(torch.equal(one.uv, other.uv) for one, other in combinations(ways, 2))
    mixed = torch.tensor(
        [[Filtered.ALL, Filtered.NONE], [Filtered.NONE, Filtered.CHANGED]], dtype=torch.int
    )
    shown = coder.synthesise(*frame.known, mixed)
    for item, (luma, chroma) in enumerate(mixed.tolist()):
        assert torch.equal(shown.y[item], ways[luma].y[item])
        assert torch.equal(shown.uv[item], ways[chroma].uv[item])


@torch.no_grad()
def test_an_encoder_filters_as_is_best_for_its_source(frame: InterFrame):
    coder = frame.coder
    for luma, chroma in product(Filtered, Filtered):
        wanted = torch.tensor([[luma, chroma], [chroma, luma]])
        source = coder.synthesise(*frame.known, wanted)
        show = BestFiltered(coder, frame.prediction, frame.q, (source.y, source.uv), FILTER_GAIN)
        shown = show(frame.rounded)
        assert show.filtered is not None and torch.equal(show.filtered, wanted)
        assert torch.equal(shown.y, source.y) and torch.equal(shown.uv, source.uv)
        other = show(torch.zeros_like(frame.rounded))  # symbols reconsidered: filtered as before
        same = coder.synthesise(torch.zeros_like(frame.rounded), frame.prediction, frame.q, wanted)
        assert torch.equal(other.y, same.y) and torch.equal(other.uv, same.uv)


def test_filters_that_gain_next_to_nothing_are_left_out():
    y, uv, unchanged = torch.zeros(1, 1, 16, 16), torch.zeros(1, 2, 8, 8), torch.zeros(1, 1, 2, 2)
    for error, best in ((0.999, Filtered.NONE), (0.99, Filtered.ALL)):
        luma = FilteredPlane(y + 1, y + error**0.5, unchanged)
        chroma = FilteredPlane(uv + 1, uv + error**0.5, unchanged)
        assert choose_filtered((luma, chroma), y, uv).tolist() == [[best, best]]


@torch.no_grad()
def test_sequences_are_judged_as_they_are_coded(
    frame: InterFrame, model: VideoModel, monkeypatch: pytest.MonkeyPatch
):
    def by_errors(coded: State, _: Tensor, __: Tensor, coding: FrameCoding, ___: object) -> Tensor:
        assert coding.prediction is not None
        return choose_skipped(coded, coding.prediction.still, coding.source)

    monkeypatch.setattr(video_model, "choose_by_price", by_errors)
    monkeypatch.setattr(video_model, "cheaper_symbols", lambda *_: round_through)
    y, uv = torch.rand(1, 3, 1, 32, 48), torch.rand(1, 3, 2, 16, 24)
    q = torch.full((1, 3), 40.0)
    still = torch.zeros(1, 2, 5, 4, 6)
    sequences = Sequences(y, uv, q, chain(3), torch.ones(1, dtype=torch.int64), still)
    before, now, _ = sequence_costs(model, sequences)
    prediction = predicted(model, before.shown, q[:, 1])
    latent = model.inter.analyse(y[:, 1], uv[:, 1], prediction, q[:, 1])
    known, source = (latent, prediction.side, model.inter.gain(q[:, 1])), (y[:, 1], uv[:, 1])

    def shown(rounded: Tensor, filtered: Tensor) -> State:
        return model.inter.synthesise(rounded, prediction, q[:, 1], filtered)

    _, rounded = model.inter.means.quantise(*known)
    ways = (torch.tensor([way]) for way in product(Filtered, Filtered))
    best = min(ways, key=lambda way: float(distortion(shown(rounded, way), *source)))
    skipped = choose_skipped(shown(rounded, best), prediction.still, source)
    _, left = model.inter.means.quantise(*known, lambda x: x.round() * (1 - skipped))
    expected = distortion(with_skipped(shown(left, best), prediction.still, skipped), *source)
    assert float(now.distortion) == pytest.approx(float(expected), rel=FILTER_GAIN)
