"""A run that was interrupted goes on as if nothing had been."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from training_runs import make_cache, start

from neuralcodec.errors import InputError, UsageError
from neuralcodec.training.run_log import Observer, read_log
from neuralcodec.training.run_options import Ending, RunOptions
from neuralcodec.training.trainer import Trainer

SECONDS = ("seconds",)  # of the position: what no two runs share


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cache(tmp_path_factory.mktemp("cache"))


def options(out: Path) -> RunOptions:
    return RunOptions(out, out, save_every=100, log_every=3)


def state_of(trainer: Trainer) -> dict[str, Any]:
    state = copy.deepcopy(trainer.state.plain())
    for name in SECONDS:
        del state["position"][name]
    return state


def differences(a: Any, b: Any, where: str = "") -> list[str]:
    """Where two nested states differ by at least a bit."""
    if isinstance(a, torch.Tensor):
        return [] if torch.equal(a, b) else [where]
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        return [d for key in a for d in differences(a[key], b[key], f"{where}/{key}")]
    if isinstance(a, list | tuple):
        assert len(a) == len(b), where
        pairs = enumerate(zip(a, b, strict=True))
        return [d for i, (x, y) in pairs for d in differences(x, y, f"{where}/{i}")]
    return [] if a == b else [where]


def stop_after(steps: int) -> Any:
    """Asks to stop as Ctrl-C does, while the last of so many steps is on its way."""
    looks = iter(range(100))
    return lambda: next(looks) == steps - 1


def test_two_steps_and_two_more_are_four_steps_to_the_last_bit(cache: Path, tmp_path: Path):
    """Weights, their mean, the optimiser, what the log has not told yet: everything."""
    whole = start(cache, tmp_path / "whole", 4, options(tmp_path))
    whole.run()
    first = start(cache, tmp_path / "parts", 4, options(tmp_path), asked_to_stop=stop_after(2))
    assert first.run() is Ending.ASKED
    assert first.state.position.step == 2
    second = start(cache, tmp_path / "parts", 4, options(tmp_path))
    assert differences(state_of(first), state_of(second)) == []
    assert second.run() is Ending.STEPS
    assert differences(state_of(whole), state_of(second)) == []
    logs = [read_log(tmp_path / part)[1:] for part in ("whole", "parts")]
    for entry in (*logs[0], *logs[1]):
        del entry["seconds"]
    assert [entry["step"] for entry in logs[0]] == [3, 4]
    assert logs[0] == logs[1]


def test_a_run_that_was_killed_goes_on_from_its_last_checkpoint(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("neuralcodec.training.trainer.load_in_background", iter)

    class Killed(Observer):
        def stepped(self, step: int, steps: int, loss: float) -> None:
            if step == 3:
                raise KeyboardInterrupt

    often = replace(options(tmp_path), save_every=2, log_every=1)
    whole = start(cache, tmp_path / "whole", 4, often)
    whole.run()
    with pytest.raises(KeyboardInterrupt):
        start(cache, tmp_path / "parts", 4, often, observers=[Killed()]).run()
    log = tmp_path / "parts" / "log.jsonl"
    log.write_text(log.read_text() + '{"step": 3, "seconds": 4, "val')
    second = start(cache, tmp_path / "parts", 4, often)
    assert second.state.position.step == 2
    second.run()
    assert differences(state_of(whole), state_of(second)) == []
    assert [entry["step"] for entry in read_log(tmp_path / "parts")] == [0, 1, 2, 3, 4]


def test_another_run_does_not_go_on_from_a_checkpoint(cache: Path, tmp_path: Path):
    start(cache, tmp_path, 4, options(tmp_path)).save()
    with pytest.raises(UsageError, match=r"checkpoint.pt was begun with seed 0: go on with"):
        start(cache, tmp_path, 4, replace(options(tmp_path), seed=1))


def test_a_damaged_checkpoint_is_named(cache: Path, tmp_path: Path):
    start(cache, tmp_path, 4, options(tmp_path)).save()
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"checkpoint.pt: no checkpoint of this version"):
        start(cache, tmp_path, 4, options(tmp_path))
