"""`ncodec train`: footage in, a weights file out."""

import shutil
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from neuralcodec.atomic_file import AtomicFile, check_target, output_errors
from neuralcodec.codec.device import find_device
from neuralcodec.errors import OutputError
from neuralcodec.model.model_name import check_name
from neuralcodec.training.before_and_after import BeforeAndAfter
from neuralcodec.training.beginning import Beginning, begin_run, beginning_of
from neuralcodec.training.checkpoint import read_checkpoint
from neuralcodec.training.interruption import Interrupted, StopRequest, stop_requests
from neuralcodec.training.own_footage import OwnFootage, cache_footage
from neuralcodec.training.run_log import Observer, read_log
from neuralcodec.training.run_options import Ending, RunOptions
from neuralcodec.training.team import Team, team_of
from neuralcodec.training.trainer import Trainer

FOLDER_SUFFIX = ".training"  # of the folder beside the output: frames, checkpoint, log
TRIAL_STEPS = 12  # by which the length of a schedule is fitted to minutes
NOT_TIMED = 4  # of these: batches lie ready then
TIME_FOR_STEPS = 0.9  # of what validations leave: longer sequences take longer
FEWEST_STEPS = 60  # fewer would not be the schedule that the trial steps began
VALIDATIONS = 10


@dataclass(frozen=True)
class TrainingRequest:
    """What the user asks for."""

    data: Path
    out: Path
    model: str = "fast"
    steps: int | None = None
    minutes: float | None = None
    held_out: tuple[str, ...] = ()
    cache: Path | None = None
    device: str = "auto"
    seed: int = 0
    compile: bool = False

    @property
    def folder(self) -> Path:
        return self.out.with_name(self.out.stem + FOLDER_SUFFIX)


@dataclass(frozen=True)
class TrainingSummary:
    """What a run came to. Rates: at equal PSNR, in percent, as `comparison.py` measures them."""

    ending: Ending
    signal: int | None  # that interrupted it
    step: int
    steps: int  # of the schedule
    best_step: int  # of the weights kept
    skipped: int
    seconds: float  # of training, in all
    clips: int
    frames: int
    set_aside: str
    started_from: str | None
    compared: str | None  # on what; None where nothing could be compared
    saved_bits: float | None  # against the model it began with; negative where fewer are needed
    bd_rate_x265: float | None  # of the weights kept
    bd_rate_x265_before: float | None  # of the model it began with
    folder: Path


def train(
    request: TrainingRequest,
    *,
    overwrite: bool = False,
    observers: Sequence[Observer] = (),
    tell: Callable[[str], None] = lambda text: None,
) -> TrainingSummary | None:
    """Trains, or goes on where the last run to the same output was interrupted; the best weights
    end up in `request.out`, unless it was interrupted again.

    None for all processes of `torchrun` but the first. Raises NcodecError, and Interrupted where
    the training did not come to begin."""
    check_target(request.out, overwrite)
    beginning = _named_for(request.out, beginning_of(request.model))
    with team_of(find_device(request.device)) as team:
        footage = _footage_of(request, beginning.schedule().longest, team, tell)
        with stop_requests() as stop:
            began = time.monotonic()
            comparison = _compared_before(request, beginning, footage, team, stop, tell)
            minutes = request.minutes
            if minutes and comparison:
                measuring = time.monotonic() - began + comparison.seconds
                minutes = max(minutes - measuring / 60, minutes / 2)
            request = replace(request, minutes=minutes)
            trainer = _begin(request, beginning, footage, team, observers, stop)
            start = trainer.state.position.step
            if team.leads and start:
                tell(f"going on from step {start} of {trainer.schedule.steps}")
            elif team.leads:
                tell(f"set aside to check the training: {footage.set_aside}")
            ending = _run(request, trainer)
            if comparison is None:
                return None
            asked = ending is Ending.ASKED
            number = stop.number if asked else None
            if not asked:
                with trainer.best_weights.open("rb") as best, AtomicFile(request.out, True) as file:
                    shutil.copyfileobj(best, file.file)
                tell(f"{request.out} is written")
                no_better = _best_step(request) == 0
                comparison.measure_after(request.out, is_as_before=no_better)
        return _summary(request, trainer, footage, comparison, ending, number)


def _named_for(out: Path, beginning: Beginning) -> Beginning:
    """Videos name their model: the new one is called as its file is."""
    try:
        return replace(beginning, config=replace(beginning.config, name=check_name(out.stem)))
    except ValueError as error:
        raise OutputError(f"cannot write {out}: {error}") from error


