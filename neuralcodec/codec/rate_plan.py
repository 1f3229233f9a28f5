"""The second pass: every frame's cost is foretold, the sum of what is left decides q."""

from dataclasses import dataclass

import numpy as np

from neuralcodec.codec.gop_structure import PlacedFrame
from neuralcodec.codec.rate_control import FrameCost, Smoother
from neuralcodec.codec.rate_curve import Curve, solve

STEP, LAST_STEP = 0.3, 0.8  # most that q moves from frame to frame; in the last frames
LAST_FRAMES = 16
INTER_MEMORY, INTRA_MEMORY = 40.0, 3.0  # frames over which the forecast is corrected
PSNR_MEMORY = 24.0


@dataclass(frozen=True)
class BitsPlan:
    """Bits of each frame at `start`; how they change with q is the same for all of a kind."""

    weights: np.ndarray  # (frames,) bits
    is_intra: np.ndarray  # (frames,) bool
    intra: Curve  # log2 bits
    inter: Curve
    start: float  # q that meets the target if all is as foretold
    budget: float  # bits

    def factor(self, q: float, is_intra: bool) -> float:
        curve = self.intra if is_intra else self.inter
        return float(2.0 ** (curve(q) - curve(self.start)))


class PlannedBits:
    """Spends the budget of a plan."""

    def __init__(self, plan: BitsPlan) -> None:
        self.plan = plan
        self._left = plan.budget  # less what is known to be spent
        self._sums = [  # foretold at `start`, of frames not yet begun: inter, intra
            float(plan.weights[~plan.is_intra].sum()),
            float(plan.weights[plan.is_intra].sum()),
        ]
        self._frames_left = len(plan.weights)
        self._unknown: dict[int, float] = {}  # foretold bits of frames begun, before correction
        self._smoother = Smoother(plan.start)
        usual = [
            max(float(np.mean(w)), 1.0) if len(w) else 1.0
            for w in (plan.weights[~plan.is_intra], plan.weights[plan.is_intra])
        ]
        self._corrections = [
            _Correction(INTER_MEMORY, usual[0]),
            _Correction(INTRA_MEMORY, usual[1]),
        ]

    def quality(self, frame: PlacedFrame) -> int:
        if frame.number >= len(self.plan.weights):  # the source grew since the first pass
            return round(self._smoother.value)
        inter, intra = (
            total * c.factor for total, c in zip(self._sums, self._corrections, strict=True)
        )
        waiting = sum(
            bits * self._correction(number).factor for number, bits in self._unknown.items()
        )
        wanted = solve(
            lambda q: inter * self.plan.factor(q, False) + intra * self.plan.factor(q, True),
            self._left - waiting,
        )
        step = STEP if self._frames_left > LAST_FRAMES else LAST_STEP
        q = self._smoother.approach(wanted, step)
        is_intra = bool(self.plan.is_intra[frame.number])
        weight = float(self.plan.weights[frame.number])
        self._sums[is_intra] -= weight
        self._frames_left -= 1
        self._unknown[frame.number] = weight * self.plan.factor(q, is_intra)
        return q

    def observe(self, cost: FrameCost) -> None:
        self._left -= cost.bits
        foretold = self._unknown.pop(cost.number, None)
        if foretold is not None and cost.is_intra == bool(self.plan.is_intra[cost.number]):
            self._correction(cost.number).add(cost.bits, foretold)

    def _correction(self, number: int) -> "_Correction":
        return self._corrections[int(self.plan.is_intra[number])]


class _Correction:
    """How far the forecast was off lately, as a factor."""

    def __init__(self, memory: float, usual: float) -> None:
        self._keep = 1 - 1 / memory
        # As if the forecast had been right for a fourth of the memory.
        self._happened = self._foretold = usual * memory / 4

    def add(self, happened: float, foretold: float) -> None:
        self._happened = self._happened * self._keep + happened
        self._foretold = self._foretold * self._keep + foretold

    @property
    def factor(self) -> float:
        return self._happened / self._foretold


@dataclass(frozen=True)
class PsnrPlan:
    """PSNR-YUV of each frame at `start`."""

    psnr: np.ndarray  # (frames,) dB
    curve: Curve  # mean dB
    start: float
    target: float  # dB


class PlannedPsnr:
    """Brings the mean to the target."""

    def __init__(self, plan: PsnrPlan) -> None:
        self.plan = plan
        self._foretold_left = float(plan.psnr.sum())  # of frames not yet begun
        self._frames_left = len(plan.psnr)
        self._needed = plan.target * len(plan.psnr)  # dB, summed, less what is known
        self._unknown: dict[int, float] = {}
        self._error = 0.0  # of the forecast, lately
        self._smoother = Smoother(plan.start)

    def quality(self, frame: PlacedFrame) -> int:
        if self._frames_left == 0:
            return round(self._smoother.value)
        waiting = sum(self._unknown.values()) + self._error * len(self._unknown)
        mean = (self._needed - waiting) / self._frames_left
        foretold = self._foretold_left / self._frames_left + self._error
        at_start = self.plan.curve(self.plan.start)
        wanted = solve(self.plan.curve, at_start + mean - foretold)
        step = STEP if self._frames_left > LAST_FRAMES else LAST_STEP
        q = self._smoother.approach(wanted, step)
        psnr = float(self.plan.psnr[frame.number])
        self._foretold_left -= psnr
        self._frames_left -= 1
        self._unknown[frame.number] = psnr + self.plan.curve(q) - at_start
        return q

    def observe(self, cost: FrameCost) -> None:
        self._needed -= cost.psnr
        foretold = self._unknown.pop(cost.number, None)
        if foretold is not None:
            self._error += (cost.psnr - foretold - self._error) / PSNR_MEMORY
