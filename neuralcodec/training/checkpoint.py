"""Everything that a run goes on from: a run resumed ends with the bits of one not interrupted.

The random numbers need no place here. They are drawn anew for each step, from the seed and the
step's number alone: those of the data in `sampling.Sampler`, those of the noise in the trainer.
"""

import copy
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neuralcodec.atomic_file import AtomicFile
from neuralcodec.errors import InputError, UsageError, reason_of
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.schedule import Schedule

AVERAGING = 0.999  # decay of the running mean of the weights, which is what is kept


@dataclass
class Position:
    """How far a run is, and what its decisions depend on."""

    step: int = 0
    seconds: float = 0.0
    skipped: int = 0  # steps that a blow-up made useless
    usual_loss: float | None = None  # running mean; a loss far above it is a blow-up
    best: float = float("inf")  # score of the best weights so far; lower is better
    # (held out, of training crops) of each validation
    scores: list[tuple[float, float]] = field(default_factory=list)
    figures: list[list[float]] = field(default_factory=list)  # of steps not in the log yet


class TrainingState:
    """The weights in training, their running mean, the optimiser, and the position."""

    def __init__(self, model: VideoModel, learning_rate: float) -> None:
        self.model = model
        self.averaged = copy.deepcopy(model).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=learning_rate,
            betas=(0.9, 0.99),
            weight_decay=0,
            fused=model.log_table.is_cuda,
        )
        self.position = Position()

    def average(self) -> None:
        """Moves the running mean after a step."""
        step = self.position.step
        decay = min(AVERAGING, (step + 1) / (step + 10))
        with torch.no_grad():
            kept: list[Tensor] = list(self.averaged.parameters())
            new: list[Tensor] = list(self.model.parameters())
            torch._foreach_lerp_(kept, new, 1 - decay)

    def plain(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "position": asdict(self.position),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        self.model.load_state_dict(saved["model"])
        self.averaged.load_state_dict(saved["averaged"])
        self.optimizer.load_state_dict(saved["optimizer"])
        position = {f.name: saved["position"][f.name] for f in fields(Position)}
        position["scores"] = [tuple(pair) for pair in position["scores"]]
        self.position = Position(**position)


@dataclass(frozen=True)
class RunIdentity:
    """What must stay the same from the first step of a run to its last."""

    config: str  # of the model, as JSON
    seed: int
    clips: tuple[str, ...]  # to train on
    held_out: tuple[str, ...]
    started_from: str | None


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file says, before a model is built."""

    path: Path
    identity: RunIdentity
    schedule: Schedule
    state: dict[str, Any]

    def check_same(self, identity: RunIdentity) -> None:
        """Raises UsageError where a run of another kind would go on from here."""
        for name in ("config", "seed", "clips", "held_out"):
            if getattr(self.identity, name) != getattr(identity, name):
                what = {"config": "a model of other sizes", "seed": f"seed {self.identity.seed}"}
                raise UsageError(
                    f"{self.path} was begun with {what.get(name, 'other clips')}: go on with "
                    "those, or name another folder"
                )


def write_checkpoint(
    path: Path, identity: RunIdentity, schedule: Schedule, state: TrainingState
) -> None:
    """Whole or not at all. Raises OutputError."""
    saved = {
        "identity": asdict(identity),
        "schedule": asdict(schedule),
        "state": state.plain(),
    }
    with AtomicFile(path, overwrite=True) as file:
        torch.save(saved, file.file)


def read_checkpoint(path: Path, device: torch.device) -> Checkpoint | None:
    """None where there is none. Raises InputError for a file that is none of this version."""
    if not path.exists():
        return None
    try:
        saved = torch.load(path, map_location=device, weights_only=True)
        plain = saved["identity"]
        identity = RunIdentity(
            **plain | {"clips": tuple(plain["clips"]), "held_out": tuple(plain["held_out"])}
        )
        return Checkpoint(path, identity, Schedule.from_plain(saved["schedule"]), saved["state"])
    except (OSError, RuntimeError, LookupError, TypeError, ValueError, EOFError) as error:
        reason = reason_of(error)
        raise InputError(
            f"{path}: no checkpoint of this version ({reason}); remove it to begin anew"
        ) from error
