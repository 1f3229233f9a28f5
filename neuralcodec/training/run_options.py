"""What a run is told, and how it can end."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path


@dataclass(frozen=True)
class RunOptions:
    cache: Path
    out: Path  # folder of the run: checkpoint.pt, log.jsonl, best.safetensors
    seed: int = 0
    held_out: tuple[str, ...] = ()
    validate_every: int = 2000
    save_every: int = 500
    log_every: int = 200
    minutes: float | None = None  # stop early after this long, resumable
    patience: int = 10  # validations without a better one before overfitting ends the run; 0: never
    compile: bool = False  # the blocks of the float networks, by torch.compile
    started_from: str | None = None  # model file that the run began with


class Ending(Enum):
    """Why `Trainer.run` returned; its text completes "ended because ..."."""

    STEPS = "all steps are done"
    TIME = "the time is over"
    ASKED = "it was interrupted"
    OVERFITTING = "the clips held out get worse while those trained on get better"
