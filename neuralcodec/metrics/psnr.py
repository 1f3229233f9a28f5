"""Peak signal-to-noise ratio of planes, frames and sequences, in dB.

The figures follow the habit of the video coding groups: PSNR-YUV weighs the planes' dB
6:1:1 (Ohm et al. 2012, "Comparison of the Coding Efficiency of Video Coding Standards"),
and the figure of a sequence is the mean over its frames of each frame's PSNR, not the PSNR
of the mean squared error.
"""

import math
from dataclasses import dataclass

import numpy as np

from neuralcodec.metrics.planes import peak_of
from neuralcodec.video import Frame

MAX_DB = 100.0
"""What identical planes count as, and the most that any plane can: a mean stays finite."""


@dataclass(frozen=True)
class PlanePsnr:
    """PSNR in dB of the three planes of a frame, or their means over a sequence."""

    y: float
    u: float
    v: float

    @property
    def yuv(self) -> float:
        return psnr_yuv(self.y, self.u, self.v)


def psnr_yuv(y: float, u: float, v: float) -> float:
    """(6 y + u + v) / 8, of figures in dB."""
    return (6 * y + u + v) / 8


def mse_to_db(mse: float, bit_depth: int) -> float:
    """PSNR for a mean squared error in squared sample steps: peak 255 at 8 bit, 1023 at 10."""
    if mse < 0:
        raise ValueError(f"a mean squared error of {mse} is no square")
    if mse == 0:
        return MAX_DB
    peak = 2**bit_depth - 1
    return min(MAX_DB, 10 * math.log10(peak**2 / mse))


def plane_mse(reference: np.ndarray, shown: np.ndarray) -> float:
    """Mean squared difference of two (H, W) planes of the same type, exact up to the division.

    Raises ValueError for planes that cannot be compared.
    """
    peak_of(reference, shown)
    difference = (reference.astype(np.int32) - shown).ravel()
    return int(np.square(difference).sum(dtype=np.int64)) / difference.size


def frame_psnr(reference: Frame, shown: Frame) -> PlanePsnr:
    """PSNR of each plane; uint8 planes are 8 bit, uint16 planes are 10 bit.

    Raises ValueError for frames of different sizes or bit depths.
    """

    def plane_db(a: np.ndarray, b: np.ndarray) -> float:
        return mse_to_db(plane_mse(a, b), bit_depth=peak_of(a, b).bit_length())

    return PlanePsnr(*map(plane_db, reference.planes, shown.planes))


class PsnrMeter:
    """The PSNR of a sequence, fed one frame at a time: means over frames of the frames' dB."""

    def __init__(self) -> None:
        self.frames = 0
        self._sums = np.zeros(3)

    def add(self, reference: Frame, shown: Frame) -> PlanePsnr:
        """Counts one more frame and returns its own figures."""
        measured = frame_psnr(reference, shown)
        self.add_db(measured.y, measured.u, measured.v)
        return measured

    def add_db(self, y: float, u: float, v: float) -> None:
        """Counts one more frame whose planes' PSNR is known; above MAX_DB counts as MAX_DB."""
        self._sums += np.minimum((y, u, v), MAX_DB)
        self.frames += 1

    @property
    def mean(self) -> PlanePsnr:
        """The figures so far. Raises ValueError before the first frame."""
        if self.frames == 0:
            raise ValueError("no frame was measured")
        y, u, v = (float(s) / self.frames for s in self._sums)
        return PlanePsnr(y, u, v)
