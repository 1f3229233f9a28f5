"""The second pass: every frame's cost is foretold, the sum of what is left decides q."""

import math
from dataclasses import dataclass

from neuralcodec.encoder.lookahead import SourceFrame
from neuralcodec.encoder.quality_control import FrameResult, TryIntra
from neuralcodec.rate.bit_forecast import BitsForecast, BitsLaw, FrameBits, Trust
from neuralcodec.rate.curve import Curve, Smoother, solve
from neuralcodec.rate.psnr_forecast import FramePsnr, PsnrForecast

STEP = 0.3  # most that q moves from frame to frame in a GOP
LAST_STEP, LAST_FRAMES = 2.0, 36  # the same at the end
BITS_TRUST = Trust(level=3.0, slope=2.5, later=0.25, intra=0.25)
PSNR_TRUST = 60  # frames, see `PsnrForecast`


@dataclass(frozen=True)
class BitsPlan:
    frames: tuple[FrameBits, ...]  # all, by number
    law: BitsLaw
    reference: float  # q for which their bits are foretold
    budget: float  # bits

    def forecast(self) -> BitsForecast:
        forecast = BitsForecast(self.law, self.reference, BITS_TRUST)
        for frame in self.frames:
            forecast.add(frame)
        return forecast

    @property
    def start(self) -> float:
        """The q that meets the budget if all is as foretold."""
        return solve(self.forecast().coming().at, self.budget)


@dataclass(frozen=True)
class PsnrPlan:
    frames: tuple[FramePsnr, ...]  # all, by number
    curve: Curve  # dB over the q that a frame seems to have
    reference: float  # q for which PSNR is foretold
    target: float  # dB, mean

    def forecast(self) -> PsnrForecast:
        forecast = PsnrForecast(self.curve, self.reference, PSNR_TRUST)
        for frame in self.frames:
            forecast.add(frame)
        return forecast

    @property
    def start(self) -> float:
        """The q that meets the target if all is as foretold."""
        return solve(self.forecast().coming, self.target * len(self.frames))


class _Planned:
    """Steers what is left of a sum to its end: at the first frame of a GOP at once, as all others
    lean on it, within it by small steps."""

    frames_ahead = 0

    def __init__(self, start: float, frames: int) -> None:
        self._smoother = Smoother(start)
        self._frames_left = frames  # not yet begun

    def _move(self, wanted: float, begins_gop: bool) -> int:
        step = STEP if self._frames_left > LAST_FRAMES else LAST_STEP
        self._frames_left -= 1
        return self._smoother.approach(wanted, math.inf if begins_gop else step)

    def _last(self) -> int:
        """For a source that grew since the first pass."""
        return round(self._smoother.value)


class PlannedBits(_Planned):
    """Spends the budget of a plan."""

    def __init__(self, plan: BitsPlan) -> None:
        super().__init__(plan.start, len(plan.frames))
        self._forecast = plan.forecast()
        self._left = plan.budget  # less what is known to be spent

    def quality(self, frame: SourceFrame, try_intra: TryIntra) -> int:
        if self._frames_left == 0:
            return self._last()
        coming = self._forecast.coming()
        wanted = solve(coming.at, self._left - self._forecast.waiting())
        q = self._move(wanted, frame.begins_gop)
        self._forecast.begin(frame.number, q)
        return q

    def observe(self, cost: FrameResult) -> None:
        self._left -= cost.bits
        self._forecast.observe(cost)


class PlannedPsnr(_Planned):
    """Brings the mean to the target."""

    def __init__(self, plan: PsnrPlan) -> None:
        super().__init__(plan.start, len(plan.frames))
        self._forecast = plan.forecast()
        self._needed = plan.target * len(plan.frames)  # dB, summed, less what is known

    def quality(self, frame: SourceFrame, try_intra: TryIntra) -> int:
        if self._frames_left == 0:
            return self._last()
        wanted = solve(self._forecast.coming, self._needed - self._forecast.waiting())
        q = self._move(wanted, frame.begins_gop)
        self._forecast.begin(frame.number, q)
        return q

    def observe(self, cost: FrameResult) -> None:
        self._needed -= cost.psnr
        self._forecast.observe(cost)
