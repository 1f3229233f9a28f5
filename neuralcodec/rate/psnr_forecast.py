"""What PSNR the frames to come will have: a forecast, corrected by what frames did have.

Where little moves, a frame inherits the quality of the one before it: the first of a GOP, coded at
a higher q, lifts all others, and a lower q makes itself felt slowly. So the forecast follows the q
that a frame seems to have been coded at, from anchor to anchor. How much is inherited differs from
clip to clip; several guesses go along, and the one is believed that foretold best lately.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from neuralcodec.encoder.quality_control import FrameResult
from neuralcodec.rate.curve import Curve, inter_quality, intra_quality
from neuralcodec.rate.levels import USUAL_DB, Kind, LevelDifferences, by_kind

# Share of the quality above a frame's own q that the next one inherits: a guess each.
KEPT = (0.8, 0.9, 0.95, 0.98)
LACKING = 0.6  # the same of quality that lacks: it is made up for in a few frames
GOP_MEMORY = 12  # frames that correct the forecast of their GOP
SLOPE_MEMORY = 200  # frames over which it is learned how PSNR goes with motion
SLOPE_TRUST = 4.0  # as if so many frames, with looks 1 apart, had been as foretold
SCORE_MEMORY = 60  # frames over which the guesses are compared
TRIED_WEIGHT = 4.0  # frames that count as much as a trial of the first one
HORIZON = 48  # frames for which the error of the forecast lately is believed to last


@dataclass(frozen=True)
class FramePsnr:
    """What is foretold of a frame."""

    number: int
    gop: int  # its number
    position: int  # in its GOP
    psnr: float  # dB, if it seemed to be coded at the reference, were it a P frame
    alike: float  # 0..1: how much it has in common with the frame before it
    look: float  # of its motion, see `complexity.motion_look`
    kind: Kind = (1, 0)


@dataclass
class _Sum:
    """Of frames not begun."""

    frames: int = 0
    psnr: float = 0.0  # dB, all seeming to be coded at the reference
    alike: float = 0.0  # of the first frame of each one's GOP
    look: float = 0.0
    excess: np.ndarray = field(default_factory=lambda: np.zeros(len(KEPT)))  # see `kept_excess`
    kinds: Counter[Kind] = field(default_factory=Counter)

    def add(self, frame: FramePsnr, alike: float, sign: int = 1) -> None:
        self.frames += sign
        self.psnr += sign * frame.psnr
        self.alike += sign * alike
        self.look += sign * frame.look
        self.excess += sign * kept_excess(frame.position)
        self.kinds[frame.kind] += sign


@dataclass(frozen=True)
class _Anchor:
    """A coded frame of level 0."""

    position: int
    seeming: np.ndarray  # q


@dataclass
class _Gop:
    alike: float  # of its first frame
    rest: _Sum = field(default_factory=_Sum)
    unseen: int = 0  # frames not observed
    is_open: bool = False  # whether frames of it are begun, or the first was tried
    is_begun: bool = False
    anchors: list["_Anchor"] = field(default_factory=list)  # the last two
    error: np.ndarray = field(default_factory=lambda: np.zeros(len(KEPT)))  # dB, of the forecast
    look: float = 0.0  # of the frames that this error rests on
    weight: float = 0.0  # how many these are
    first_error: np.ndarray | None = None  # of the first frame, where it was tried
    sum: np.ndarray = field(default_factory=lambda: np.zeros(len(KEPT)))  # of later frames' errors
    sum_look: float = 0.0
    seen: int = 0  # frames in these sums


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
        self._levels = LevelDifferences(by_kind(USUAL_DB))
        self._recent = np.zeros(len(KEPT))  # error of the GOP observed last
        self._recent_look = 0.0
        self._gap = np.zeros(len(KEPT))  # error of a GOP, less that of its first frame
        self._slope = _Slope()
        self._errors, self._looks, self._known = np.zeros(len(KEPT)), 0.0, 0  # of all observed
        self._scores = np.zeros(len(KEPT))  # mean square of what came as a surprise

    def add(self, frame: FramePsnr) -> None:
        self._frames[frame.number] = frame
        gop = self._gops.setdefault(frame.gop, _Gop(frame.alike))
        gop.unseen += 1
        gop.rest.add(frame, gop.alike)
        if not gop.is_open:
            self._later.add(frame, gop.alike)

    def revise(self, frame: FramePsnr) -> None:
        """What was added of a frame, in a GOP of which nothing is begun."""
        gop = self._gops[frame.gop]
        for total in (gop.rest, self._later):
            total.add(self._frames[frame.number], gop.alike, -1)
            total.add(frame, gop.alike)
        self._frames[frame.number] = frame

    def learn(self, number: int, q: float, psnr: float) -> None:
        """The first frame of a GOP not begun was tried: so much would it have at this q."""
        frame = self._frames[number]
        gop = self._gops[frame.gop]
        self._open(gop)
        rise = self.curve(intra_quality(q)) - self._at_reference
        gop.first_error = np.full(len(KEPT), psnr - frame.psnr - rise)
        gop.error = gop.first_error + gop.alike * self._gap
        gop.look, gop.weight = frame.look, TRIED_WEIGHT

    def begin(self, number: int, q: float) -> None:
        frame = self._frames[number]
        gop = self._gops[frame.gop]
        self._open(gop)
        gop.is_begun = True
        gop.rest.add(frame, gop.alike, -1)
        if frame.position == 0:
            seeming = np.full(len(KEPT), intra_quality(q))
        else:
            before = [a for a in gop.anchors if a.position < frame.position][-1]
            own, distance = inter_quality(q), frame.position - before.position
            inherited = before.seeming - own
            seeming = own + inherited * np.where(inherited > 0, KEPT, LACKING) ** distance
        if frame.kind[1] == 0 or frame.kind[0] <= 1:
            gop.anchors = [*gop.anchors[-1:], _Anchor(frame.position, seeming)]
        rise = [self.curve(q_seen) - self._at_reference for q_seen in seeming]
        self._begun[number] = frame.psnr + self._levels[frame.kind] + np.array(rise)

    def _open(self, gop: _Gop) -> None:
        if gop.is_open:
            return
        gop.is_open = True
        gop.error = gop.alike * self._recent + (1 - gop.alike) * self._overall
        gop.look = gop.alike * self._recent_look + (1 - gop.alike) * self._overall_look
        gop.weight = gop.alike * GOP_MEMORY
        rest = gop.rest
        self._later.frames -= rest.frames
        self._later.psnr -= rest.psnr
        self._later.alike -= rest.alike
        self._later.look -= rest.look
        self._later.excess -= rest.excess
        self._later.kinds.subtract(rest.kinds)

    def observe(self, cost: FrameResult) -> None:
        frame = self._frames.pop(cost.number, None)
        if frame is None:
            return
        gop = self._gops[frame.gop]
        error = cost.psnr - self._begun.pop(cost.number)
        if gop.weight >= 1 and frame.position > 0:
            surprise = error[self._best] - gop.error[self._best]
            tilt = self._slope.value * (frame.look - gop.look)
            self._levels.learn(frame.kind, float(surprise) - tilt)
        if frame.position > 0 or gop.first_error is None:
            self._correct(gop, frame, error)
        self._recent, self._recent_look = gop.error, gop.look
        self._errors += error
        self._looks += frame.look
        self._known += 1
        gop.unseen -= 1
        if gop.unseen == 0:
            self._end_gop(frame.gop)

    def _correct(self, gop: _Gop, frame: FramePsnr, error: np.ndarray) -> None:
        more, more_look = error - gop.error, frame.look - gop.look
        if gop.weight >= 1:
            surprise = more - self._slope.value * more_look
            self._scores += (np.square(surprise) - self._scores) / SCORE_MEMORY
        if gop.seen:
            off = error - gop.sum / gop.seen
            self._slope.add(frame.look - gop.sum_look / gop.seen, float(off[self._best]))
        gop.error = gop.error + more / (gop.weight + 1)
        gop.look += more_look / (gop.weight + 1)
        gop.weight = min(gop.weight + 1, GOP_MEMORY)
        gop.sum, gop.sum_look, gop.seen = gop.sum + error, gop.sum_look + frame.look, gop.seen + 1

    def _end_gop(self, number: int) -> None:
        gop = self._gops.pop(number)
        if gop.first_error is not None and gop.seen:
            self._gap = gop.sum / gop.seen - gop.first_error

    @property
    def _overall(self) -> np.ndarray:
        mean: np.ndarray = self._errors / max(self._known + self._trust, 1)
        return mean

    @property
    def _overall_look(self) -> float:
        return self._looks / max(self._known, 1)

    @property
    def _best(self) -> int:
        """Of KEPT."""
        return int(self._scores.argmin())

    def waiting(self) -> float:
        """Sum of dB over the frames begun and not observed."""
        best = self._best
        total = 0.0
        for number, foretold in self._begun.items():
            frame = self._frames[number]
            gop = self._gops[frame.gop]
            tilt = self._slope.value * (frame.look - gop.look)
            total += float(foretold[best] + gop.error[best]) + tilt
        return total

    def rest_of_gop(self, number: int) -> int:
        """Frames of a GOP that are not begun."""
        return self._gops[number].rest.frames

    def rest_of_open_gops(self) -> int:
        """The same of all that are begun or were tried."""
        return sum(gop.rest.frames for gop in self._gops.values() if gop.is_open)

    def coming(self, q: float) -> float:
        """The same over the frames not begun, all of them at this q."""
        total = sum(self._rest(gop, q) for gop in self._gops.values() if gop.is_open)
        n = self._later.frames
        if n:
            best = self._best
            soon = min(1.0, HORIZON / n) * self._later.alike / n
            error = soon * float(self._recent[best]) + (1 - soon) * float(self._overall[best])
            look = soon * self._recent_look + (1 - soon) * self._overall_look
            total += self._at(self._later, self._whole_gops(self._later, q), error, look)
        return total

    def coming_of_gop(self, number: int, q: float) -> float:
        """The same of one GOP, of which a frame is begun or was tried."""
        return self._rest(self._gops[number], q)

    def _rest(self, gop: _Gop, q: float) -> float:
        n = gop.rest.frames
        if n == 0:
            return 0.0
        best, own = self._best, inter_quality(q)
        if gop.is_begun:
            inherited = float(gop.anchors[-1].seeming[best]) - own
            kept = KEPT[best] if inherited > 0 else LACKING
            seeming = own + inherited * kept * (1 - kept**n) / (1 - kept) / n
        else:
            seeming = self._whole_gops(gop.rest, q)
        return self._at(gop.rest, seeming, float(gop.error[best]), gop.look)

    def _whole_gops(self, frames: _Sum, q: float) -> float:
        """The q that these seem to have on the mean."""
        own = inter_quality(q)
        return own + (intra_quality(q) - own) * float(frames.excess[self._best]) / frames.frames

    def _at(self, frames: _Sum, seeming: float, error: float, look: float) -> float:
        """dB, summed. error: of the forecast, of frames with this look."""
        rise = self.curve(seeming) - self._at_reference
        tilt = self._slope.value * (frames.look - frames.frames * look)
        levels = sum(count * self._levels[kind] for kind, count in frames.kinds.items())
        return frames.psnr + levels + frames.frames * (rise + error) + tilt


class _Slope:
    """Of the error over the look: what surprises go together with."""

    def __init__(self) -> None:
        self.value = 0.0
        self._shown, self._spread = 0.0, SLOPE_TRUST

    def add(self, look: float, error: float) -> None:
        """Each as far as it differs from those lately."""
        keep = 1 - 1 / SLOPE_MEMORY
        self._shown = self._shown * keep + look * error
        self._spread = SLOPE_TRUST + (self._spread - SLOPE_TRUST) * keep + look * look
        self.value = self._shown / self._spread


def kept_excess(position: int) -> np.ndarray:
    """How much of what a GOP's first frame has above the q of the others is left in a frame, for
    each of KEPT."""
    return np.array(KEPT) ** position
