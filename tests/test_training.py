"""Training: what a run promises, on a tiny model and the bundled clip."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neuralcodec.model.config import ModelConfig
from neuralcodec.model.video_model import VideoModel
from neuralcodec.model.zoo import load_config, load_model, load_tensors
from neuralcodec.training.frame_cache import build_cache
from neuralcodec.training.klt import initialise
from neuralcodec.training.objective import sequence_costs, sequence_loss, source_vectors
from neuralcodec.training.sampling import Sampler, open_cache
from neuralcodec.training.schedule import Schedule
from neuralcodec.training.trainer import RunOptions, Trainer
from neuralcodec.training.widen import widen

CLIP = Path(__file__).parent.parent / "clips" / "city.mp4"
CPU = torch.device("cpu")
TINY = ModelConfig(
    "tiny",
    channels=8,
    latents=16,
    groups=(4, 16),
    prior_channels=8,
    vector_channels=8,
    intra_analysis_blocks=1,
    intra_synthesis_blocks=1,
    context_blocks=1,
    inter_analysis_blocks=1,
    inter_synthesis_blocks=1,
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    build_cache([CLIP], folder, 20)
    return folder


def start(cache: Path, out: Path, steps: int, held_out: tuple[str, ...] = ()) -> Trainer:
    torch.manual_seed(0)
    model = VideoModel(TINY)
    initialise(model, Sampler(open_cache(cache), 0), rounds=2)
    options = RunOptions(cache, out, held_out=held_out, save_every=1, log_every=1)
    trainer = Trainer(model, Schedule(steps, 1e-3), options, CPU)
    trainer.resume()
    return trainer


def test_the_cache_holds_the_frames_as_the_source_gives_them(cache: Path):
    (entry,) = json.loads((cache / "index.json").read_text())
    frames = np.load(cache / "city.npy")
    assert (entry["name"], entry["frames"]) == ("city", 20)
    assert frames.shape == (20, 240 * 3 // 2, 432)
    assert frames.std() > 30


def test_a_run_resumed_ends_with_the_weights_of_a_run_not_interrupted(cache: Path, tmp_path: Path):
    whole = start(cache, tmp_path / "whole", 4)
    whole.run()
    first = start(cache, tmp_path / "parts", 4)
    first.options = RunOptions(cache, tmp_path / "parts", save_every=1, log_every=1, minutes=1e-9)
    first.run()
    assert first.step == 1
    second = start(cache, tmp_path / "parts", 4)
    assert second.step == 1
    second.run()
    for a, b in zip(whole.averaged.parameters(), second.averaged.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_linear_path_alone_already_shows_the_picture(cache: Path):
    """Closed-form initialisation: a good picture before the first step of training."""
    torch.manual_seed(0)
    model = VideoModel(ModelConfig("wide", channels=8, prior_channels=8, vector_channels=8))
    sampler = Sampler(open_cache(cache), 0)
    initialise(model, sampler, rounds=4)
    y, uv, _ = sampler.batch(1, 1, 128)
    q = torch.tensor([60.0])
    with torch.no_grad():
        latent = model.intra.analyse(y[:, 0], uv[:, 0], q)
        shown = model.intra.synthesise(latent.round(), q)
    assert -10 * torch.log10((shown.y - y[:, 0]).square().mean()) > 30


def test_a_blow_up_is_skipped_and_counted(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    trainer = start(cache, tmp_path / "run", 4)
    before = [p.clone() for p in trainer.model.parameters()]

    def blown_up(*args: Any) -> torch.Tensor:
        return sequence_loss(*args) * float("nan")

    monkeypatch.setattr("neuralcodec.training.trainer.sequence_loss", blown_up)
    trainer.run()
    assert trainer.skipped == 4
    after = trainer.model.parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_finished_run_leaves_a_model_that_can_code(cache: Path, tmp_path: Path):
    trainer = start(cache, tmp_path / "run", 2, held_out=())
    trainer.options = RunOptions(cache, tmp_path / "run", log_every=1)
    trainer.run()
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").open()]
    assert [entry["step"] for entry in log] == [1, 2]
    assert log[-1]["intra_db"] > 10


def test_a_widened_model_shows_the_same_until_its_new_channels_are_used(cache: Path):
    torch.manual_seed(2)
    trained = VideoModel(TINY)
    sampler = Sampler(open_cache(cache), 0)
    initialise(trained, sampler, rounds=2)
    wide = VideoModel(replace(TINY, latents=24, groups=(4, 16, 24)))
    changed = widen(wide, trained.state_dict(), sampler, rounds=2)
    assert "intra_prior.networks.2.read.weight" in changed and "intra.head.weight" not in changed
    y, uv, q = sampler.batch(2, 3, 64)
    vectors = source_vectors(TINY, y, q)

    def silence_new(module: torch.nn.Module) -> None:  # their symbols round to zero
        module.log_gain.anchors[:, 16:] = -20

    with torch.no_grad():
        fine = [c.distortion for c in sequence_costs(wide.eval(), y, uv, q, vectors)]
        silence_new(wide.intra)
        silence_new(wide.inter)
        silent = sequence_costs(wide.eval(), y, uv, q, vectors)
        before = sequence_costs(trained.eval(), y, uv, q, vectors)
    for a, b, c in zip(silent, before, fine, strict=True):
        torch.testing.assert_close(a.shown.y, b.shown.y, atol=2e-3, rtol=0)
        assert bool((c < b.distortion).all())  # used, they show more


def test_the_shipped_weights_say_how_they_were_made():
    installed = load_model("fast")
    assert {"steps", "hours", "seed", "data"} <= installed.record.keys()


def test_tensors_of_a_model_file_load_without_building_a_model():
    weights = Path(__file__).parent.parent / "neuralcodec/model/weights/fast.safetensors"
    model = VideoModel(load_config(weights))
    assert load_tensors(weights).keys() == model.state_dict().keys()