def _footage_of(
    request: TrainingRequest, longest: int, team: Team, tell: Callable[[str], None]
) -> OwnFootage:
    """The first process of a team reads the clips; the others find them read."""
    cache = request.cache or request.folder / "cache"

    def read(say: Callable[[str], None]) -> OwnFootage:
        return cache_footage(request.data, cache, request.held_out, longest=longest, tell=say)

    if team.leads:
        footage = read(tell)
        team.any(False)
        return footage
    team.any(False)
    return read(lambda text: None)


def _compared_before(
    request: TrainingRequest,
    beginning: Beginning,
    footage: OwnFootage,
    team: Team,
    stop: StopRequest,
    tell: Callable[[str], None],
) -> BeforeAndAfter | None:
    """Only the first process of a team compares; the others wait. Raises Interrupted, in all."""
    comparison = None
    if team.leads:
        with output_errors(request.folder):
            request.folder.mkdir(parents=True, exist_ok=True)
        comparison = BeforeAndAfter(
            footage, request.out, request.folder, str(team.device), request.minutes, stop, tell
        )
        if beginning.weights:
            with suppress(Interrupted):
                comparison.measure_before(str(beginning.weights))
    if team.any(stop()):
        raise Interrupted(stop.number or signal.SIGINT)
    return comparison


def _begin(
    request: TrainingRequest,
    beginning: Beginning,
    footage: OwnFootage,
    team: Team,
    observers: Sequence[Observer],
    asked_to_stop: Callable[[], bool],
) -> Trainer:
    schedule = beginning.schedule(request.steps)
    saved = read_checkpoint(request.folder / "checkpoint.pt", torch.device("cpu"))
    if saved and request.steps is None:
        schedule = saved.schedule
    options = RunOptions(
        request.cache or request.folder / "cache",
        request.folder,
        request.seed,
        footage.held_out,
        log_every=50,
        save_every=100,
        minutes=request.minutes if request.steps else None,
        compile=request.compile,
    )
    return begin_run(beginning, schedule, options, team, observers, asked_to_stop)


def _run(request: TrainingRequest, trainer: Trainer) -> Ending:
    """With minutes alone, a few steps tell how many fit: what a schedule does at its beginning
    does not depend on its length."""
    start = trainer.state.position.step
    if request.minutes and not request.steps and start <= TRIAL_STEPS:
        begun, pace = time.monotonic(), _Pace()
        trainer.log.observers = (*trainer.log.observers, pace)
        ending = trainer.run(until=start + TRIAL_STEPS)
        if ending is not None:
            return ending
        left = 60 * request.minutes - (time.monotonic() - begun)
        left -= VALIDATIONS * trainer.validation_seconds
        more = int(TIME_FOR_STEPS * left / pace.seconds) if pace.times else 0
        # The first process of a team decides for all.
        more = int(trainer.team.gather([max(more, FEWEST_STEPS)])[0, 0])
        trainer.schedule = replace(trainer.schedule, steps=start + TRIAL_STEPS + more)
        trainer.save()
    trainer.options = replace(
        trainer.options, validate_every=max(trainer.schedule.steps // VALIDATIONS, 1)
    )
    ending = trainer.run()
    assert ending is not None
    return ending


class _Pace(Observer):
    """Seconds of a step."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def stepped(self, step: int, steps: int, loss: float) -> None:
        self.times.append(time.monotonic())

    @property
    def seconds(self) -> float:
        timed = self.times[NOT_TIMED:]
        return (timed[-1] - timed[0]) / (len(timed) - 1)


def _summary(
    request: TrainingRequest,
    trainer: Trainer,
    footage: OwnFootage,
    comparison: BeforeAndAfter,
    ending: Ending,
    number: int | None,
) -> TrainingSummary:
    position = trainer.state.position
    before, after = comparison.before, comparison.after
    return TrainingSummary(
        ending=ending,
        signal=number,
        step=position.step,
        steps=trainer.schedule.steps,
        best_step=_best_step(request),
        skipped=position.skipped,
        seconds=position.seconds,
        clips=len({entry.clip for entry in footage.entries}),
        frames=footage.frames,
        set_aside=footage.set_aside,
        started_from=trainer.options.started_from,
        compared=comparison.text,
        saved_bits=comparison.saved_bits,
        bd_rate_x265=after.over_x265 if after else None,
        bd_rate_x265_before=before.over_x265 if before else None,
        folder=request.folder,
    )


def _best_step(request: TrainingRequest) -> int:
    validations = [entry for entry in read_log(request.folder) if "validation" in entry]
    step: int = min(validations, key=lambda entry: entry["validation"]["score"])["step"]
    return step
