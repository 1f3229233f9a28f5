"""Growing a model changes its sizes, not what it computes, and leaves all of it to be trained."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_runs import TINY

from neuralcodec.errors import UsageError
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.gpu_beginning import gpu_beginning
from neuralcodec.training.grow import grow
from neuralcodec.training.models import BASE
from neuralcodec.training.objective import FrameCost, sequence_costs, sequence_loss
from neuralcodec.training.sequences import Sequences
from neuralcodec.training.structures import pyramids

LARGER = replace(
    TINY,
    name="larger",
    channels=TINY.channels + 8,
    intra_analysis_blocks=TINY.intra_analysis_blocks + 2,
    intra_synthesis_blocks=TINY.intra_synthesis_blocks + 1,
    context_blocks=TINY.context_blocks + 1,
    inter_analysis_blocks=TINY.inter_analysis_blocks + 1,
    inter_synthesis_blocks=TINY.inter_synthesis_blocks + 2,
)


@pytest.fixture
def small() -> VideoModel:
    """With weights that are nowhere zero, so that one in the wrong place shows."""
    torch.manual_seed(0)
    model = VideoModel(TINY)
    with torch.no_grad():
        for coder in (model.intra, model.inter):
            for parameter in coder.parameters():
                parameter += 0.03 * torch.randn_like(parameter)
            # noise would make filters that no frame chooses, and so that learn nothing
            coder.filters.smoothing.weights.anchors.fill_(0.01)
    return model


def costs_of(model: VideoModel) -> list[FrameCost]:
    draw = torch.Generator().manual_seed(1)
    which = torch.randint(0, 3, (2, 2, 1, 8, 12), generator=draw)
    vectors = torch.randint(-20, 20, (2, 2, 4, 8, 12), generator=draw)
    sequences = Sequences(
        y=torch.rand(2, 3, 1, 64, 96, generator=draw),
        uv=torch.rand(2, 3, 2, 32, 48, generator=draw),
        q=torch.full((2, 3), 30.0),
        structure=pyramids(3, 2),
        stride=torch.tensor([1, 2]),
        motion=torch.cat([which, vectors], 2).float(),
    )
    return sequence_costs(model, sequences)


@torch.no_grad()
def test_the_larger_model_computes_what_the_small_one_does(small: VideoModel):
    large = grow(small, LARGER)
    for ours, theirs in zip(costs_of(small.eval()), costs_of(large.eval()), strict=True):
        torch.testing.assert_close(theirs.bpp, ours.bpp, rtol=1e-4, atol=0)
        torch.testing.assert_close(theirs.shown.y, ours.shown.y, rtol=0, atol=1e-5)
        torch.testing.assert_close(theirs.shown.uv, ours.shown.uv, rtol=0, atol=1e-5)
        torch.testing.assert_close(
            theirs.shown.feature[:, : TINY.channels], ours.shown.feature, rtol=0, atol=1e-5
        )


def test_what_is_new_learns_from_the_first_steps_on(small: VideoModel):
    """Zeros that would stay zeros: a gradient reaches every weight within two steps."""
    large = grow(small, LARGER).train()
    optimizer = torch.optim.SGD(large.parameters(), 1e-3)
    touched = {name: torch.zeros_like(p) for name, p in large.named_parameters()}
    for _ in range(3):
        loss = sequence_loss(large, costs_of(large))
        optimizer.zero_grad()
        loss.backward()
        for name, parameter in large.named_parameters():
            if parameter.grad is not None:
                touched[name] += parameter.grad.abs()
        torch.nn.utils.clip_grad_norm_(large.parameters(), 1.0)
        optimizer.step()
    layers = [n for n in touched if n.startswith(("intra.", "inter.")) and n.endswith("weight")]
    assert [name for name in layers if (touched[name].flatten(1).sum(1) == 0).any()] == []


def test_models_that_differ_in_more_than_width_and_depth_are_refused(small: VideoModel):
    for other in (
        replace(LARGER, prior_channels=TINY.prior_channels + 1),
        replace(LARGER, channels=TINY.channels - 1),
    ):
        with pytest.raises(UsageError, match="'larger' is not a wider or deeper 'tiny'"):
            grow(small, other)


def test_a_gpu_begins_base_with_fast(tmp_path: Path):
    beginning = gpu_beginning("base", None, tmp_path)
    assert (beginning.config, beginning.is_trained) == (BASE.config, True)
    model, sentence = beginning.build(tmp_path, frozenset(), 0)
    assert model.config == BASE.config
    assert sentence == "begins with fast.safetensors, grown"
