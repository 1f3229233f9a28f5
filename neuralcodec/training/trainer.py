"""The training loop: resumes exactly, guards against blow-ups, validates, keeps the best."""

import copy
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from neuralcodec.model.video_model import VideoModel
from neuralcodec.model.zoo import model_bytes
from neuralcodec.training.objective import FrameCost, sequence_costs, sequence_loss
from neuralcodec.training.sampling import open_cache
from neuralcodec.training.schedule import Schedule
from neuralcodec.training.stream import Batch, BatchStream, load_in_background
from neuralcodec.training.validation import Validation

GRADIENT_LIMIT = 1.0
AVERAGING = 0.999  # decay of the running mean of the weights, which is what is kept
BLOW_UP = 4.0  # a loss this many times the running mean is skipped
EXACT_RATE = 1.0  # learning rate of the exact layers relative to the others


@dataclass(frozen=True)
class RunOptions:
    cache: Path
    out: Path  # folder of the run: checkpoint.pt, log.jsonl, best.safetensors
    seed: int = 0
    held_out: tuple[str, ...] = ()
    validate_every: int = 2000
    save_every: int = 500
    log_every: int = 200
    minutes: float | None = None  # stop early after this long
    count_vectors: bool = True  # train the prior of the vectors too
    started_from: str | None = None  # model file that the run began with


class Trainer:
    """One run of one model. `run` returns when the schedule or the time is over."""

    def __init__(
        self, model: VideoModel, schedule: Schedule, options: RunOptions, device: torch.device
    ) -> None:
        model = model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model = model
        self.schedule, self.options, self.device = schedule, options, device
        self.averaged = copy.deepcopy(model).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=schedule.learning_rate, betas=(0.9, 0.99), weight_decay=0
        )
        self.step = 0
        self.seconds = 0.0
        self.skipped = 0
        self.usual_loss: float | None = None
        self.best = float("inf")
        clips = open_cache(options.cache, frozenset(options.held_out))
        self.clips = [clip.name for clip in clips]
        options.out.mkdir(parents=True, exist_ok=True)

    @property
    def checkpoint(self) -> Path:
        return self.options.out / "checkpoint.pt"

    def resume(self) -> None:
        """From the checkpoint of the run's folder, when there is one."""
        if not self.checkpoint.exists():
            return
        saved = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.model.load_state_dict(saved["model"])
        self.averaged.load_state_dict(saved["averaged"])
        self.optimizer.load_state_dict(saved["optimizer"])
        for field in ("step", "seconds", "skipped", "usual_loss", "best"):
            setattr(self, field, saved[field])

    def save(self) -> None:
        saved = {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        for field in ("step", "seconds", "skipped", "usual_loss", "best"):
            saved[field] = getattr(self, field)
        temporary = self.checkpoint.with_suffix(".new")
        torch.save(saved, temporary)
        temporary.replace(self.checkpoint)

    def run(self) -> None:
        options = self.options
        held_out = frozenset(options.held_out)
        stream = BatchStream(
            options.cache, held_out, self.model.config, self.schedule, options.seed, self.step
        )
        validation = Validation(options.cache, held_out, self.model.config) if held_out else None
        started, before = time.monotonic(), self.seconds
        sums = RunningFigures()
        for batch in load_in_background(stream):
            loss, costs = self._train(batch.to(self.device))
            sums.add(loss, costs)
            self.step += 1
            self.seconds = before + time.monotonic() - started
            last = self.step == self.schedule.steps
            if options.minutes and self.seconds - before > 60 * options.minutes:
                last = True
            if self.step % options.log_every == 0 or last:
                self._log(sums.take())
            if validation and (self.step % options.validate_every == 0 or last):
                self._validate(validation)
            if self.step % options.save_every == 0 or last:
                self.save()
            if last:
                break

    def _train(self, batch: Batch) -> tuple[float, list[FrameCost]]:
        torch.manual_seed(self.options.seed * 1_000_003 + self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(self.step)
        self.model.train()
        with torch.autocast(self.device.type, torch.bfloat16):
            costs = sequence_costs(
                self.model, batch.y, batch.uv, batch.q, batch.vectors, self.options.count_vectors
            )
            loss = sequence_loss(self.model, costs, batch.q)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), GRADIENT_LIMIT)
        value = float(loss.detach())
        if self._sound(value, norm):
            self.optimizer.step()
            self._average()
        else:
            self.skipped += 1
        return value, costs

    def _sound(self, loss: float, norm: Tensor) -> bool:
        if not bool(torch.isfinite(norm)):
            return False
        usual = loss if self.usual_loss is None else self.usual_loss
        self.usual_loss = usual + 0.01 * (min(loss, 2 * usual) - usual)
        return self.step < 200 or loss < BLOW_UP * usual

    def _average(self) -> None:
        decay = min(AVERAGING, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for kept, new in zip(self.averaged.parameters(), self.model.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)

    def _log(self, figures: dict[str, float]) -> None:
        entry = {"step": self.step, "seconds": round(self.seconds), "skipped": self.skipped}
        self._write({**entry, **figures, "rate": round(self.schedule.rate(self.step - 1), 7)})

    def _validate(self, validation: Validation) -> None:
        figures = validation.measure(self.averaged, self.device)
        self._write({"step": self.step, "validation": figures})
        if figures["score"] < self.best:
            self.best = figures["score"]
            (self.options.out / "best.safetensors").write_bytes(
                model_bytes(self.averaged, self.record())
            )

    def record(self) -> dict[str, object]:
        """What the model file says about its making."""
        return {
            "data": self.clips,
            "held_out": list(self.options.held_out),
            "started_from": self.options.started_from,
            "steps": self.step,
            "hours": round(self.seconds / 3600, 2),
            "device": str(self.device),
            "seed": self.options.seed,
            "schedule": asdict(self.schedule),
        }

    def _write(self, entry: dict[str, object]) -> None:
        line = json.dumps(entry)
        print(line, flush=True)
        with (self.options.out / "log.jsonl").open("a") as file:
            file.write(line + "\n")


class RunningFigures:
    """Means of the training figures since the last line of the log."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, ...]] = []

    def add(self, loss: float, costs: list[FrameCost]) -> None:
        with torch.no_grad():
            bpp = [float(c.latent_bpp.mean()) for c in costs]
            error = [float(c.distortion.mean()) for c in costs]
            vectors = sum(float(c.vector_bpp.mean()) for c in costs) / (len(costs) - 1)
        inter = len(costs) - 1
        self.rows.append(
            (loss, bpp[0], error[0], sum(bpp[1:]) / inter, sum(error[1:]) / inter, vectors)
        )

    def take(self) -> dict[str, float]:
        loss, intra, intra_error, inter, inter_error, vectors = (
            torch.tensor(self.rows, dtype=torch.float64).mean(0).tolist()
        )
        self.rows.clear()
        return {
            "loss": round(loss, 4),
            "intra_bpp": round(intra, 4),
            "intra_db": round(_decibels(intra_error), 3),
            "inter_bpp": round(inter, 4),
            "inter_db": round(_decibels(inter_error), 3),
            "vector_bpp": round(vectors, 4),
        }


def _decibels(error: float) -> float:
    return float(-10 * torch.log10(torch.tensor(max(error, 1e-10))))
