"""What PSNR the frames to come will have: a forecast, corrected by what frames did have.

Where little moves, a frame inherits the quality of the one before it: the first of a GOP, coded at
a higher q, lifts all others, and a lower q makes itself felt slowly. So the forecast follows the q
that a frame seems to have been coded at. How much is inherited differs from clip to clip; several
guesses go along, and the one is believed that foretold best lately.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from neuralcodec.codec.rate_control import FrameCost
from neuralcodec.codec.rate_curve import Curve, inter_quality, intra_quality

# Share of the quality above a frame's own q that the next one inherits: a guess each.
KEPT = (0.8, 0.9, 0.95, 0.98)
LACKING = 0.6  # the same of quality that lacks: it is made up for in a few frames
GOP_MEMORY = 12  # frames that correct the forecast of their GOP
SCORE_MEMORY = 60  # frames over which the guesses are compared
HORIZON = 48  # frames for which the error of the forecast lately is believed to last


@dataclass(frozen=True)
class FramePsnr:
    """What is foretold of a frame."""

    number: int
    gop: int  # its number
    position: int  # in its GOP
    psnr: float  # dB, if it seemed to be coded at the reference
    alike: float  # 0..1: how much it has in common with the frame before it


@dataclass
class _Sum:
    """Of frames not begun."""

    frames: int = 0
    psnr: float = 0.0  # dB, all seeming to be coded at the reference
    alike: float = 0.0  # of the first frame of each one's GOP
    excess: np.ndarray = field(default_factory=lambda: np.zeros(len(KEPT)))  # see `kept_excess`

    def add(self, frame: FramePsnr, alike: float, sign: int = 1) -> None:
        self.frames += sign
        self.psnr += sign * frame.psnr
        self.alike += sign * alike
        self.excess += sign * kept_excess(frame.position)


@dataclass
class _Gop:
    alike: float  # of its first frame
    rest: _Sum = field(default_factory=_Sum)
    unseen: int = 0  # frames not observed
    is_begun: bool = False
    seeming: np.ndarray = field(default_factory=lambda: np.zeros(len(KEPT)))  # q of the last frame
    error: np.ndarray = field(default_factory=lambda: np.zeros(len(KEPT)))  # dB, of the forecast
    weight: float = 0.0  # frames that this error rests on


class PsnrForecast:
    """Frames are added as they become known, a GOP's in order, begun when their q is decided, and
    observed when their PSNR is known."""

    def __init__(self, curve: Curve, reference: float, trust: float) -> None:
        """curve: dB over the q that a frame seems to have; trust: as if the forecast had been
        right for so many frames."""
        self.curve, self.reference = curve, reference
        self._at_reference = curve(reference)
        self._trust = trust
        self._frames: dict[int, FramePsnr] = {}  # not yet observed
        self._begun: dict[int, np.ndarray] = {}  # dB foretold at the q decided, for each of KEPT
        self._gops: dict[int, _Gop] = {}
        self._later = _Sum()  # frames of GOPs not begun
        self._recent = np.zeros(len(KEPT))  # error of the GOP observed last
        self._errors, self._known = np.zeros(len(KEPT)), 0  # sum over all frames observed
        self._scores = np.zeros(len(KEPT))  # mean square of what came as a surprise

    def add(self, frame: FramePsnr) -> None:
        self._frames[frame.number] = frame
        gop = self._gops.setdefault(frame.gop, _Gop(frame.alike))
        gop.unseen += 1
        gop.rest.add(frame, gop.alike)
        if not gop.is_begun:
            self._later.add(frame, gop.alike)

    def revise(self, number: int, psnr: float) -> None:
        """Of a frame that is not begun."""
        frame = self._frames[number]
        gop = self._gops[frame.gop]
        gop.rest.psnr += psnr - frame.psnr
        if not gop.is_begun:
            self._later.psnr += psnr - frame.psnr
        self._frames[number] = replace(frame, psnr=psnr)

    def begin(self, number: int, q: float) -> None:
        frame = self._frames[number]
        gop = self._gops[frame.gop]
        if not gop.is_begun:
            self._begin_gop(gop)
        gop.rest.add(frame, gop.alike, -1)
        if frame.position == 0:
            gop.seeming = np.full(len(KEPT), intra_quality(q))
        else:
            own = inter_quality(q)
            inherited = gop.seeming - own
            gop.seeming = own + inherited * np.where(inherited > 0, KEPT, LACKING)
        rise = [self.curve(seeming) - self._at_reference for seeming in gop.seeming]
        self._begun[number] = frame.psnr + np.array(rise)

    def _begin_gop(self, gop: _Gop) -> None:
        gop.is_begun = True
        gop.error = gop.alike * self._recent + (1 - gop.alike) * self._overall
        gop.weight = gop.alike * GOP_MEMORY
        rest = gop.rest
        self._later.frames -= rest.frames
        self._later.psnr -= rest.psnr
        self._later.alike -= rest.alike
        self._later.excess -= rest.excess

    def observe(self, cost: FrameCost) -> float:
        """Gives the error of the forecast, in dB."""
        frame = self._frames.pop(cost.number, None)
        if frame is None:
            return 0.0
        gop = self._gops[frame.gop]
        error = cost.psnr - self._begun.pop(cost.number)
        if gop.weight >= 1:
            self._scores += (np.square(error - gop.error) - self._scores) / SCORE_MEMORY
        gop.error = gop.error + (error - gop.error) / (gop.weight + 1)
        gop.weight = min(gop.weight + 1, GOP_MEMORY)
        self._recent = gop.error
        self._errors += error
        self._known += 1
        gop.unseen -= 1
        if gop.unseen == 0:
            del self._gops[frame.gop]
        return float(error[self._best])

    @property
    def _overall(self) -> np.ndarray:
        mean: np.ndarray = self._errors / max(self._known + self._trust, 1)
        return mean

    @property
    def _best(self) -> int:
        """Of KEPT."""
        return int(self._scores.argmin())

    def waiting(self) -> float:
        """Sum of dB over the frames begun and not observed."""
        best = self._best
        return sum(
            float(foretold[best] + self._gops[self._frames[number].gop].error[best])
            for number, foretold in self._begun.items()
        )

    def rest_of_gop(self, number: int) -> int:
        """Frames of a GOP that are not begun."""
        return self._gops[number].rest.frames

    def coming(self, q: float) -> float:
        """The same over the frames not begun, all of them at this q."""
        begun = sum(self._rest(gop, q) for gop in self._gops.values() if gop.is_begun)
        return begun + self._not_begun(self._later, q)

    def coming_of_gop(self, number: int, q: float) -> float:
        """The same of one GOP."""
        gop = self._gops[number]
        return self._rest(gop, q) if gop.is_begun else self._not_begun(gop.rest, q)

    def _rest(self, gop: _Gop, q: float) -> float:
        n = gop.rest.frames
        if n == 0:
            return 0.0
        best, own = self._best, inter_quality(q)
        inherited = float(gop.seeming[best]) - own
        kept = KEPT[best] if inherited > 0 else LACKING
        mean = own + inherited * kept * (1 - kept**n) / (1 - kept) / n
        rise = self.curve(mean) - self._at_reference
        return gop.rest.psnr + n * (rise + float(gop.error[best]))

    def _not_begun(self, rest: _Sum, q: float) -> float:
        n = rest.frames
        if n == 0:
            return 0.0
        best, own = self._best, inter_quality(q)
        mean = own + (intra_quality(q) - own) * float(rest.excess[best]) / n
        rise = self.curve(mean) - self._at_reference
        soon = min(1.0, HORIZON / n) * rest.alike / n
        error = soon * float(self._recent[best]) + (1 - soon) * float(self._overall[best])
        return rest.psnr + n * (rise + error)


def kept_excess(position: int) -> np.ndarray:
    """How much of what a GOP's first frame has above the q of the others is left in a frame, for
    each of KEPT."""
    return np.array(KEPT) ** position
