"""Training: what a run promises, on a tiny model and the bundled clip."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from training_runs import TINY, make_cache, start

from neuralcodec.errors import InputError
from neuralcodec.model.config import ModelConfig
from neuralcodec.model.model_file import load_config, load_model, load_tensors
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.linear_start import initialise
from neuralcodec.training.objective import sequence_loss, symbol_bits
from neuralcodec.training.run_log import read_log
from neuralcodec.training.run_options import RunOptions
from neuralcodec.training.sampling import Sampler, open_cache
from neuralcodec.training.schedule import Phase, Schedule
from neuralcodec.training.team import Team
from neuralcodec.training.trainer import Trainer


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are made in this process: a second one takes its time to start."""
    monkeypatch.setattr("neuralcodec.training.trainer.load_in_background", iter)


def test_the_cache_holds_the_frames_as_the_source_gives_them(cache: Path):
    (entry,) = json.loads((cache / "index.json").read_text())
    frames = np.load(cache / "city.npy")
    assert (entry["name"], entry["frames"]) == ("city", 20)
    assert frames.shape == (20, 240 * 3 // 2, 432)
    assert frames.std() > 30


def test_the_linear_path_alone_already_shows_the_picture(cache: Path):
    """Closed-form initialisation: a good picture before the first step of training."""
    torch.manual_seed(0)
    model = VideoModel(ModelConfig("wide", channels=8, prior_channels=8, vector_channels=8))
    sampler = Sampler(open_cache(cache), 0)
    initialise(model, sampler, rounds=4)
    drawn = sampler.batch(1, 1, 128)
    y, uv = drawn.y, drawn.uv
    q = torch.tensor([60.0])
    with torch.no_grad():
        latent = model.intra.analyse(y[:, 0], uv[:, 0], q)
        shown = model.intra.synthesise(latent.round(), q)
    assert -10 * torch.log10((shown.y - y[:, 0]).square().mean()) > 30


def test_the_rate_is_that_of_the_symbols_and_its_gradient_that_of_noise(cache: Path):
    torch.manual_seed(0)
    sampler = Sampler(open_cache(cache), 0)
    model = VideoModel(TINY)
    initialise(model, sampler, rounds=2)
    drawn = sampler.batch(2, 1, 64)
    y, uv, q = drawn.y, drawn.uv, drawn.q

    def rate() -> Tensor:
        step = model.code_intra(y[:, 0], uv[:, 0], q[:, 0])
        return symbol_bits([step], model.training)[0].sum() / y[0, 0].numel()

    def in_training(seed: int) -> tuple[float, Tensor, Tensor]:
        """Bits, and their gradients by the analysis and by the prior."""
        torch.manual_seed(seed)
        model.zero_grad()
        bits = rate()
        bits.backward()
        parts = model.intra.linear.forward_basis, model.intra_prior.networks[0].write.bias
        return (bits.item(), *(part.grad.clone() for part in parts))

    model.eval()
    true_bits = rate().item()
    model.train()
    (bits, by_analysis, by_prior), (again, by_analysis_again, by_prior_again) = (
        in_training(1),
        in_training(2),
    )
    assert (bits, again) == (pytest.approx(true_bits, rel=1e-5),) * 2
    assert torch.equal(by_prior, by_prior_again) and by_prior.norm() > 0
    assert not torch.equal(by_analysis, by_analysis_again)
    assert torch.cosine_similarity(by_analysis.flatten(), by_analysis_again.flatten(), 0) > 0.5


def test_a_blow_up_is_skipped_and_counted(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    trainer = start(cache, tmp_path / "run", 2)
    before = [p.clone() for p in trainer.state.model.parameters()]

    def blown_up(*args: Any) -> torch.Tensor:
        return sequence_loss(*args) * float("nan")

    monkeypatch.setattr("neuralcodec.training.training_step.sequence_loss", blown_up)
    trainer.run()
    assert trainer.state.position.skipped == 2
    assert read_log(tmp_path / "run")[-1]["skipped"] == 2
    after = trainer.state.model.parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_finished_run_leaves_a_model_and_its_log(cache: Path, tmp_path: Path):
    trainer = start(cache, tmp_path / "run", 2)
    trainer.run()
    log = read_log(tmp_path / "run")
    assert [entry["step"] for entry in log] == [0, 1, 2]
    assert log[-1]["intra_db"] > 10
    left = load_model(str(tmp_path / "run" / "best.safetensors"))
    assert left.record["steps"] == 2
    kept = trainer.state.averaged.intra.linear.forward_basis
    assert torch.equal(left.model.intra.linear.forward_basis, kept)


def test_clips_too_short_for_the_schedule_are_refused_at_once(cache: Path, tmp_path: Path):
    """The sampler would look for a long one without end."""
    model = VideoModel(TINY)
    with pytest.raises(InputError, match="the longest clip to train on has 20 frames; 24 are"):
        schedule = Schedule(2, 1e-3, phases=(Phase(0.0, 1, 24, 32),))
        Trainer(model, schedule, RunOptions(cache, tmp_path), Team())


def test_the_shipped_weights_say_how_they_were_made():
    installed = load_model("fast")
    assert {"steps", "hours", "seed", "data"} <= installed.record.keys()


def test_tensors_of_a_model_file_load_without_building_a_model():
    weights = Path(__file__).parent.parent / "neuralcodec/model/weights/fast.safetensors"
    model = VideoModel(load_config(weights))
    assert load_tensors(weights).keys() == model.state_dict().keys()
