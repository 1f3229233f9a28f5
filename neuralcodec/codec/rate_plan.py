"""The second pass: every frame's cost is foretold, the sum of what is left decides q."""

from dataclasses import dataclass

import numpy as np

from neuralcodec.codec.gop_structure import PlacedFrame
from neuralcodec.codec.rate_control import FrameCost, Smoother
from neuralcodec.codec.rate_curve import Curve, solve

STEP, LAST_STEP = 0.3, 0.8  # most that q moves from frame to frame; in the last frames
LAST_FRAMES = 40
GOP_MEMORY, INTER_MEMORY, INTRA_MEMORY = 32.0, 100.0, 6.0  # frames that correct the forecast
PSNR_MEMORY = 24.0
PSNR_HORIZON = 48  # frames for which the error of the forecast lately is believed to last
PSNR_TRUST = 60  # frames: as if the forecast had been right for so many


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
    """Spends the budget of a plan.

    The forecast is corrected by what frames really cost: for the rest of a GOP mostly by the frames
    of it, for the GOPs to come by all."""

    def __init__(self, plan: BitsPlan) -> None:
        self.plan = plan
        self._left = plan.budget  # less what is known to be spent
        self._gop_of = np.cumsum(plan.is_intra) - 1
        gops = int(self._gop_of[-1]) + 1
        inter = np.where(plan.is_intra, 0.0, plan.weights)
        # Foretold at `start`, of frames not yet begun: inter frames of each GOP, and in all the
        # GOPs not yet begun; intra frames.
        self._rests = np.bincount(self._gop_of, inter, gops)
        self._usual = self._rests / np.bincount(self._gop_of, minlength=gops)  # of a frame
        self._later = float(self._rests.sum())
        self._intra = float(plan.weights.sum()) - self._later
        self._frames_left = len(plan.weights)
        self._unknown: dict[int, float] = {}  # foretold bits of frames begun, before correction
        self._smoother = Smoother(plan.start)
        self._inter_error = _Correction(INTER_MEMORY, self._later / len(inter))
        self._intra_error = _Correction(INTRA_MEMORY, self._intra / gops)
        self._gop_errors: dict[int, _Correction] = {}  # of GOPs begun and not complete

    def quality(self, frame: PlacedFrame) -> int:
        number = frame.number
        if number >= len(self.plan.weights):  # the source grew since the first pass
            return round(self._smoother.value)
        gop, is_intra = int(self._gop_of[number]), bool(self.plan.is_intra[number])
        if is_intra:
            self._later -= float(self._rests[gop])
            self._gop_errors[gop] = _Correction(
                GOP_MEMORY, float(self._usual[gop]), self._inter_error.factor
            )
        wanted = self._affordable()
        step = STEP if self._frames_left > LAST_FRAMES else LAST_STEP
        q = self._smoother.approach(wanted, step)
        weight = float(self.plan.weights[number])
        if is_intra:
            self._intra -= weight
        else:
            self._rests[gop] -= weight
        self._frames_left -= 1
        self._unknown[number] = weight * self.plan.factor(q, is_intra)
        return q

    def _affordable(self) -> float:
        """The q at which what is left would be spent by the end."""
        inter = self._later * self._inter_error.factor + sum(
            float(self._rests[gop]) * error.factor for gop, error in self._gop_errors.items()
        )
        intra = self._intra * self._intra_error.factor
        waiting = sum(
            bits * error.factor
            for number, bits in self._unknown.items()
            for error in self._errors_of(number)[:1]
        )
        return solve(
            lambda q: inter * self.plan.factor(q, False) + intra * self.plan.factor(q, True),
            self._left - waiting,
        )

    def observe(self, cost: FrameCost) -> None:
        self._left -= cost.bits
        foretold = self._unknown.pop(cost.number, None)
        if foretold is None:
            return
        if cost.is_intra == bool(self.plan.is_intra[cost.number]):
            for error in self._errors_of(cost.number):
                error.add(cost.bits, foretold)

    def _errors_of(self, number: int) -> list["_Correction"]:
        if self.plan.is_intra[number]:
            return [self._intra_error]
        return [self._gop_errors[int(self._gop_of[number])], self._inter_error]


class _Correction:
    """How far the forecast was off lately, as a factor."""

    def __init__(self, memory: float, usual: float, guess: float = 1.0) -> None:
        """memory: in frames; usual: bits of one; guess: factor to begin with."""
        self._keep = 1 - 1 / memory
        # As if a fourth of the memory had been filled.
        self._foretold = max(usual, 1.0) * memory / 4
        self._happened = self._foretold * guess

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
        self._errors, self._known = 0.0, 0  # sum over all frames known, and how many these are
        self._smoother = Smoother(plan.start)

    def quality(self, frame: PlacedFrame) -> int:
        if self._frames_left == 0:
            return round(self._smoother.value)
        waiting = sum(self._unknown.values()) + self._error * len(self._unknown)
        mean = (self._needed - waiting) / self._frames_left
        soon = min(1.0, PSNR_HORIZON / self._frames_left)
        overall = self._errors / (self._known + PSNR_TRUST)
        error = soon * self._error + (1 - soon) * overall
        foretold = self._foretold_left / self._frames_left + error
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
            self._errors += cost.psnr - foretold
            self._known += 1
