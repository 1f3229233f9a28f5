"""One pass: the source cannot be read twice, its length is not known. What was spent too much or
too little is paid back over the next seconds."""

import math
from fractions import Fraction

from neuralcodec.codec.gop_structure import INTRA_BONUS, PlacedFrame
from neuralcodec.codec.rate_control import FrameCost, Smoother
from neuralcodec.codec.rate_curve import DB_PER_Q, OCTAVES_PER_Q
from neuralcodec.codec.time_span import USUAL_RATE
from neuralcodec.video import VideoFormat

WINDOW_SECONDS = 2  # or a GOP, where that is longer: its intra frame takes the bits of many others
STEP, FIRST_STEP = 0.4, 2.0  # most that q moves from frame to frame; at first and when urgent
FIRST_FRAMES = 16
MEMORY = 12  # frames of one kind over which their cost is estimated
URGENT_SHARE = 0.3  # of the usual bits of a window, spent too much
LEAST_SHARE = 0.2  # of the usual bits is spent at least, however much is owed
PSNR_WINDOW = 16  # frames
USUAL_BPP, USUAL_BPP_Q = 0.28, 32  # of a usual clip
INTRA_WEIGHT = 5.0  # bits of an intra frame, in inter frames of the same GOP
USUAL_DB, USUAL_DB_Q = 37.5, 32


class LiveBits:
    """Keeps to so many bits a second, or a frame."""

    def __init__(
        self, fmt: VideoFormat, gop: int, per_second: float | None, per_frame: float | None
    ) -> None:
        """One of per_second and per_frame is given, in bits."""
        rate = fmt.frame_rate or USUAL_RATE
        self._per_second = per_second
        self._time_base: Fraction = fmt.time_base
        self._per_frame = per_frame if per_second is None else per_second / float(rate)
        assert self._per_frame is not None
        self._window = max(round(WINDOW_SECONDS * rate), gop)
        self._intra_share = 1 / gop
        samples = fmt.width * fmt.height
        bpp = self._per_frame / samples
        start = USUAL_BPP_Q + math.log2(bpp / USUAL_BPP) / OCTAVES_PER_Q
        self._smoother = Smoother(min(max(start, 0.0), 63.0))
        inter = USUAL_BPP * samples * 2.0 ** (-USUAL_BPP_Q * OCTAVES_PER_Q)
        self._weights = [_Mean(inter), _Mean(INTRA_WEIGHT * inter)]  # bits at q 0: inter, intra
        self._spent = 0.0
        self._unknown: dict[int, float] = {}
        self._first_pts: int | None = None
        self._frames = 0

    def quality(self, frame: PlacedFrame) -> int:
        owed = self._spent + sum(self._unknown.values()) - self._due(frame.frame.pts)
        # What a still part leaves unspent is not saved up for ever: the bucket leaks.
        self._spent += max(0.0, -self._window * self._usual_bits - owed)
        owed = max(owed, -self._window * self._usual_bits)
        wanted_bits = self._window * self._usual_bits - owed
        wanted_bits = max(wanted_bits, LEAST_SHARE * self._window * self._usual_bits)
        inter, intra = (w.value for w in self._weights)
        at_zero = self._window * (self._intra_share * intra + (1 - self._intra_share) * inter)
        wanted = math.log2(wanted_bits / at_zero) / OCTAVES_PER_Q
        hurry = (
            self._frames <= FIRST_FRAMES or owed > URGENT_SHARE * self._window * self._usual_bits
        )
        step = FIRST_STEP if hurry else STEP
        q = self._smoother.approach(wanted, step)
        weight = self._weights[frame.begins_gop].value
        self._unknown[frame.number] = weight * 2.0 ** (q * OCTAVES_PER_Q)
        self._frames += 1
        return q

    def observe(self, cost: FrameCost) -> None:
        self._spent += cost.bits
        del self._unknown[cost.number]
        self._weights[cost.is_intra].add(cost.bits * 2.0 ** (-cost.quality * OCTAVES_PER_Q))

    @property
    def _usual_bits(self) -> float:
        assert self._per_frame is not None
        return self._per_frame

    def _due(self, pts: int) -> float:
        """Bits to be spent before the frame with this time stamp."""
        if self._first_pts is None:
            self._first_pts = pts
        if self._per_second is None:
            return self._usual_bits * self._frames
        return self._per_second * float((pts - self._first_pts) * self._time_base)


class LivePsnr:
    """Keeps the mean PSNR at the target."""

    def __init__(self, target: float) -> None:
        self._target = target
        self._smoother = Smoother(USUAL_DB_Q + (target - USUAL_DB) / DB_PER_Q)
        self._at_zero = _Mean(USUAL_DB - DB_PER_Q * USUAL_DB_Q)  # dB of inter frames at q 0
        self._owed = 0.0  # dB, summed over the frames known
        self._unknown: dict[int, float] = {}
        self._in_scene = 0

    def quality(self, frame: PlacedFrame) -> int:
        owed = self._owed + sum(self._target - psnr for psnr in self._unknown.values())
        wanted = (self._target + owed / PSNR_WINDOW - self._at_zero.value) / DB_PER_Q
        if frame.begins_gop:
            self._in_scene = 0
        self._in_scene += 1
        step = STEP if self._in_scene > FIRST_FRAMES else FIRST_STEP
        q = self._smoother.approach(wanted, step)
        self._unknown[frame.number] = self._at_zero.value + DB_PER_Q * q
        return q

    def observe(self, cost: FrameCost) -> None:
        self._owed += self._target - cost.psnr
        del self._unknown[cost.number]
        if cost.is_intra:
            # another scene, probably: what the frames before it had says nothing of it
            self._at_zero.start(cost.psnr - DB_PER_Q * (cost.quality + INTRA_BONUS))
        else:
            self._at_zero.add(cost.psnr - DB_PER_Q * cost.quality)


class _Mean:
    """Of the values lately; until one is there, a guess."""

    def __init__(self, guess: float) -> None:
        self.start(guess)

    def start(self, guess: float) -> None:
        self.value = guess
        self._count = 0

    def add(self, value: float) -> None:
        self._count = min(self._count + 1, MEMORY)
        self.value += (value - self.value) / self._count
