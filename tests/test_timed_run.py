"""Training by the clock: it ends in time, and goes on elsewhere from what it gave back."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.cuda import OutOfMemoryError
from training_runs import TINY, make_cache

from neuralcodec.model.model_file import load_model, model_bytes
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.drawn_batches import BatchSource
from neuralcodec.training.gpu_beginning import GpuBeginning, fetch_earlier
from neuralcodec.training.gpu_recipe import TimedSchedule, TrainingClock
from neuralcodec.training.graphed_step import GraphedStep
from neuralcodec.training.linear_start import initialise
from neuralcodec.training.run_log import Observer
from neuralcodec.training.run_options import RunOptions
from neuralcodec.training.sampling import Sampler, open_cache
from neuralcodec.training.schedule import Phase
from neuralcodec.training.sequences import Sequences
from neuralcodec.training.timed_run import Returned, TimedRun
from neuralcodec.training.trainer import Trainer

CPU = torch.device("cpu")
PHASES = (Phase(0.0, 2, 3, 32), Phase(0.5, 1, 3, 48))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def weights(cache: Path) -> Path:
    """Of a tiny model at its beginning."""
    torch.manual_seed(0)
    model = VideoModel(TINY)
    initialise(model, Sampler(open_cache(cache), 0), rounds=1)
    path = cache / "tiny.safetensors"
    path.write_bytes(model_bytes(model, {}))
    return path


def begin(
    weights: Path,
    folder: Path,
    *,
    all_bytes: int = 10**8,
    piece_bytes: int = 10**6,
    device: torch.device = CPU,
    stop: Callable[[TimedRun], bool] = lambda run: False,
) -> TimedRun:
    """A run in this folder: a new one, or that of its checkpoint."""
    (folder / "out").mkdir(parents=True, exist_ok=True)
    has_checkpoint = (folder / "run" / "checkpoint.pt").exists()
    beginning = GpuBeginning(TINY, weights, is_trained=True, has_checkpoint=has_checkpoint)
    model, _ = beginning.build(weights.parent, frozenset(), 0)
    run = TimedRun(
        model,
        TimedSchedule(10**9, 1e-3, phases=PHASES),
        RunOptions(weights.parent, folder / "run"),
        device,
        Returned(folder / "out", piece_bytes, all_bytes),
        time.monotonic() + 1000.0,
        asked_to_stop=lambda: stop(run),
    )
    run.resume()
    return run


def after(steps: int) -> Callable[[TimedRun], bool]:
    return lambda run: run.state.position.step >= steps


def test_a_run_goes_on_from_what_it_gave_back(weights: Path, tmp_path: Path):
    first = begin(weights, tmp_path / "here", piece_bytes=40_000, stop=after(2))
    first.run_until_deadline(None, workers=0, search=True)
    assert first.state.position.step == 2
    fetch_earlier(tmp_path / "here" / "out", tmp_path / "there" / "run")
    second = begin(weights, tmp_path / "there", stop=after(3))
    assert second.state.position.step == 2
    assert second.state.position.seconds == first.state.position.seconds
    pairs = zip(
        [*first.state.model.parameters(), *_moments(first)],
        [*second.state.model.parameters(), *_moments(second)],
        strict=True,
    )
    assert all(torch.equal(a, b) for a, b in pairs)
    second.run_until_deadline(None, workers=0, search=False)
    assert second.state.position.step == 3
    log = (tmp_path / "there" / "out" / "log.jsonl").read_text()
    assert '"step": 2' in log and '"step": 3' in log


def _moments(run: TimedRun) -> list[torch.Tensor]:
    states = run.state.optimizer.state_dict()["state"].values()
    return [state[name] for state in states for name in ("exp_avg", "exp_avg_sq")]


def test_the_weights_given_back_are_a_model(weights: Path, tmp_path: Path):
    run = begin(weights, tmp_path, stop=after(1))
    run.run_until_deadline(None, workers=0, search=True)
    installed = load_model(str(tmp_path / "out" / "weights.safetensors"))
    assert (installed.name, installed.record["steps"]) == ("tiny", 1)
    for ours, theirs in zip(
        run.state.averaged.parameters(), installed.model.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_weights_too_large_go_back_in_half_precision_without_the_checkpoint(
    weights: Path, tmp_path: Path
):
    run = begin(weights, tmp_path / "here", all_bytes=260_000, stop=after(1))
    run.run_until_deadline(None, workers=0, search=True)
    assert not list((tmp_path / "here" / "out").glob("checkpoint*"))
    fetch_earlier(tmp_path / "here" / "out", tmp_path / "there")
    model = load_model(str(tmp_path / "there" / "earlier.safetensors")).model
    ours, theirs = run.state.averaged.intra.head.weight, model.intra.head.weight
    assert torch.equal(ours.half().float(), theirs)
    assert torch.equal(run.state.averaged.intra.linear.forward_basis,
                       model.intra.linear.forward_basis)  # fmt: skip


def test_a_run_ends_in_time_for_its_validation_and_files(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """By a clock on which a step takes 10 s, a validation 30 s and writing the files 5 s."""
    run = begin(weights, tmp_path)
    now = run.deadline - 200.0
    monkeypatch.setattr(time, "monotonic", lambda: now)

    def takes(seconds: float, result: object) -> Callable[..., object]:
        def work(*args: object) -> object:
            nonlocal now
            now += seconds
            return result

        return work

    monkeypatch.setattr(run, "_train", takes(10.0, ([0.0] * 5, None)))
    monkeypatch.setattr(run, "measure", takes(30.0, None))
    monkeypatch.setattr(run, "ship", takes(5.0, None))
    monkeypatch.setattr(TimedRun, "_crops", True)
    run.run_until_deadline(None, workers=0, search=True)
    # 30 + 5 before, 5 + 1.3 * 35 after; the first step is not foreseen, others are
    assert run.state.position.step == (200 - 35 - 50.5) // 10
    assert 0 < run.deadline - now < 30


def test_phase_and_rate_follow_the_clock(monkeypatch: pytest.MonkeyPatch):
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    schedule = TimedSchedule(10**9, 1e-3, phases=PHASES, clock=TrainingClock(1.0))
    schedule.clock.start(before=20.0, planned=100.0)
    assert schedule.phase(500) == PHASES[0]
    assert schedule.rate(0) == pytest.approx(1e-5)
    assert schedule.rate(500) == pytest.approx(1e-3)
    now = 1030.0
    assert schedule.phase(500) == PHASES[1]
    now = 1080.0
    assert schedule.rate(500) == pytest.approx(2e-5)


def test_batches_shrink_where_the_memory_is_full(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    sizes: list[int] = []
    train = Trainer._train

    def with_little_memory(self: Trainer, batch: Sequences, wish: None) -> object:
        sizes.append(len(batch.y))
        assert len(sizes) < 4
        if len(batch.y) > 1:
            raise OutOfMemoryError("full")
        return train(self, batch, wish)

    monkeypatch.setattr(Trainer, "_train", with_little_memory)
    begin(weights, tmp_path, stop=after(2)).run_until_deadline(None, workers=0, search=True)
    assert sizes == [2, 1, 1]


def test_a_step_that_cannot_be_recorded_runs_as_ever(weights: Path, tmp_path: Path):
    class Refusing(GraphedStep):
        def __call__(self, batch: Sequences) -> tuple[torch.Tensor, torch.Tensor]:
            raise RuntimeError("operation not permitted when stream is capturing")

    class Listening(Observer):
        def noticed(self, text: str) -> None:
            notices.append(text)

    notices: list[str] = []
    run = begin(weights, tmp_path, stop=after(2))
    run.log.observers = [Listening()]
    run.graphed = Refusing(run.state.model, run._gradients)
    before = run.state.model.intra.head.weight.clone()
    run.run_until_deadline(None, workers=0, search=True)
    assert run.state.position.step == 2
    assert not torch.equal(run.state.model.intra.head.weight, before)
    assert [text for text in notices if "one by one: operation not permitted" in text] == notices


@pytest.mark.gpu
def test_a_recorded_step_gives_the_gradients_of_the_step_itself(weights: Path, tmp_path: Path):
    run = begin(weights, tmp_path, device=torch.device("cuda"))
    source = BatchSource(weights.parent, frozenset(), TINY, seed=0, search=False)
    model = run.state.model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    for step in range(3):
        batch = source.on_device(source.draw(step, PHASES[0]), torch.device("cuda"))
        losses, gradients = [], []
        assert run.graphed
        for gradients_of in (partial(Trainer._gradients, run), run.graphed):
            torch.manual_seed(step)
            losses.append(gradients_of(batch)[0].item())
            gradients.append(torch.cat([p.grad.flatten() for p in parameters]))
        assert losses[1] == pytest.approx(losses[0], rel=1e-3)
        # atomic additions come in any order
        assert (gradients[1] - gradients[0]).norm() < 1e-2 * gradients[0].norm()
        with torch.no_grad():
            for parameter in parameters:
                parameter.mul_(1.02)


@pytest.mark.gpu
def test_a_run_on_a_gpu_searches_for_motion_there(weights: Path, tmp_path: Path):
    run = begin(weights, tmp_path, device=torch.device("cuda"), stop=after(2))
    run.run_until_deadline(None, workers=1, search=False)
    assert run.state.position.step == 2
