"""How a run changes from its first to its last step."""

import math
from dataclasses import dataclass, fields
from typing import Any

WARM_UP_STEPS = 200
DECAY_START = 0.35  # fraction of the run from which the learning rate goes down
FINAL_RATE = 0.02


@dataclass(frozen=True)
class Phase:
    """Batches of `items` sequences of `length` frames, `size` luma samples square."""

    start: float  # fraction of the run
    items: int
    length: int
    size: int


# Mini-GOPs of 2, 4, 8 and 16 frames fit. A step of the last phase takes 1.8 times one of the first.
# Longer sequences at the end: only they teach the recurrence not to pile up errors. With at most
# six frames, a static scene lost 1 dB over 48 frames and then blew up.
# Trained weights forget what stands still in sequences of four.
PHASES = (
    Phase(0.0, 8, 3, 128),
    Phase(0.2, 5, 5, 128),
    Phase(0.45, 3, 9, 128),
    Phase(0.85, 2, 17, 128),
)
WARM_PHASE = 0.2  # of PHASES: trained weights need no short sequences


@dataclass(frozen=True)
class Schedule:
    steps: int
    learning_rate: float
    first_phase: float = 0.0  # where in `phases` to begin
    phases: tuple[Phase, ...] = PHASES

    @property
    def longest(self) -> int:
        """Frames of the longest sequences: a clip must have so many."""
        return max(phase.length for phase in self.phases)

    def phase(self, step: int) -> Phase:
        at = step / self.steps
        at = self.first_phase + (1 - self.first_phase) * at
        return [phase for phase in self.phases if phase.start <= at][-1]

    def rate(self, step: int) -> float:
        """Warm-up, constant, then half a cosine down."""
        at = step / self.steps
        warm = min(1.0, (step + 1) / WARM_UP_STEPS)
        decay = max(0.0, (at - DECAY_START) / (1 - DECAY_START))
        down = FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * decay))
        return self.learning_rate * warm * down

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Schedule":
        """From what `dataclasses.asdict` makes of one."""
        known = {field.name: plain[field.name] for field in fields(cls)}
        return cls(**known | {"phases": tuple(Phase(**phase) for phase in plain["phases"])})
