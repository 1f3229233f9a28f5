"""What the frames to come will cost: a forecast, corrected by what frames did cost."""

import math
from collections import defaultdict
from dataclasses import dataclass, field

from neuralcodec.container.sizes import fixed_bits
from neuralcodec.encoder.quality_control import FrameResult
from neuralcodec.rate.curve import INTER_OCTAVES, INTRA_OCTAVES, Curve, inter_quality, intra_quality
from neuralcodec.rate.levels import USUAL_BITS, Kind, LevelDifferences, by_kind
from neuralcodec.rate.trend import RunningTrend

# Frames that correct the forecast: of their GOP and the next, full of what is new; of others
GOP_MEMORY, LATER_MEMORY, INTRA_MEMORY = 24.0, 100.0, 4.0
LEAST_WEIGHT = 0.1  # of a frame in which nothing is new, against one in which all is
OTHER_SCENES = 0.15  # share that what was learned counts for in a new scene
LONE_SHARE = 0.15  # of an intra frame's bits, of an inter frame where none was seen so far
LEVEL_OCTAVES = {kind: math.log2(bits) for kind, bits in by_kind(USUAL_BITS).items()}
LEAST_BITS = 4.0  # of a frame that react to q: no logarithm of nothing


@dataclass(frozen=True)
class BitsLaw:
    """How the bits of a frame that react to q do so."""

    intra: Curve  # log2 bits, over the frame's own q
    inter: Curve

    @classmethod
    def usual(cls) -> "BitsLaw":
        return cls(Curve(((0.0, 0.0),), INTRA_OCTAVES), Curve(((0.0, 0.0),), INTER_OCTAVES))

    def factor(self, q: float, reference: float, is_intra: bool) -> float:
        """q: as a control gives it; reference: the same where the factor is 1."""
        curve, own = (self.intra, intra_quality) if is_intra else (self.inter, inter_quality)
        return float(2.0 ** (curve(own(q)) - curve(own(reference))))


@dataclass(frozen=True)
class FrameBits:
    """What is foretold of a frame."""

    number: int
    gop: int  # its number
    is_intra: bool
    bits: float  # that react to q, at the reference, were it a P frame
    alike: float  # 0..1: how much it has in common with the frame before it
    look: float  # of what is new in it, see `complexity.inter_look`
    kind: Kind = (1, 0)  # of an inter frame


@dataclass(frozen=True)
class Trust:
    """How much a forecast counts against what happens."""

    level: float  # of inter frames, see `RunningTrend`
    slope: float
    later: float  # share of the memory of the correction
    intra: float


