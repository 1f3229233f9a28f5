"""Quality frame by frame, so that the whole meets a target: what all ways to steer share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from neuralcodec.codec.gop_structure import PlacedFrame
from neuralcodec.codec.rate_curve import HIGHEST, LOWEST


@dataclass(frozen=True)
class FrameCost:
    """What became of a frame."""

    number: int
    is_intra: bool
    quality: int  # as `QualityControl.quality` gave it
    bits: int  # in the file, its part of the GOP's tables included
    psnr: float  # YUV 6:1:1, dB


TryIntra = Callable[[int], float]  # PSNR of a frame as the first of its GOP, at a quality


class QualityControl(Protocol):
    """Asked for each frame in the order of coding, told in the same order, some frames later."""

    frames_ahead: int  # of each frame that it wants to see when it is asked; 0: none

    def quality(self, frame: PlacedFrame, try_intra: TryIntra) -> int:
        """LOWEST..HIGHEST; the frame's own q depends on its position in the GOP as well, see
        `frame_quality`. Each call of try_intra takes half as long as coding a frame."""

    def observe(self, cost: FrameCost) -> None: ...


class Smoother:
    """A slowly moving real number as whole ones whose mean follows it."""

    def __init__(self, start: float) -> None:
        self.value = start
        self._owed = 0.0

    def approach(self, wanted: float, step: float) -> int:
        """Moves by at most `step`; gives the q for the next frame."""
        wanted = min(max(wanted, LOWEST), HIGHEST)
        self.value += min(max(wanted - self.value, -step), step)
        whole = round(self.value + self._owed)
        self._owed += self.value - whole
        return min(max(whole, LOWEST), HIGHEST)
