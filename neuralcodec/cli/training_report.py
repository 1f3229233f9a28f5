"""How a training goes, on stderr: a bar on a terminal, now and then a line elsewhere."""

import sys
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from neuralcodec.cli.progress import SECONDS_BETWEEN_LINES
from neuralcodec.cli.report import counted, tell
from neuralcodec.shell import file_word
from neuralcodec.training.before_and_after import bits_against, more_or_fewer
from neuralcodec.training.run_log import Observer
from neuralcodec.training.train_file import TrainingSummary
from neuralcodec.training.validation import Figures


class TrainingDisplay(Observer):
    """Steps and loss; a line for each validation."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: tqdm[None] | None = None
        self._start: tuple[int, float] | None = None  # step and time of the first one here
        self._last = monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def tell(self, text: str) -> None:
        if self._quiet:
            return
        if self._bar is not None:
            self._bar.clear()
        tell(text)

    def noticed(self, text: str) -> None:
        self.tell(text)

    def validated(self, step: int, held_out: Figures, training: Figures | None) -> None:
        parts = [f"score {held_out.score:.3f}"]
        if training is not None:
            parts.append(f"{training.score:.3f} on what is trained on")
        self.tell(f"step {step}: {', '.join(parts)}")

    def stepped(self, step: int, steps: int, loss: float) -> None:
        if self._quiet or sys.stderr is None:
            return
        if sys.stderr.isatty():
            if self._bar is None:
                self._bar = tqdm(
                    desc="training",
                    unit=" steps",
                    initial=step - 1,
                    dynamic_ncols=True,
                    leave=False,
                )
            self._bar.total = steps
            self._bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
            self._bar.update(step - self._bar.n)
        else:
            self._plain_line(step, steps, loss)

    def _plain_line(self, step: int, steps: int, loss: float) -> None:
        now = monotonic()
        if self._start is None:
            self._start = step, now
        if now - self._last < SECONDS_BETWEEN_LINES:
            return
        self._last = now
        first, begun = self._start
        text = f"training: {step} of {steps} steps, loss {loss:.3f}"
        if step > first:
            left = (steps - step) * (now - begun) / (step - first)
            text += f", {tqdm.format_interval(left)} left"
        tell(text)


def summary_text(out: Path, done: TrainingSummary) -> list[str]:
    lines = [
        f"{out}: {counted(done.step, 'step')} in {tqdm.format_interval(done.seconds)} "
        f"on {counted(done.frames, 'frame')} of {counted(done.clips, 'clip')}; "
        f"ended because {done.ending.value}"
    ]
    if done.skipped:
        lines.append(f"{counted(done.skipped, 'step')} skipped, as the loss blew up")
    if done.best_step == 0:
        lines.append("nothing was better on what was set aside than the weights it began with")
    else:
        lines.append(f"best on what was set aside at step {done.best_step}")
    if done.bd_rate_x265 is not None:
        lines.append(
            f"it needs {bits_against(done.bd_rate_x265, 'x265 medium')} at equal PSNR, "
            f"on {done.compared}" + _before_text(done)
        )
    elif done.saved_bits is not None:
        lines.append(
            f"it needs {bits_against(done.saved_bits, 'the weights it began with')} "
            f"at equal PSNR, on {done.compared}"
        )
    lines.append(f"try it: ncodec encode IN OUT.nlc --model {file_word(out)}")
    lines.append(f"{done.folder} holds frames, checkpoint and log; remove it when all is done")
    return lines


def _before_text(done: TrainingSummary) -> str:
    if done.bd_rate_x265_before is None or done.saved_bits is None:
        return ""
    effect = "saved" if done.saved_bits < 0 else "cost"
    return (
        f"; before training: {more_or_fewer(done.bd_rate_x265_before)}; "
        f"training {effect} {abs(done.saved_bits):.1f} %"
    )


def plain_summary(out: Path, done: TrainingSummary) -> dict[str, Any]:
    """As docs/json.md has it."""
    return {
        "output": str(out),
        "ending": done.ending.name.lower(),
        "step": done.step,
        "steps": done.steps,
        "best_step": done.best_step,
        "skipped": done.skipped,
        "seconds": done.seconds,
        "clips": done.clips,
        "frames": done.frames,
        "set_aside": done.set_aside,
        "started_from": done.started_from,
        "compared": done.compared,
        "saved_bits": done.saved_bits,
        "bd_rate_x265": done.bd_rate_x265,
        "bd_rate_x265_before": done.bd_rate_x265_before,
        "folder": str(done.folder),
    }