class BitsForecast:
    """Frames are added as they become known, begun when their q is decided, and observed when
    their cost is known, each in any order but that GOPs are added and begun one after another.

    The forecast is corrected by what frames did cost: in a GOP that is begun, and the next one,
    by those of it, as far as they look alike; in later ones by all."""

    def __init__(self, law: BitsLaw, reference: float, trust: Trust) -> None:
        self.law, self.reference = law, reference
        self._frames: dict[int, FrameBits] = {}  # not yet observed
        self._begun: dict[int, float] = {}  # reacting bits foretold, at the q decided, by number
        self._gops: dict[int, _Gop] = {}
        self._next = 0  # number of the first GOP of which nothing is begun
        self._trend = RunningTrend(GOP_MEMORY, trust.level, trust.slope)  # of the GOP seen last
        self._intra = _Ratio(INTRA_MEMORY, trust.intra)
        self._inter = _Ratio(LATER_MEMORY, trust.later)
        self._levels = LevelDifferences(LEVEL_OCTAVES)
        # Reacting bits of inter frames in GOPs of which nothing is begun, by kind
        self._later: defaultdict[Kind, float] = defaultdict(float)
        self._intra_later = 0.0
        self._fixed = 0.0  # bits of frames not begun that do not react
        self._inter_frames = 0  # not begun
        self._last_intra = 0.0  # reacting bits of the one added last

    def add(self, frame: FrameBits) -> None:
        self._frames[frame.number] = frame
        self._fixed += fixed_bits(frame.is_intra)
        gop = self._gops.setdefault(frame.gop, _Gop(frame.alike))
        gop.unseen += 1
        if frame.is_intra:
            self._intra_later += frame.bits
            self._last_intra = frame.bits
            return
        gop.rest[frame.number] = frame
        self._inter_frames += 1
        if gop.trend is None:
            self._later[frame.kind] += frame.bits

    def begin(self, number: int, q: float) -> None:
        frame = self._frames[number]
        self._fixed -= fixed_bits(frame.is_intra)
        gop = self._gops[frame.gop]
        if gop.trend is None:
            gop.trend = self._continued(gop)
            self._next = frame.gop + 1
            for other in gop.rest.values():
                self._later[other.kind] -= other.bits
        if frame.is_intra:
            self._intra_later -= frame.bits
        else:
            del gop.rest[number]
            self._inter_frames -= 1
        bits = frame.bits if frame.is_intra else self._weighted(frame)
        self._begun[number] = bits * self.law.factor(q, self.reference, frame.is_intra)

    def _weighted(self, frame: FrameBits) -> float:
        """Reacting bits of an inter frame at its level."""
        return frame.bits * 2.0 ** self._levels[frame.kind]

    def _continued(self, gop: "_Gop") -> RunningTrend:
        return self._trend.continued(max(gop.alike, OTHER_SCENES))

    def observe(self, cost: FrameResult) -> None:
        frame = self._frames.pop(cost.number, None)
        if frame is None:
            return
        foretold = self._begun.pop(cost.number)
        gop = self._gops[frame.gop]
        assert gop.trend is not None
        if cost.is_intra == frame.is_intra:  # not where prediction broke down
            happened = cost.bits - fixed_bits(frame.is_intra)
            if frame.is_intra:
                self._intra.add(max(happened, 0.0), foretold)
            else:
                self._inter.add(max(happened, 0.0), foretold)
                weight = LEAST_WEIGHT + (1 - LEAST_WEIGHT) * 2.0**frame.look
                error = math.log2(max(happened, LEAST_BITS) / max(foretold, LEAST_BITS))
                self._levels.learn(frame.kind, weight * (error - gop.trend.at(frame.look)))
                gop.trend.add(frame.look, error, weight)
        self._trend = gop.trend
        gop.unseen -= 1
        if gop.unseen == 0:
            del self._gops[frame.gop]

    def waiting(self) -> float:
        """Bits of frames begun and not observed."""
        total = 0.0
        for number, bits in self._begun.items():
            frame = self._frames[number]
            trend = self._gops[frame.gop].trend
            assert trend is not None
            factor = self._intra.factor if frame.is_intra else 2.0 ** trend.at(frame.look)
            total += bits * factor + fixed_bits(frame.is_intra)
        return total

    def coming(self, more_intra: float = 0.0, more_inter: float = 0.0) -> "ComingBits":
        """Of the frames not begun; and of so many more, like those known."""
        inter = 0.0
        later = sum(bits * 2.0 ** self._levels[kind] for kind, bits in self._later.items())
        for gop in self._gops.values():
            if gop.trend is not None:
                inter += self._corrected(gop, gop.trend)
        if self._next in self._gops:
            gop = self._gops[self._next]
            inter += self._corrected(gop, self._continued(gop))
            later -= sum(map(self._weighted, gop.rest.values()))
        inter += later * self._inter.factor
        if self._inter_frames:
            inter += more_inter * inter / self._inter_frames
        else:
            inter += more_inter * LONE_SHARE * self._last_intra
        intra = (self._intra_later + more_intra * self._last_intra) * self._intra.factor
        fixed = more_intra * fixed_bits(True) + more_inter * fixed_bits(False)
        return ComingBits(self.law, self.reference, intra, inter, self._fixed + fixed)

    def _corrected(self, gop: "_Gop", trend: RunningTrend) -> float:
        return sum(self._weighted(f) * 2.0 ** trend.at(f.look) for f in gop.rest.values())


@dataclass(frozen=True)
class ComingBits:
    """Of some frames, foretold, all at one q."""

    law: BitsLaw
    reference: float
    intra: float  # bits that react to q, at the reference
    inter: float
    fixed: float

    def at(self, q: float) -> float:
        return (
            self.intra * self.law.factor(q, self.reference, True)
            + self.inter * self.law.factor(q, self.reference, False)
            + self.fixed
        )


@dataclass
class _Gop:
    alike: float  # of its first frame
    rest: dict[int, FrameBits] = field(default_factory=dict)  # inter frames not begun, by number
    unseen: int = 0  # frames not observed
    trend: RunningTrend | None = None  # octaves; once it is begun


class _Ratio:
    """How far the forecast was off lately, as a factor."""

    def __init__(self, memory: float, trust: float) -> None:
        """memory: in frames; trust: as if a share of it had been as foretold."""
        self.factor = 1.0
        self._keep = 1 - 1 / memory
        self._prior = trust * memory  # frames like the first one observed
        self._foretold = self._happened = 0.0

    def add(self, happened: float, foretold: float) -> None:
        if self._foretold == 0.0:
            self._foretold = self._happened = self._prior * foretold
        self._happened = self._happened * self._keep + happened
        self._foretold = self._foretold * self._keep + foretold
        if self._foretold > 0.0:
            self.factor = self._happened / self._foretold
