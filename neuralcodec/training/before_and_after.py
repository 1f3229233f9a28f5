"""The comparison of a run: the model it begins with, and the one it makes, on the same frames."""

from collections.abc import Callable
from pathlib import Path

from neuralcodec.errors import NcodecError
from neuralcodec.shell import file_word
from neuralcodec.training.comparison import (
    MOST_SECONDS,
    Comparison,
    Worth,
    in_minutes,
    saved_bits,
)
from neuralcodec.training.interruption import Interrupted, StopRequest
from neuralcodec.training.own_footage import OwnFootage

SHARE = 0.25  # of the minutes asked for, for both together


class BeforeAndAfter:
    """What cannot be compared is told, and ends no training.

    Attributes: `before` and `after`, None where there is no figure; `seconds`, about how long the
    second one takes, or may take."""

    def __init__(
        self,
        footage: OwnFootage,
        out: Path,
        folder: Path,
        device: str,
        minutes: float | None,
        stop: StopRequest,
        tell: Callable[[str], None],
    ) -> None:
        self.before: Worth | None = None
        self.after: Worth | None = None
        self._footage, self._folder, self._device, self._tell = footage, folder, device, tell
        self._stop = stop
        self._elsewhere = f"ncodec bench CLIP --codecs ncodec,x265:medium --model {file_word(out)}"
        self._allowed = MOST_SECONDS
        if minutes:
            self._allowed = min(MOST_SECONDS, 60 * minutes * SHARE / 2)
        self.seconds = self._allowed
        self._comparison: Comparison | None = None
        self._is_off = False
        if not footage.compared:
            self._give_up(footage.why_not)

    @property
    def text(self) -> str | None:
        """What is compared; None for nothing."""
        return self._comparison.text if self._comparison else None

    @property
    def saved_bits(self) -> float | None:
        return saved_bits(self.before, self.after) if self.before and self.after else None

    def measure_before(self, model: str) -> None:
        """Raises Interrupted."""
        self.before = self._measure(model)
        if self.before and self.before.over_x265 is not None:
            self._tell(
                f"{Path(model).stem} needs {bits_against(self.before.over_x265, 'x265 medium')} "
                "at equal PSNR"
            )

    def measure_after(self, model: Path, *, is_as_before: bool) -> None:
        """Ctrl-C leaves it out: the weights are written by then."""
        try:
            self.after = self.before if is_as_before else self._measure(str(model))
        except Interrupted:
            self._give_up("it was interrupted")

    def _measure(self, model: str) -> Worth | None:
        if self._is_off:
            return None
        try:
            if self._comparison is None:
                self._comparison = Comparison(
                    self._footage.compared,
                    model,
                    self._folder,
                    self._device,
                    self._allowed,
                    self._stop,
                )
                self.seconds = self._comparison.seconds
            self._tell(
                f"comparing {Path(model).stem} with x265 on {self._comparison.text}, "
                f"{self._footage.distance}: about {in_minutes(self._comparison.seconds_left)}"
            )
            return self._comparison.worth(model, self._tell)
        except (NcodecError, OSError) as error:
            self._give_up(str(error))
            return None

    def _give_up(self, reason: str) -> None:
        self._is_off, self.seconds = True, 0.0
        self._tell(f"no comparison with x265: {reason}; on other footage: {self._elsewhere}")


def more_or_fewer(percent: float) -> str:
    return f"{abs(percent):.1f} % {'fewer' if percent < 0 else 'more'}"


def bits_against(percent: float, other: str) -> str:
    return f"{more_or_fewer(percent)} bits than {other}"
