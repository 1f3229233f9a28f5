"""What a GPU trains with: large batches, by the clock instead of by a number of steps.

Nobody knows beforehand how many steps a lent machine does in its minutes. So phases and learning
rate follow the share of the planned time that has passed.
"""

import math
import time
from dataclasses import dataclass, field

from neuralcodec.training.schedule import DECAY_START, FINAL_RATE, Phase, Schedule

# A frame is thousands of small kernels, whatever the size of the batch: large batches cost little
# more time than small ones.
GPU_PHASES = (
    Phase(0.0, 32, 3, 192),
    Phase(0.2, 32, 5, 192),
    Phase(0.5, 24, 9, 192),
    Phase(0.85, 12, 17, 192),
)
CPU_PHASES = (
    Phase(0.0, 4, 3, 128),
    Phase(0.5, 2, 5, 128),
)  # to try the way to a GPU without one
GPU_WARM_PHASE = 0.2  # of GPU_PHASES: trained weights need no sequences of three frames
STEPS_ALIKE = 200  # in a row, whose sequences have one structure: so long a recorded step is of use
WARM_UP_STEPS = 100  # after which the optimiser knows the size of its gradients
UNLIMITED = 10**9  # steps


@dataclass
class TrainingClock:
    """How much of the planned training time has passed, over all calls."""

    planned: float  # seconds
    before: float = 0.0  # seconds, of earlier calls
    started: float | None = None  # by time.monotonic

    def start(self, before: float, planned: float) -> None:
        self.before, self.planned, self.started = before, planned, time.monotonic()

    @property
    def seconds(self) -> float:
        running = 0.0 if self.started is None else time.monotonic() - self.started
        return self.before + running

    @property
    def progress(self) -> float:
        return min(1.0, self.seconds / self.planned)


@dataclass(frozen=True)
class TimedSchedule(Schedule):
    """A schedule by the clock. warm_from: the step with which the optimiser began."""

    warm_from: int = 0
    clock: TrainingClock = field(default_factory=lambda: TrainingClock(1.0), compare=False)

    def phase(self, step: int) -> Phase:
        at = self.first_phase + (1 - self.first_phase) * self.clock.progress
        return [phase for phase in self.phases if phase.start <= at][-1]

    def rate(self, step: int) -> float:
        """Warm-up by steps; constant, then half a cosine down by the clock."""
        warm = min(1.0, (step - self.warm_from + 1) / WARM_UP_STEPS)
        decay = max(0.0, (self.clock.progress - DECAY_START) / (1 - DECAY_START))
        down = FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * decay))
        return self.learning_rate * warm * down


def gpu_schedule(
    learning_rate: float, is_trained: bool, on_gpu: bool, warm_from: int = 0
) -> TimedSchedule:
    """is_trained: whether the weights to begin with are."""
    return TimedSchedule(
        UNLIMITED,
        learning_rate,
        first_phase=GPU_WARM_PHASE if is_trained else 0.0,
        phases=GPU_PHASES if on_gpu else CPU_PHASES,
        warm_from=warm_from,
    )
