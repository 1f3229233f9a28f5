"""What needs no training: cosine transforms for new models."""

from pathlib import Path

import pytest
import torch
from training_runs import TINY, make_cache

from neuralcodec.model.layers import LinearTransform, planes_to_tokens
from neuralcodec.model.recurrence import MIDDLE
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.alone import train_alone
from neuralcodec.training.linear_start import (
    energies,
    initialise,
    inter_basis,
    intra_basis,
    set_basis,
)
from neuralcodec.training.objective import sequence_costs
from neuralcodec.training.sampling import Sampler, open_cache
from neuralcodec.training.schedule import Phase
from neuralcodec.training.source_motion import with_source_motion

BASES = {"intra": intra_basis, "inter": inter_basis}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cache(tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("kind", BASES)
def test_the_cosine_transforms_are_orthonormal(kind: str):
    basis = BASES[kind]().flatten(1)
    assert torch.allclose(basis @ basis.T, torch.eye(384).double(), atol=1e-12)


def test_the_transform_of_intra_frames_is_the_dct_of_a_macroblock():
    """Against the definition, at one frequency: 3 down, 5 across."""
    at = torch.arange(16.0, dtype=torch.float64) + 0.5
    wave = torch.cos(torch.pi / 16 * 3 * at)[:, None] * torch.cos(torch.pi / 16 * 5 * at) / 8
    tokens = planes_to_tokens(wave[None, None], torch.zeros(1, 2, 8, 8).double())
    found = intra_basis().flatten(1) @ tokens.flatten()
    expected = torch.zeros(384).double()
    expected[3 * 16 + 5] = 1
    assert torch.allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("kind", BASES)
def test_all_coefficients_give_the_picture_and_the_strongest_come_first(kind: str, cache: Path):
    drawn = Sampler(open_cache(cache), 0).batch(2, 1, 128)
    tokens = planes_to_tokens(drawn.y[:, 0], drawn.uv[:, 0]) - MIDDLE
    linear = LinearTransform(384)
    with torch.no_grad():
        set_basis(linear, BASES[kind](), energies(BASES[kind](), tokens))
        latent = linear.analyse(tokens)
        assert torch.allclose(linear.synthesise(latent), tokens, atol=1e-5)
        strength = latent.square().sum((0, 2, 3))
    assert torch.equal(strength, strength.sort(descending=True).values)


def test_training_the_scale_priors_saves_bits_and_changes_no_picture(cache: Path):
    torch.manual_seed(1)
    sampler = Sampler(open_cache(cache), 0)
    model = VideoModel(TINY)
    initialise(model, sampler, rounds=2)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    sequences = with_source_motion(model.config, sampler.batch(2, 3, 64))

    def bits() -> float:
        with torch.no_grad():
            costs = sequence_costs(model.eval(), sequences)
        return sum(float(cost.bpp.mean()) for cost in costs)

    untrained = bits()
    train_alone(
        model,
        [model.intra_prior, model.inter_prior],
        sampler,
        12,
        Phase(0.0, items=4, length=3, size=64),
        2e-3,
    )
    assert bits() < 0.97 * untrained
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed and all(key.startswith(("intra_prior.", "inter_prior.")) for key in changed)
    assert all(parameter.requires_grad for parameter in model.parameters())
