"""Presentation times that are always there and always increase."""

from fractions import Fraction


class TimeStamps:
    """Passes good time stamps on as they are; replaces missing and repeated ones.

    A replaced one follows the last good one at the nominal frame rate. `notices`
    holds one sentence for each kind of repair made so far.
    """

    def __init__(self, frame_rate: Fraction, time_base: Fraction):
        self._step = 1 / (frame_rate * time_base)
        self._rate_name = f"{float(frame_rate):.5g} frames per second"
        self._good = 0
        self._since_good = 0
        self._last: int | None = None
        self.notices: list[str] = []

    def place(self, pts: int | None) -> int:
        """The PTS to use for the next frame, always greater than the one before."""
        if pts is None:
            self._note(f"source has no time stamps: frames are spaced at {self._rate_name}")
        elif self._last is None or pts > self._last:
            self._good = self._last = pts
            self._since_good = 0
            return pts
        else:
            self._note(
                "source has time stamps that repeat or go back: "
                f"those frames are spaced at {self._rate_name}"
            )
        if self._last is None:
            self._last = 0
            return 0
        self._since_good += 1
        # Counted from the last good stamp, so that rounding does not add up.
        placed = self._good + round(self._since_good * self._step)
        self._last = max(placed, self._last + 1)
        return self._last

    def _note(self, sentence: str) -> None:
        if sentence not in self.notices:
            self.notices.append(sentence)
