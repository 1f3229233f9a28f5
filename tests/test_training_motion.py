"""The motion prior learns from what the encoder makes of clips."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from codec_clips import installed_from, tiny_model

from neuralcodec.model.code_length import motion_bits
from neuralcodec.model.exact import exact_float32
from neuralcodec.model.model_file import load_model
from neuralcodec.model.motion_prior import MotionSetting
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training import motion as training

FRAMES, SIDE = 12, 96


def moving_blocks(model: VideoModel) -> tuple[torch.Tensor, MotionSetting]:
    """Two B-frames, whose left half moves as was to be expected."""
    generator = torch.Generator().manual_seed(1)
    temporal = torch.randint(-9, 10, (2, 5, 16, 20), generator=generator).float()
    motion = torch.randint(-9, 10, (2, 5, 16, 20), generator=generator).float()
    temporal[:, 0] = motion[:, 0] = 2
    motion[..., :10] = temporal[..., :10]
    level = torch.tensor([1, 2])
    return motion, MotionSetting(temporal, torch.tensor([[2, -2], [1, -1]]), level, level + 30)


def test_blocks_taken_one_by_one_cost_what_frames_cost():
    model = tiny_model()
    motion, setting = moving_blocks(model)
    rows = training.rows_of(model, motion, setting)
    with torch.no_grad(), exact_float32("cpu"):
        expected = float(
            motion_bits(model.motion_prior, motion, setting, model.log_table).sum().detach()
        )
    assert sum(map(len, rows)) == 2 * 16 * 20
    assert training.bits_per_block(model, rows) * 2 * 16 * 20 == pytest.approx(expected, rel=1e-5)


def test_training_takes_bits_off_and_changes_nothing_but_the_prior():
    model = tiny_model()
    before = copy.deepcopy(model.state_dict())
    rows = training.rows_of(model, *moving_blocks(model))
    first = training.bits_per_block(model, rows)
    training.train_prior(model, rows, 4, seed=1)
    assert training.bits_per_block(model, rows) < 0.9 * first
    changed = {name for name, t in model.state_dict().items() if not torch.equal(t, before[name])}
    assert changed and all(name.startswith("motion_prior.") for name in changed)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Two clips of noise that moves."""
    rng = np.random.default_rng(1)
    still = rng.integers(0, 256, (SIDE * 3 // 2, 2 * SIDE), np.uint8).repeat(2, 1)[:, : 2 * SIDE]
    entries = []
    for name, step in (("one", 2), ("other", -2)):
        frames = np.stack([np.roll(still, step * t, 1)[:, :SIDE] for t in range(FRAMES)])
        np.save(tmp_path / f"{name}.npy", frames)
        entries.append({"name": name, "bpp": 1.0})
    (tmp_path / "index.json").write_text(json.dumps(entries))
    return tmp_path


def test_rounds_of_coding_and_training_leave_a_model_file(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(training, "SIZE", SIDE)
    monkeypatch.setattr(training, "LENGTHS", (3, 5))
    installed_from(tiny_model(), tmp_path)
    weights, out = tmp_path / "tiny.safetensors", tmp_path / "fitted.safetensors"
    options = ["--rounds", "2", "--sequences", "2", "--passes", "1", "--held-out", "other"]
    result = CliRunner().invoke(
        training.main, [str(weights), str(cache), "-o", str(out), *options], catch_exceptions=False
    )
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert len(lines) == 3 and all("bits a block" in line for line in lines)
    assert load_model(str(out)).record["motion_rounds"] == 2
