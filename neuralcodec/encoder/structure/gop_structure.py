"""How long a GOP may be, how much quality each of its frames gets, and when it must end early."""

import math

import numpy as np

from neuralcodec.model.config import HIGHEST_Q, LOWEST_Q, QUALITIES
from neuralcodec.video import Frame

# q on top of that asked for: of an intra frame, and at each level of a mini-GOP of so many frames.
# Others lean on the frames of low levels, nothing on those of the last one.
INTRA_BONUS = 12
# Before a mini-GOP of so many frames, if the look-ahead chose it: little moves there
# (docs/decisions/006-size-of-mini-gops.md)
BONUS_BEFORE = {8: 17, 16: 20}
OFFSETS = {
    1: (0,),
    2: (1, -2),
    4: (3, 0, -3),
    8: (4, 1, -2, -4),
    16: (5, 2, -1, -3, -5),
}
LOW_DELAY_OFFSETS = (3, -1)
LEAST_OFFSET = min(map(min, OFFSETS.values()))
# Frames. Each picture is predicted from others as the decoder's floats gave them: rounding on
# another machine grows over hundreds of frames, and a picture is lost (docs/reliability.md).
LONGEST_GOP = 96
# What a target may ask of a GOP; at the lowest, every frame has the lowest q there is
LOWEST = LOWEST_Q - max(BONUS_BEFORE.values())
HIGHEST = QUALITIES - 1
SUSPICIOUS = 1.6  # growth of the squared error after which a new GOP is tried
BROKEN = 3.0  # the same from the intra frame on, beyond what its higher quality explains
CONVINCING = 0.6  # of the squared error, at most, is what an intra frame must leave to be taken


def frame_quality(quality: int, offset: int = 0) -> int:
    """q of a frame that gets so much more than is asked of its GOP.

    quality: LOWEST..HIGHEST."""
    return max(LOWEST_Q, min(quality + offset, HIGHEST_Q))


def luma_error(source: Frame, shown: Frame) -> float:
    """Mean squared error of the luma plane, in squared sample steps."""
    difference = source.y.astype(np.float32) - shown.y
    return float(np.square(difference).mean())


class RecurrenceWatch:
    """Notices when prediction from frame to frame goes wrong, in one GOP.

    Errors of a recurrence can grow until it breaks down; the decoder cannot know, but the encoder
    sees what will be shown, and can begin a new GOP.
    """

    def __init__(self, intra_error: float = math.inf) -> None:
        """intra_error: what the intra frame would have at the quality of the others."""
        self._intra_error = intra_error
        # error of an inter frame that was as it should be, or the most that the first one may have
        self._usual = BROKEN / SUSPICIOUS * intra_error

    def is_suspicious(self, error: float) -> bool:
        """To be asked for each inter frame in turn."""
        # The first ones inherit the intra frame's higher quality: losing it is no breakdown.
        healthy = self._intra_error if math.isfinite(self._intra_error) else 0.0
        self._usual = max(min(self._usual, error), healthy)
        return error > SUSPICIOUS * self._usual + 1  # + 1: errors nobody sees are none

    def settle(self, error: float, intra_error: float) -> bool:
        """Whether the frame should begin a new GOP, given what an intra frame would leave at the
        frame's own quality. If not, the picture has become harder to code, and its error is the new
        usual."""
        if intra_error < CONVINCING * error:
            return True
        self._usual = error
        return False
