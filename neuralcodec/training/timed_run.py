"""A run that ends by the clock, with its results written out every few minutes and at the end."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch.cuda import OutOfMemoryError

from neuralcodec.atomic_file import AtomicFile
from neuralcodec.errors import DeviceError, reason_of
from neuralcodec.model.model_file import model_bytes
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.crops import crops_of
from neuralcodec.training.drawn_batches import BatchPool, BatchSource
from neuralcodec.training.gpu_recipe import STEPS_ALIKE, TimedSchedule
from neuralcodec.training.graphed_step import GraphedStep
from neuralcodec.training.returned_files import write_pieces
from neuralcodec.training.run_log import Observer
from neuralcodec.training.run_options import RunOptions
from neuralcodec.training.sequences import Sequences
from neuralcodec.training.team import Team
from neuralcodec.training.trainer import Trainer
from neuralcodec.training.validation import Figures, Validation

SPARE = 5.0  # seconds at the end
CAUTION = 1.3  # the validation at the end may take longer than the one at the beginning
LEAST_FOR_TWO = 60.0  # seconds left, under which there is no validation at all


@dataclass(frozen=True)
class Returned:
    """What goes back: at most `all_bytes` together, in pieces of `piece_bytes`."""

    out: Path
    piece_bytes: int
    all_bytes: int
    save_every: float = 120.0  # seconds
    log_every: float = 10.0


class TimedRun(Trainer):
    """deadline: by time.monotonic, of everything. Attributes: `table`, rows of the validations."""

    def __init__(
        self,
        model: VideoModel,
        schedule: TimedSchedule,
        options: RunOptions,
        device: torch.device,
        returned: Returned,
        deadline: float,
        observers: Sequence[Observer] = (),
        asked_to_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(model, schedule, options, Team(device=device), observers, asked_to_stop)
        self.timed = schedule
        self.graphed: GraphedStep | None = None
        if device.type == "cuda" and not options.compile:
            self.graphed = GraphedStep(model, super()._gradients)
        self.parts = 1  # that a batch is cut into, and the first of them trained on
        self.returned, self.deadline = returned, deadline
        self.table: list[tuple[int, Figures]] = []
        self._validation_seconds = self._ship_seconds = 0.0

    def begin_at(self, step: int, seconds: float) -> None:
        """Of a run whose weights went back without their checkpoint."""
        position = self.state.position
        if position.step < step:
            position.step, position.seconds = step, seconds

    def run_until_deadline(self, planned: float | None, workers: int, search: bool) -> None:
        """planned: training seconds over all calls, for the schedule; None: these and those before.
        search: for motion in the workers, not on the device."""
        position = self.state.position
        source = BatchSource(
            self.options.cache,
            frozenset(self.options.held_out),
            self.state.model.config,
            self.options.seed,
            search,
            STEPS_ALIKE if self.graphed else 1,
        )
        pool = BatchPool(source, self.timed, position.step, workers)
        try:
            self._plan(planned)
            pool.fill()  # the workers start while the device is busy with the validation
            if self._crops and self._seconds_left > LEAST_FOR_TWO:
                self._validation_seconds = _seconds(self.measure)
            self._ship_seconds = _seconds(self.ship)
            self._plan(planned)
            before = position.step
            self._train_until(pool)
            if position.step > before:
                self.ship()  # first: what a validation that takes too long loses is a table
                if self._validation_seconds < self._seconds_left:
                    self.measure()
                    self._return_log()
        finally:
            pool.close()

    def measure(self) -> None:
        if self._crops is None:
            return
        figures = self._crops.measure(self.state.averaged)
        step = self.state.position.step
        self.table.append((step, figures))
        self.log.write({"step": step, "validation": figures.entry()})

    def ship(self) -> None:
        """The checkpoint in the run's own folder; to `returned.out` what may go back."""
        self.save()
        limit, piece, out = self.returned.all_bytes, self.returned.piece_bytes, self.returned.out
        averaged, step = self.state.averaged, self.state.position.step
        weights = model_bytes(averaged, self.record())
        if len(weights) > limit:
            weights = model_bytes(averaged.with_fast_networks(torch.float16), self.record())
        if len(weights) <= piece:
            with AtomicFile(out / "weights.safetensors", overwrite=True) as file:
                file.file.write(weights)
        else:
            write_pieces(out, "weights", step, weights, piece)
        if len(weights) + self.checkpoint.stat().st_size <= limit:
            write_pieces(out, "checkpoint", step, self.checkpoint.read_bytes(), piece)
        self._return_log()

    def _return_log(self) -> None:
        if self.log.path and self.log.path.exists():
            with AtomicFile(self.returned.out / "log.jsonl", overwrite=True) as file:
                file.file.write(self.log.path.read_bytes())

    def _plan(self, planned: float | None) -> None:
        """Starts the clock of the schedule for the time that is left."""
        before = self.state.position.seconds
        own = max(self._seconds_left - self._needed_at_end, 1.0)
        self.timed.clock.start(before, planned or before + own)

    @property
    def _seconds_left(self) -> float:
        return self.deadline - time.monotonic()

    @property
    def _needed_at_end(self) -> float:
        return SPARE + CAUTION * (self._validation_seconds + self._ship_seconds)

    @cached_property
    def _crops(self) -> Validation | None:
        crops = crops_of(self.held_out)
        return Validation(crops, self.state.model.config, self.device) if crops else None

    def _train_until(self, pool: BatchPool) -> None:
        position, clock = self.state.position, self.timed.clock
        logged = shipped = time.monotonic()
        waited, longest = 0.0, 0.0
        batches = pool.batches(self.device)
        while not self.asked_to_stop():
            begun = time.monotonic()
            if begun + longest + self._needed_at_end > self.deadline:
                break
            batch = next(batches)
            waited += time.monotonic() - begun
            row = self._train_on_what_fits(batch)
            if row is None:
                continue
            position.figures.append(row)
            position.step += 1
            position.seconds = clock.seconds
            now = time.monotonic()
            longest = max(now - begun, 0.9 * longest)
            if now - logged > self.returned.log_every:
                self._log_speed(batch, waited, now - logged)
                logged, waited = now, 0.0
            if now - shipped > self.returned.save_every:
                self.ship()
                shipped = time.monotonic()
        if position.figures:
            self._log()

    def _train_on_what_fits(self, batch: Sequences) -> list[float] | None:
        """None where the memory did not suffice: the next batches are smaller."""
        items = len(batch.y) // self.parts
        try:
            return self._train(batch.first(items), None)[0]
        except OutOfMemoryError as error:
            if items == 1:
                raise DeviceError(
                    "the memory of the device does not suffice for one clip"
                ) from error
        self.parts *= 2
        torch.cuda.empty_cache()
        self.log.notice(f"the memory of the device is full: batches of 1/{self.parts} from now on")
        return None

    def _gradients(self, batch: Sequences) -> tuple[Tensor, Tensor]:
        if self.graphed:
            try:
                return self.graphed(batch)
            except OutOfMemoryError:
                raise
            except RuntimeError as error:
                reason = reason_of(error)
                self.log.notice(f"steps cannot be recorded, and run one by one: {reason}")
                self.graphed = None
        return super()._gradients(batch)

    def _log_speed(self, batch: Sequences, waited: float, passed: float) -> None:
        steps = len(self.state.position.figures)
        speed: dict[str, object] = {
            "step": self.state.position.step,
            "progress": round(self.timed.clock.progress, 4),
            "batch": list(batch.y.shape),
            "steps_per_second": round(steps / passed, 3),
            "waited": round(waited / passed, 3),  # for batches and motion, share of the time
        }
        if self.device.type == "cuda":
            speed["gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 1)
        self._log()
        self.log.write(speed)


def _seconds(work: Callable[[], None]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started
