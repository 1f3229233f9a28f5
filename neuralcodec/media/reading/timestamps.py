"""Presentation times that are always there and always increase."""

from fractions import Fraction

from neuralcodec.media.reading.joined_clock import LARGEST_TIME

# A frame is shown at least this part of the time that is usual: 2/2.5 where every second of a film
# (24 frames per second) is shown for three fields of 30 and the others for two.
_SHORTEST = Fraction(3, 4)
_LONGEST = 90_000  # times as long: an hour at 25 frames per second; a broken file may say more


class TimeStamps:
    """Passes good time stamps on as they are; replaces missing and repeated ones.

    A replaced one follows the last good one at the nominal frame rate; a missing one after what
    the source says of how long the picture before is shown (`repeat_first_field` of MPEG-2 makes
    it longer). `notices` holds one sentence for each kind of repair made so far.
    """

    def __init__(self, frame_rate: Fraction, time_base: Fraction):
        self._step = 1 / (frame_rate * time_base)
        self._rate_name = f"{float(frame_rate):.5g} frames per second"
        self._good = 0
        self._since_good = Fraction(0)  # in ticks
        self._duration = self._step  # of the latest frame
        self._last: int | None = None
        self._stated: int | None = None  # what the source said of the frame before
        self.notices: list[str] = []

    def place(self, pts: int | None, duration: int) -> int:
        """The PTS to use for the next frame, always greater than the one before.

        duration: how long the source says that it is shown, in ticks; 0 if it does not.
        """
        before, self._duration = self._duration, self._plausible(duration)
        stated, self._stated = self._stated, pts
        if pts is None:
            self._note(f"source has no time stamps: frames are spaced at {self._rate_name}")
        elif self._last is None or pts > self._last:
            self._good = self._last = pts
            self._since_good = Fraction(0)
            return pts
        else:
            self._note(
                "source has time stamps that repeat or go back: "
                f"those frames are spaced at {self._rate_name}"
            )
        if self._last is None:
            self._last = 0
            return 0
        step = before if pts is None else self._step
        if pts is not None and stated is not None and pts > stated:
            step = min(step, Fraction(pts - stated, 2))  # until its time has come
        self._since_good += step
        # Counted from the last good stamp, so that rounding does not add up.
        placed = min(self._good + round(self._since_good), LARGEST_TIME)
        self._last = max(placed, self._last + 1)
        return self._last

    def _plausible(self, duration: int) -> Fraction:
        """Of each of the two fields of a frame some sources say how long it is shown."""
        is_plausible = _SHORTEST * self._step <= duration <= _LONGEST * self._step
        return Fraction(duration) if is_plausible else self._step

    def _note(self, sentence: str) -> None:
        if sentence not in self.notices:
            self.notices.append(sentence)
