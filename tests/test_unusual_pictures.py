"""Pictures unlike those of the training data: screens, waves of full contrast."""

import numpy as np
import pytest
import torch

from neuralcodec.model.layers import FEATURE_LIMIT, Block, bounded
from neuralcodec.model.model_file import load_model
from neuralcodec.model.recurrence import PICTURE_RANGE
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.objective import sequence_costs
from neuralcodec.training.sequences import DrawnSequences
from neuralcodec.training.source_motion import with_source_motion
from neuralcodec.training.structures import chain, low_delay, pyramids
from neuralcodec.training.synthetic import stretch_contrast, synthetic_sequence

FRAMES, SIZE = 9, 64
STRUCTURES = [chain(FRAMES), pyramids(FRAMES, 8), low_delay(FRAMES)]


@pytest.fixture(scope="module")
def model() -> VideoModel:
    return load_model("fast").model


@pytest.mark.parametrize("seed", range(6))
@torch.no_grad()
def test_drawn_pictures_are_coded_and_never_run_away(model: VideoModel, seed: int):
    y, uv = synthetic_sequence(FRAMES, SIZE, np.random.default_rng(seed))
    drawn = DrawnSequences(
        y[None].float() / 255,
        uv[None].float() / 255,
        torch.full((1, FRAMES), 40.0),
        STRUCTURES[seed % len(STRUCTURES)],
        torch.ones(1, dtype=torch.int64),
    )
    for cost in sequence_costs(model, with_source_motion(model.config, drawn)):
        assert cost.shown.feature.abs().max() <= FEATURE_LIMIT
        assert PICTURE_RANGE[0] <= cost.shown.y.min() and cost.shown.y.max() <= PICTURE_RANGE[1]
        assert -10 * torch.log10(cost.distortion) > 15
        assert cost.bpp < 12


def test_a_block_keeps_what_is_far_outside_within_bounds():
    torch.manual_seed(0)
    block = Block(8)
    out = block(1e6 * torch.randn(1, 8, 4, 4))
    assert bool(torch.isfinite(out).all())
    assert out.abs().max() <= FEATURE_LIMIT


def test_what_has_left_the_bounds_is_pulled_back_but_not_pushed_on():
    x = torch.tensor([-3.0, -3.0, 0.5, 3.0, 3.0], requires_grad=True)
    wanted_steps = torch.tensor([-1.0, 1.0, 1.0, 1.0, -1.0])  # descent goes the other way
    bounded(x).backward(wanted_steps)
    assert x.grad is not None
    assert x.grad.tolist() == [-1.0, 0.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize("seed", range(8))
def test_synthetic_sequences_are_planes_that_a_seed_repeats(seed: int):
    y, uv = synthetic_sequence(5, 64, np.random.default_rng(seed))
    assert (y.dtype, y.shape) == (torch.uint8, (5, 1, 64, 64))
    assert (uv.dtype, uv.shape) == (torch.uint8, (5, 2, 32, 32))
    again, _ = synthetic_sequence(5, 64, np.random.default_rng(seed))
    assert torch.equal(y, again)
    assert y.float().std() > 3


def test_stretched_contrast_stays_within_the_samples_and_changes_them():
    y, uv = synthetic_sequence(3, 64, np.random.default_rng(1))
    stretched, chroma = stretch_contrast(y, uv, np.random.default_rng(2))
    assert (stretched.dtype, stretched.shape, chroma.shape) == (torch.uint8, y.shape, uv.shape)
    assert not torch.equal(stretched, y)
