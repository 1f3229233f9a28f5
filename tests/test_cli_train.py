"""`ncodec train`: footage in, a weights file out, on a tiny model."""

import functools
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from codec_clips import CITY, tiny_model
from test_cli_json import printed
from training_runs import SMALL

from neuralcodec.cli import main
from neuralcodec.cli.training_report import TrainingDisplay
from neuralcodec.model.model_file import load_model, model_bytes
from neuralcodec.training.schedule import Schedule


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps, crops and parts that take milliseconds, made in this process."""
    monkeypatch.setattr("neuralcodec.training.trainer.load_in_background", iter)
    schedule = functools.partial(Schedule, phases=SMALL)
    schedule.from_plain = Schedule.from_plain  # type: ignore[attr-defined]
    monkeypatch.setattr("neuralcodec.training.beginning.Schedule", schedule)
    monkeypatch.setattr("neuralcodec.training.crops.SIDE", 32)
    for module in ("crops", "own_footage"):
        monkeypatch.setattr(f"neuralcodec.training.{module}.FRAMES", 2)
    monkeypatch.setattr("neuralcodec.training.own_footage.FRAMES_OF_CLIP", 6)
    monkeypatch.setattr("neuralcodec.training.train_file.VALIDATIONS", 1)
    monkeypatch.setattr("neuralcodec.training.validation.QUALITIES", (8, 56))
    monkeypatch.setattr("neuralcodec.training.validation.SHOWN_QUALITY", 56)


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    folder = tmp_path / "footage"
    folder.mkdir()
    shutil.copy(CITY, folder / "a.mp4")
    shutil.copy(CITY, folder / "b.mp4")
    return folder


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(model_bytes(tiny_model(), {}))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["train", *map(str, arguments)])


def refused(*arguments: object) -> str:
    """The one line of an error."""
    result = run(*arguments)
    assert result.exit_code in (1, 2), result.output
    line = result.stderr.rstrip("\n").splitlines()[-1]
    assert line.startswith("ncodec: ")
    assert "Traceback" not in result.output
    return line


def test_training_gives_weights_that_say_how_they_were_made(
    footage: Path, weights: Path, tmp_path: Path
):
    out = tmp_path / "own.safetensors"
    figures = printed("train", footage, "-o", out, "--model", weights, "--steps", 2)
    assert (figures["ending"], figures["step"], figures["clips"]) == ("steps", 2, 2)
    made = load_model(str(out))
    assert made.name == "own"
    assert made.record["started_from"] == "tiny.safetensors"
    assert (made.record["data"], made.record["held_out"]) == (["a"], ["b"])
    assert made.record["steps"] == figures["best_step"]
    assert "already exists" in refused(footage, "-o", out, "--model", weights)


def test_ctrl_c_leaves_a_checkpoint_and_the_same_command_goes_on(
    footage: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "own.safetensors"
    arguments = (footage, "--model", weights, "--steps", 4, "-o", out)
    stepped = TrainingDisplay.stepped

    def interrupting(self: TrainingDisplay, step: int, *others: Any) -> None:
        stepped(self, step, *others)
        if step == 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(TrainingDisplay, "stepped", interrupting)
    result = run(*arguments)
    assert result.exit_code == 130
    assert "interrupted at step 2 of 4; the same command goes on from there" in result.stderr
    assert not out.exists()
    result = run(*arguments)
    assert "going on from step 2 of 4" in result.stderr
    assert "a: 6 frames" not in result.stderr  # the cache is not made again
    assert result.exit_code == 0
    log = (tmp_path / "own.training" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in log] == [0, 0, 4, 4]


def test_a_single_clip_is_trained_on_but_for_its_last_tenth_for_the_minutes_asked_for(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("neuralcodec.training.train_file.TRIAL_STEPS", 6)
    monkeypatch.setattr("neuralcodec.training.train_file.FEWEST_STEPS", 1)
    out = tmp_path / "own.safetensors"
    figures = printed("train", CITY, "-o", out, "--model", weights, "--minutes", 0.02)
    assert 6 < figures["steps"] == figures["step"] < 200
    assert figures["set_aside"] == "the last 2 frames"
    index = json.loads((tmp_path / "own.training" / "cache" / "index.json").read_text())
    assert [(entry["name"], entry["frames"]) for entry in index] == [("city", 4), ("city@end", 2)]


def test_mistakes_are_told_in_one_line(
    footage: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "own.safetensors"
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("no video")
    assert "no video and no folder of numbered pictures" in refused(empty, "-o", out)
    assert "does not exist; check the name" in refused(tmp_path / "none", "-o", out)
    (empty / "bad.mp4").write_text("no video")
    assert "bad.mp4 is not a video" in refused(empty, "-o", out)
    assert "no model is named 'huge'" in refused(footage, "-o", out, "--model", "huge")
    assert "has no clip 'c'; there are: a, b" in refused(
        footage, "-o", out, "--model", weights, "--held-out", "c"
    )
    held = ("--held-out", "a.mp4", "--held-out", "b")
    assert "is left to train on" in refused(footage, "-o", out, "--model", weights, *held)
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    message = refused(footage, "-o", out, "--model", weights, "--tensorboard")
    assert "pip install 'neuralcodec[train]'" in message
    assert not out.exists()
