"""Model files in half precision."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from training_runs import TINY

from neuralcodec.model.model_file import load_model, load_tensors, model_bytes
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.half_precision import main


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "trained.safetensors"
    path.write_bytes(model_bytes(VideoModel(TINY), {"seed": 7}))
    return path


def test_only_what_may_be_rounded_is_rounded(trained: Path, tmp_path: Path):
    half = tmp_path / "half.safetensors"
    result = CliRunner().invoke(main, [str(trained), "-o", str(half)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    before, after = load_tensors(trained), load_tensors(half)
    rounded = {key for key, tensor in after.items() if tensor.dtype == torch.float16}
    assert {key.split(".")[0] for key in rounded} == {"intra", "inter"}
    assert not any(".linear." in key or "log_" in key for key in rounded)
    for key, tensor in before.items():
        assert torch.equal(after[key], tensor.half() if key in rounded else tensor), key
    assert half.stat().st_size < trained.stat().st_size
    assert load_model(str(half)).record == {"seed": 7}


def test_what_is_no_model_is_named_in_one_line(tmp_path: Path):
    (tmp_path / "bad.safetensors").write_bytes(b"no weights")
    arguments = [str(tmp_path / "bad.safetensors"), "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "bad.safetensors" in result.output
    assert not (tmp_path / "out").exists()
