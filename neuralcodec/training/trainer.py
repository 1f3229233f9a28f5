"""The training loop: resumes exactly, guards against blow-ups, validates, keeps the best."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from neuralcodec.atomic_file import AtomicFile, output_errors
from neuralcodec.errors import InputError
from neuralcodec.model.layers import Block
from neuralcodec.model.model_file import model_bytes
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.checkpoint import (
    RunIdentity,
    TrainingState,
    read_checkpoint,
    write_checkpoint,
)
from neuralcodec.training.crops import crops_of, some_crops
from neuralcodec.training.run_log import Observer, RunLog, mean_figures
from neuralcodec.training.run_options import Ending, RunOptions
from neuralcodec.training.sampling import open_cache
from neuralcodec.training.schedule import Schedule
from neuralcodec.training.sequences import Sequences
from neuralcodec.training.stream import BatchStream, load_in_background
from neuralcodec.training.team import Team
from neuralcodec.training.training_step import TrainingStep
from neuralcodec.training.validation import Validation, overfits

GRADIENT_LIMIT = 1.0
BLOW_UP = 4.0  # a loss this many times the running mean is skipped
WATCH_FROM = 200  # steps: at the beginning losses fall too fast for that


class Trainer:
    """One run of one model. `run` returns when the schedule or the time is over.

    asked_to_stop: looked at before every step; the run ends after that one, with a checkpoint.
    """

    def __init__(
        self,
        model: VideoModel,
        schedule: Schedule,
        options: RunOptions,
        team: Team,
        observers: Sequence[Observer] = (),
        asked_to_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.schedule, self.options, self.team = schedule, options, team
        self.device = team.device
        self.asked_to_stop = asked_to_stop
        self.validation_seconds = 0.0  # of the last one
        held_out = frozenset(options.held_out)
        clips = open_cache(options.cache)
        self.clips = [clip for clip in clips if clip.name not in held_out]
        self.held_out = [clip for clip in clips if clip.name in held_out]
        self._check_clips()
        model.to(self.device)
        if self.device.type == "cuda":  # convolutions; on a CPU they are matrix products
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        model.motion_prior.requires_grad_(False)  # learns from what encoders choose, elsewhere
        self.state = TrainingState(model, schedule.learning_rate)
        if options.compile:
            for module in model.modules():
                if isinstance(module, Block):
                    module.compile()
        self.learning = team.joined(TrainingStep(model))
        self.identity = RunIdentity(
            model.config.to_json(),
            options.seed,
            tuple(clip.name for clip in self.clips),
            options.held_out,
            options.started_from,
        )
        with output_errors(options.out):
            options.out.mkdir(parents=True, exist_ok=True)
        self.log = RunLog(options.out if team.leads else None, observers)

    @property
    def checkpoint(self) -> Path:
        return self.options.out / "checkpoint.pt"

    @property
    def best_weights(self) -> Path:
        return self.options.out / "best.safetensors"

    def resume(self) -> None:
        """From the checkpoint of the run's folder, when there is one.

        Raises UsageError where that is of another run, InputError where it cannot be read."""
        saved = read_checkpoint(self.checkpoint, self.device)
        if saved is None:
            self.log.forget_after(-1)
            return
        saved.check_same(self.identity)
        self.state.restore(saved.state)
        self.log.forget_after(self.state.position.step)

    def save(self) -> None:
        if self.team.leads:
            write_checkpoint(self.checkpoint, self.identity, self.schedule, self.state)

    def run(self, until: int | None = None) -> Ending | None:
        """To the end of the schedule, or until so many steps are done; that gives None."""
        try:
            return self._run(until)
        except RuntimeError:
            if not self.asked_to_stop():
                raise
            # Who ends all processes at once has ended the one that reads; a step may be half done.
            self.resume()
            return Ending.ASKED

    def _run(self, until: int | None) -> Ending | None:
        options, position = self.options, self.state.position
        until = self.schedule.steps if until is None else until
        if position.step >= until:
            return Ending.STEPS if position.step >= self.schedule.steps else None
        stream = BatchStream(
            options.cache,
            frozenset(options.held_out),
            self.state.model.config,
            self.schedule,
            self.team.own_seed(options.seed),
            position.step,
        )
        started, before = time.monotonic(), position.seconds
        if position.step == 0:
            self.log.write({"step": 0, "run": self.record()})
            self._validate()
        for batch in load_in_background(stream):
            ending = self._wish(position.seconds - before)
            row, ending = self._train(batch, ending)
            position.figures.append(row)
            position.step += 1
            position.seconds = before + time.monotonic() - started
            if position.step >= self.schedule.steps:
                ending = Ending.STEPS
            is_over = ending is not None or position.step >= until
            for observer in self.log.observers:
                observer.stepped(position.step, self.schedule.steps, row[0])
            if position.step % options.log_every == 0 or ending in (Ending.STEPS, Ending.TIME):
                self._log()
            due = position.step % options.validate_every == 0
            if (due or ending in (Ending.STEPS, Ending.TIME)) and self._validate():
                ending, is_over = Ending.OVERFITTING, True
            if position.step % options.save_every == 0 or is_over:
                self.save()
            if is_over:
                return ending
        raise AssertionError("the stream of batches ended before the schedule")

    def _check_clips(self) -> None:
        """Raises InputError where the sampler would look for a sequence without end."""
        longest = max((len(clip.frames) for clip in self.clips), default=0)
        if longest < self.schedule.longest:
            raise InputError(
                f"{self.options.cache}: the longest clip to train on has {longest} frames; "
                f"{self.schedule.longest} are needed"
            )
        missing = set(self.options.held_out) - {clip.name for clip in self.held_out}
        if missing:
            raise InputError(f"{self.options.cache}: no clip {sorted(missing)[0]} to hold out")

    def _wish(self, seconds: float) -> Ending | None:
        """Whether this process wants to stop after the coming step."""
        if self.asked_to_stop():
            return Ending.ASKED
        limit = self.options.minutes
        return Ending.TIME if limit and seconds > 60 * limit else None

    def _train(self, batch: Sequences, wish: Ending | None) -> tuple[list[float], Ending | None]:
        """One step. Gives its figures and, where one of the team wants to stop, why."""
        position, team = self.state.position, self.team
        torch.manual_seed(team.own_seed(self.options.seed * 1_000_003 + position.step))
        for group in self.state.optimizer.param_groups:
            group["lr"] = self.schedule.rate(position.step)
        self.state.model.train()
        loss, figures = self._gradients(batch.to(self.device))
        norm = torch.nn.utils.clip_grad_norm_(self.state.model.parameters(), GRADIENT_LIMIT)
        endings = list(Ending)
        number = endings.index(wish) if wish else -1
        found = team.gather([float(loss), *figures.tolist(), number])
        row: list[float] = found[:, :-1].mean(0).tolist()
        if self._is_sound(row[0], norm):
            self.state.optimizer.step()
            self.state.average()
        else:
            position.skipped += 1
        last = int(found[:, -1].max())
        return row, endings[last] if last >= 0 else None

    def _gradients(self, batch: Sequences) -> tuple[Tensor, Tensor]:
        """Sets the gradients; gives loss and figures."""
        with torch.autocast(self.device.type, torch.bfloat16):
            loss, figures = self.learning(batch)
        self.state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        return loss.detach(), figures

    def _is_sound(self, loss: float, norm: Tensor) -> bool:
        if not bool(torch.isfinite(norm)):
            return False
        position = self.state.position
        usual = loss if position.usual_loss is None else position.usual_loss
        position.usual_loss = usual + 0.01 * (min(loss, 2 * usual) - usual)
        return position.step < WATCH_FROM or loss < BLOW_UP * usual

    def _log(self) -> None:
        position = self.state.position
        entry = {
            "step": position.step,
            "seconds": round(position.seconds),
            "skipped": position.skipped,
            **mean_figures(position.figures),
            "rate": round(self.schedule.rate(position.step - 1), 7),
        }
        position.figures.clear()
        self.log.write(entry)

    @cached_property
    def _validation(self) -> tuple[Validation, Validation | None] | None:
        """Of the clips held out, and of some to train on; None where nothing is held out."""
        if not self.team.leads or not self.held_out:
            return None
        held_out = crops_of(self.held_out)
        if not held_out:
            raise InputError(f"{self.options.cache}: the clips held out are too short to validate")
        trained = some_crops(self.clips, len(held_out))
        config = self.state.model.config
        return (
            Validation(held_out, config, self.device),
            Validation(trained, config, self.device) if trained else None,
        )

    def _validate(self) -> bool:
        """Keeps the best weights. True where the run should end because it overfits."""
        position = self.state.position
        over = False
        if self._validation is not None:
            of_held_out, of_trained = self._validation
            started = time.monotonic()
            held_out = of_held_out.measure(self.state.averaged)
            trained = of_trained.measure(self.state.averaged) if of_trained else None
            self.validation_seconds = time.monotonic() - started
            entry: dict[str, object] = {"step": position.step, "validation": held_out.entry()}
            if trained:
                entry["training_crops"] = trained.entry()
                position.scores.append((held_out.score, trained.score))
                over = overfits(position.scores, self.options.patience)
            self.log.write(entry)
            for observer in self.log.observers:
                observer.validated(position.step, held_out, trained)
            if held_out.score < position.best:
                position.best = held_out.score
                self.write_weights()
        elif self.team.leads and not self.held_out:
            self.write_weights()
        return self.team.any(over)

    def write_weights(self) -> None:
        with AtomicFile(self.best_weights, overwrite=True) as file:
            file.file.write(model_bytes(self.state.averaged, self.record()))

    def record(self) -> dict[str, object]:
        """What the model file says about its making."""
        position = self.state.position
        return {
            "data": list(self.identity.clips),
            "held_out": list(self.options.held_out),
            "started_from": self.options.started_from,
            "steps": position.step,
            "skipped": position.skipped,
            "hours": round(position.seconds / 3600, 2),
            "device": device_text(self.device)
            + f", {self.team.size} of them" * (self.team.size > 1),
            "seed": self.options.seed,
            "schedule": asdict(self.schedule),
        }


def device_text(device: torch.device) -> str:
    """'NVIDIA H100 80GB HBM3', '2 CPU threads'."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} CPU threads"
