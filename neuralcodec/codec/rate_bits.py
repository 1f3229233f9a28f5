"""What the frames to come will cost: a forecast, corrected by what frames did cost."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from neuralcodec.codec.rate_control import FrameCost
from neuralcodec.codec.rate_curve import (
    INTER_OCTAVES,
    INTRA_OCTAVES,
    Curve,
    inter_quality,
    intra_quality,
)
from neuralcodec.codec.rate_overhead import fixed_bits

GOP_MEMORY, INTER_MEMORY, INTRA_MEMORY = 24.0, 100.0, 4.0  # frames that correct the forecast


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
    bits: float  # that react to q, at the reference


class BitsForecast:
    """Frames are added as they become known, begun when their q is decided, and observed when
    their cost is known, each in any order."""

    def __init__(
        self, law: BitsLaw, reference: float, inter_trust: float, intra_trust: float
    ) -> None:
        """Trust: how much the forecast counts against what happens, as a share of the memory of
        each correction; infinity: there is none."""
        self.law, self.reference = law, reference
        self._frames: dict[int, FrameBits] = {}  # not yet observed
        self._begun: dict[int, float] = {}  # reacting bits foretold, at the q decided, by number
        self._gops: dict[int, _Gop] = {}
        self._inter_trust = inter_trust
        self._intra = _Correction(INTRA_MEMORY, intra_trust)
        self._inter = _Correction(INTER_MEMORY, inter_trust)
        self._later, self._later_frames = 0.0, 0  # reacting bits of inter frames in GOPs not begun
        self._intra_later = 0.0
        self._fixed = 0.0  # bits of frames not begun that do not react
        self._typical = {True: 0.0, False: 0.0}  # reacting bits of an intra and an inter frame

    def revise(self, number: int, bits: float) -> None:
        """Of an inter frame that is not begun."""
        frame = self._frames[number]
        gop = self._gops[frame.gop]
        gop.rest += bits - frame.bits
        if gop.correction is None:
            self._later += bits - frame.bits
        self._frames[number] = replace(frame, bits=bits)

    def add(self, frame: FrameBits) -> None:
        self._frames[frame.number] = frame
        self._fixed += fixed_bits(frame.is_intra)
        gop = self._gops.setdefault(frame.gop, _Gop())
        gop.unseen += 1
        typical = self._typical[frame.is_intra] or frame.bits
        step = 1.0 if frame.is_intra else 1 / GOP_MEMORY
        self._typical[frame.is_intra] = typical + (frame.bits - typical) * step
        if frame.is_intra:
            self._intra_later += frame.bits
            return
        gop.rest += frame.bits
        gop.inter_frames += 1
        if gop.correction is None:
            self._later += frame.bits
            self._later_frames += 1

    def begin(self, number: int, q: float) -> None:
        frame = self._frames[number]
        self._fixed -= fixed_bits(frame.is_intra)
        gop = self._gops[frame.gop]
        if gop.correction is None:
            self._open(gop)
        if frame.is_intra:
            self._intra_later -= frame.bits
        else:
            gop.rest -= frame.bits
        self._begun[number] = frame.bits * self.law.factor(q, self.reference, frame.is_intra)

    def _open(self, gop: "_Gop") -> None:
        self._inter.expect(self._later / max(self._later_frames, 1))
        gop.correction = _Correction(GOP_MEMORY, self._inter_trust, self._inter.factor)
        gop.correction.expect(gop.rest / max(gop.inter_frames, 1))
        self._later -= gop.rest
        self._later_frames -= gop.inter_frames

    def observe(self, cost: FrameCost) -> None:
        frame = self._frames.pop(cost.number, None)
        if frame is None:
            return
        foretold = self._begun.pop(cost.number)
        gop = self._gops[frame.gop]
        if cost.is_intra == frame.is_intra:  # not where prediction broke down
            happened = max(cost.bits - fixed_bits(frame.is_intra), 0.0)
            for correction in self._corrections(frame):
                correction.add(happened, foretold)
        gop.unseen -= 1
        if gop.unseen == 0:
            del self._gops[frame.gop]

    def _corrections(self, frame: FrameBits) -> Iterator["_Correction"]:
        """The one that fits best first."""
        if frame.is_intra:
            yield self._intra
            return
        own = self._gops[frame.gop].correction
        if own is not None:
            yield own
        yield self._inter

    def waiting(self) -> float:
        """Bits of frames begun and not observed."""
        total = 0.0
        for number, bits in self._begun.items():
            frame = self._frames[number]
            total += bits * next(self._corrections(frame)).factor + fixed_bits(frame.is_intra)
        return total

    def coming(self, more_intra: float = 0.0, more_inter: float = 0.0) -> "ComingBits":
        """Of the frames not begun; and of so many more, like those added last."""
        inter = (self._later + more_inter * self._typical[False]) * self._inter.factor
        for gop in self._gops.values():
            if gop.correction is not None:
                inter += gop.rest * gop.correction.factor
        intra = (self._intra_later + more_intra * self._typical[True]) * self._intra.factor
        fixed = more_intra * fixed_bits(True) + more_inter * fixed_bits(False)
        return ComingBits(self.law, self.reference, intra, inter, self._fixed + fixed)


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
    rest: float = 0.0  # reacting bits at the reference, of inter frames not begun
    inter_frames: int = 0
    unseen: int = 0  # frames not observed
    correction: "_Correction | None" = None  # once it is begun


class _Correction:
    """How far the forecast was off lately, as a factor."""

    def __init__(self, memory: float, trust: float, guess: float = 1.0) -> None:
        """memory: in frames; trust: share of it that the guess fills."""
        self.factor = guess
        self._keep = 1 - 1 / memory
        self._prior = trust * memory  # frames
        self._foretold = self._happened = 0.0

    def expect(self, usual: float) -> None:
        """Bits of a frame on the mean: where most of those to come cost more than those at first,
        these say little."""
        if self._foretold == 0.0 and not math.isinf(self._prior):
            self._foretold = self._prior * usual
            self._happened = self._foretold * self.factor

    def add(self, happened: float, foretold: float) -> None:
        if math.isinf(self._prior):
            return
        self.expect(foretold)
        self._happened = self._happened * self._keep + happened
        self._foretold = self._foretold * self._keep + foretold
        if self._foretold > 0.0:
            self.factor = self._happened / self._foretold
