"""The figures of a model's page come from what its runs left."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from training_runs import TINY

from neuralcodec.model.model_file import model_bytes
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.model_card import main
from neuralcodec.training.validation import QUALITIES


def figures(score: float) -> dict[str, Any]:
    by_quality = {f"bpp_{q}": q / 100 for q in QUALITIES} | {f"psnr_{q}": 30 + q for q in QUALITIES}
    return {**by_quality, "score": score}


def leave_run(folder: Path, scores: list[float], started_from: str | None) -> None:
    """As a run of 100 steps a validation leaves its folder."""
    folder.mkdir()
    schedule = {
        "steps": 100,
        "learning_rate": 6e-4,
        "first_phase": 0.3,
        "phases": [
            {"start": start, "items": 1, "length": length, "size": 64}
            for start, length in ((0.0, 3), (0.3, 4), (0.6, 20))
        ],
    }
    record = {
        "data": ["river", "road"],
        "held_out": ["bus"],
        "started_from": started_from,
        "device": "NVIDIA H100",
        "seed": 5,
        "schedule": schedule,
    }
    torch.manual_seed(0)
    (folder / "best.safetensors").write_bytes(model_bytes(VideoModel(TINY), record))
    log: list[dict[str, Any]] = [{"step": 0, "run": record}]
    for number, score in enumerate(scores):
        step = 100 * number
        if number:
            log.append({"step": step, "seconds": 1800 * number, "skipped": number, "loss": 1.0})
        trained = figures(score - 0.25)
        held_out = figures(score)
        log.append({"step": step, "validation": held_out, "training_crops": trained})
    (folder / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in log))


def write(*arguments: object) -> Any:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_page_has_the_figures_of_all_stages_and_a_plot(tmp_path: Path):
    leave_run(tmp_path / "one", [-1.0, -1.5, -1.625], None)
    leave_run(tmp_path / "two", [-1.625, -1.875], "best.safetensors")
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "tiny.md").write_text("# Model `tiny`\n\nBy hand, before.\n")
    assert write(tmp_path / "one", tmp_path / "two", "--docs", docs).exit_code == 0
    page = (docs / "tiny.md").read_text()
    assert "| 1 | 200 | 2 | 1.0 | NVIDIA H100 | 5 | 0.0006 | 4 to 20 frames | nothing |" in page
    assert "| 2 | 100 | 1 | 0.5 | NVIDIA H100 | 5 |" in page
    assert "| stage 1, 200 | 0.0800 bpp 38.00 dB |" in page
    assert "| -1.625 | -1.875 |" in page
    assert "Trained on 2 clips: river, road. Held out: bus." in page
    assert (docs / "tiny-curve.png").read_bytes().startswith(b"\x89PNG")
    assert "(tiny-curve.png)" in page
    (docs / "tiny.md").write_text(page + "\nBy hand, after.\n")
    assert write(tmp_path / "two", "--docs", docs).exit_code == 0
    again = (docs / "tiny.md").read_text()
    assert again.startswith("# Model `tiny`\n\nBy hand, before.\n")
    assert again.endswith("\nBy hand, after.\n")
    assert "stage 1, 100" in again and "stage 1, 200" not in again


@pytest.mark.parametrize("missing", ["log.jsonl", "best.safetensors"])
def test_a_folder_of_no_run_is_named(tmp_path: Path, missing: str):
    leave_run(tmp_path / "run", [-1.0], None)
    (tmp_path / "run" / missing).unlink()
    result = write(tmp_path / "run", "--docs", tmp_path)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{tmp_path / 'run'} is no folder of a finished run")
    assert not (tmp_path / "tiny.md").exists()
