"""Training the intra frames of a model by themselves."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from training_runs import TINY, make_cache

from neuralcodec.model.video_model import VideoModel
from neuralcodec.model.zoo import load_model, load_tensors, model_bytes
from neuralcodec.training import intra_frames
from neuralcodec.training.intra_frames import main, train_intra
from neuralcodec.training.objective import intra_cost
from neuralcodec.training.sampling import Sampler, open_cache


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cache(tmp_path_factory.mktemp("clips"))


def untrained() -> VideoModel:
    torch.manual_seed(0)
    return VideoModel(TINY)


def test_nothing_but_what_codes_intra_frames_changes(cache: Path, tmp_path: Path):
    before, after = tmp_path / "before.safetensors", tmp_path / "after.safetensors"
    before.write_bytes(model_bytes(untrained().with_fast_networks(torch.float16), {"seed": 7}))
    arguments = [str(before), str(cache), "-o", str(after), "--steps", "2"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    old, new = load_tensors(before), load_tensors(after)
    assert old.keys() == new.keys()
    changed = {key for key, tensor in old.items() if not torch.equal(tensor, new[key])}
    assert {key.split(".")[0] for key in changed} == {"intra", "intra_prior"}
    assert new["inter.head.weight"].dtype == torch.float16  # as large as it was
    assert load_model(str(after)).record == {"seed": 7, "intra_steps": 2}


def test_intra_frames_get_cheaper_and_leave_features_that_are_known(
    cache: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(intra_frames, "SIZE", 32)
    monkeypatch.setattr(intra_frames, "LEARNING_RATE", 5e-3)
    y, uv, q = (batch[:, 0] for batch in Sampler(open_cache(cache), 3).batch(8, 1, 32))

    def after(weight: float) -> tuple[float, torch.Tensor]:
        monkeypatch.setattr(intra_frames, "FEATURE_WEIGHT", weight)
        model = untrained()
        if weight:
            torch.manual_seed(1)
            train_intra(model, Sampler(open_cache(cache), 1), steps=60)
        with torch.no_grad():
            cost, _ = intra_cost(model.eval(), y, uv, q)
            price = cost.latent_bpp + model.config.quality_lambdas(q) * cost.distortion
            return float(price.log2().mean()), cost.shown.feature

    start, known = after(0)
    free, near = after(1e-6), after(3e3)
    assert free[0] < start - 0.2
    assert near[0] < start - 0.1
    assert (near[1] - known).square().mean() < 0.5 * (free[1] - known).square().mean()
