"""One pass: the source cannot be read twice, its length is not known. One looks ahead as far as a
GOP lasts; what was spent too much or too little is paid back over the next seconds, and what is
owed when the end comes in sight, until then."""

import math

from neuralcodec.codec.gop_structure import Outlook, PlacedFrame
from neuralcodec.codec.look_ahead import frames_held
from neuralcodec.codec.rate_bits import BitsForecast, BitsLaw, FrameBits
from neuralcodec.codec.rate_control import FrameCost, Smoother, TryIntra, alike
from neuralcodec.codec.rate_curve import DB_PER_Q, Curve, solve
from neuralcodec.codec.rate_overhead import fixed_bits
from neuralcodec.codec.rate_psnr import FramePsnr, PsnrForecast
from neuralcodec.codec.rate_trend import RunningTrend
from neuralcodec.codec.rate_usual import USUAL_Q, inter_look, motion_look, usual_bpp, usual_psnr
from neuralcodec.codec.time_span import TimeSpan
from neuralcodec.video import VideoFormat

WINDOW_SECONDS = 2  # or a GOP, where that is longer: its intra frame takes the bits of many others
STEP, FIRST_STEP = 0.4, 2.0  # most that q moves from frame to frame; in a new scene
FIRST_FRAMES = 16
RISE = 0.15  # the same upwards, of quality that cannot be taken back soon
LAST_STEP, LAST_FRAMES = 2.0, 36
BITS_TRUST = 0.05  # see `BitsForecast`: clips differ much
LEAST_SHARE = 0.2  # of the usual bits is spent at least, however much is owed
PSNR_WINDOW = 48  # frames
FEW = 24  # frames after the last full GOP, with which they are planned
BITS_MEMORY = 24.0  # frames, see `RunningTrend`
LEVEL_TRUST, SLOPE_TRUST = 1.0, 0.7
LEAST_WEIGHT = 0.1  # of a frame in which nothing is new, against one in which all is
TRIALS, NEAR = 2, 2.0  # of a GOP's first frame; q: a trial so near to the solution is the last
REACH = 14  # q: so much the frames of a GOP may fall below its first one's
LEAST_BITS = 4.0  # of a frame that react to q: no logarithm of nothing


class _Live:
    """What is known of the source, and q that moves with it: at the first frame of a GOP at once,
    as all others lean on it, within it by small steps."""

    def __init__(self, fmt: VideoFormat, gop: int) -> None:
        samples = fmt.width * fmt.height * 3 // 2
        self.frames_ahead = frames_held(gop, samples * (2 if fmt.bit_depth > 8 else 1))
        self._span = TimeSpan(fmt)  # of all frames seen
        self._gop, self._position = -1, 0  # of the frame seen last
        self._smoother: Smoother | None = None
        self._begun = 0  # frames

    def _see(self, frame: PlacedFrame) -> list[tuple[Outlook, int, int]]:
        """The frames that were not yet seen, each with the number of its GOP and its position."""
        new = []
        for outlook in frame.ahead:
            if outlook.number < self._span.frames:
                continue
            self._span.add([outlook.pts])
            self._position += 1
            if outlook.begins_gop:
                self._gop, self._position = self._gop + 1, 0
            new.append((outlook, self._gop, self._position))
        return new

    def _rate(self) -> float:
        """Frames a second."""
        return self._span.frames / self._span.seconds

    def _move(self, wanted: float, frame: PlacedFrame, rise: float, fall: float) -> int:
        """By at most `rise` up, or `fall` down, but where a GOP begins, or the end is near."""
        if self._smoother is None:
            self._smoother = Smoother(wanted)
        self._begun += 1
        step = rise if wanted > self._smoother.value else fall
        if frame.sees_end and len(frame.ahead) <= LAST_FRAMES:
            step = max(step, LAST_STEP)
        return self._smoother.approach(wanted, math.inf if frame.begins_gop else step)


class LiveBits(_Live):
    """Keeps to so many bits a second, or a frame."""

    def __init__(
        self, fmt: VideoFormat, gop: int, per_second: float | None, per_frame: float | None
    ) -> None:
        """One of per_second and per_frame is given, in bits."""
        super().__init__(fmt, gop)
        self._trend = RunningTrend(BITS_MEMORY, LEVEL_TRUST, SLOPE_TRUST)
        self._looks: dict[int, float] = {}  # of inter frames seen and not observed
        self._per_second, self._per_frame = per_second, per_frame
        self._longest_gop = gop
        self._samples = fmt.width * fmt.height
        self._law = BitsLaw.usual()
        self._forecast = BitsForecast(self._law, USUAL_Q, math.inf, BITS_TRUST)
        self._usual: dict[int, float] = {}  # bits of inter frames seen and not observed
        self._spent = 0.0  # bits of the frames observed
        self._in_scene = 0  # frames begun of it

    def quality(self, frame: PlacedFrame, try_intra: TryIntra) -> int:
        for outlook, gop, _ in self._see(frame):
            bits = usual_bpp(outlook) * self._samples
            self._forecast.add(FrameBits(outlook.number, gop, outlook.begins_gop, bits))
            if not outlook.begins_gop:
                self._usual[outlook.number] = bits
                self._looks[outlook.number] = inter_look(outlook)
        self._revise(frame)
        usual = self._usual_bits()
        owed = self._spent + self._forecast.waiting() - usual * self._begun
        known = self._span.frames - self._begun
        if frame.sees_end:
            coming, wanted_bits = self._forecast.coming(), usual * known - owed
        else:
            window = max(WINDOW_SECONDS * self._rate(), self._longest_gop, known)
            # What a still part leaves unspent is not saved up for ever: the bucket leaks.
            leak = max(0.0, -window * usual - owed)
            self._spent, owed = self._spent + leak, owed + leak
            more_intra = (window - known) / self._longest_gop
            coming = self._forecast.coming(more_intra, window - known - more_intra)
            wanted_bits = max(window * usual - owed, LEAST_SHARE * window * usual)
        if frame.begins_gop:
            self._in_scene = round(alike(frame.ahead[0]) * FIRST_FRAMES)
        self._in_scene += 1
        step = FIRST_STEP if self._in_scene <= FIRST_FRAMES else STEP
        q = self._move(solve(coming.at, wanted_bits), frame, step, step)
        self._forecast.begin(frame.number, q)
        return q

    def _revise(self, frame: PlacedFrame) -> None:
        for outlook in frame.ahead:
            if not outlook.begins_gop:
                n = outlook.number
                self._forecast.revise(n, self._usual[n] * 2.0 ** self._trend.at(self._looks[n]))

    def observe(self, cost: FrameCost) -> None:
        self._spent += cost.bits
        self._forecast.observe(cost)
        usual = self._usual.pop(cost.number, None)
        if usual is not None and not cost.is_intra:
            foretold = usual * self._law.factor(cost.quality, USUAL_Q, False)
            happened = max(cost.bits - fixed_bits(False), LEAST_BITS)
            look = self._looks.pop(cost.number)
            weight = LEAST_WEIGHT + (1 - LEAST_WEIGHT) * 2.0**look
            self._trend.add(look, math.log2(happened / foretold), weight)

    def _usual_bits(self) -> float:
        """To be spent on a frame, on the mean."""
        if self._per_second is None:
            assert self._per_frame is not None
            return self._per_frame
        return self._per_second / self._rate()


class LivePsnr(_Live):
    """Keeps the mean PSNR at the target, GOP by GOP: what the next scene will give is not known
    before its first frame is coded."""

    def __init__(self, fmt: VideoFormat, gop: int, target: float) -> None:
        super().__init__(fmt, gop)
        self._target = target
        self._forecast = PsnrForecast(Curve(((0.0, 0.0),), DB_PER_Q), USUAL_Q, trust=0)
        self._owed = 0.0  # dB, summed over the frames observed
        self._unknown = 0  # frames begun and not observed
        self._first: Outlook | None = None  # frame of the GOP seen last
        self._gops: dict[int, int] = {}  # of frames seen and not begun
        self._lowest = 0.0  # q that the GOP may fall to

    def quality(self, frame: PlacedFrame, try_intra: TryIntra) -> int:
        self._add_seen(frame)
        gop = self._gops.pop(frame.number)
        if frame.begins_gop:
            wanted = self._try_first(frame, gop, try_intra)
        else:
            wanted = self._solve(gop, frame.sees_end)
        if frame.begins_gop:
            self._lowest = wanted - REACH
        elif not self._is_final(gop, frame.sees_end):
            wanted = max(wanted, self._lowest)
        q = self._move(wanted, frame, RISE, STEP)
        self._forecast.begin(frame.number, q)
        self._unknown += 1
        return q

    def _add_seen(self, frame: PlacedFrame) -> None:
        for outlook, gop, position in self._see(frame):
            if position == 0:
                self._first = outlook
            self._forecast.add(self._foretold(outlook, gop, position, motion_look(outlook)))
            self._gops[outlook.number] = gop
        if frame.begins_gop and len(frame.ahead) > 1:
            # What predicting it would cost says nothing of a frame that is not predicted.
            look = motion_look(frame.ahead[1])
            self._forecast.revise(self._foretold(frame.ahead[0], self._gops[frame.number], 0, look))

    def _foretold(self, outlook: Outlook, gop: int, position: int, look: float) -> FramePsnr:
        first = outlook if position == 0 else self._first
        assert first is not None
        psnr = usual_psnr(first, look)
        return FramePsnr(outlook.number, gop, position, psnr, alike(outlook), look)

    def _try_first(self, frame: PlacedFrame, gop: int, try_intra: TryIntra) -> float:
        wanted = solve(self._forecast.coming, self._coming_frames * self._target)
        for _ in range(TRIALS):
            tried = round(wanted)
            self._forecast.learn(frame.number, tried, try_intra(tried))
            wanted = self._solve(gop, frame.sees_end)
            if abs(wanted - tried) <= NEAR:
                break
        return wanted

    @property
    def _coming_frames(self) -> int:
        """Seen and not begun."""
        return self._span.frames - self._begun

    def _is_final(self, gop: int, sees_end: bool) -> bool:
        later = self._coming_frames - self._forecast.rest_of_gop(gop)
        return sees_end and later <= FEW

    def _solve(self, gop: int, sees_end: bool) -> float:
        owed = self._owed + self._unknown * self._target - self._forecast.waiting()
        if sees_end and self._coming_frames > LAST_FRAMES:
            # What lacks is made up for in a few frames, at the end; what is too much must go now.
            owed = min(owed, 0.0)
        if self._is_final(gop, sees_end):
            return solve(self._forecast.coming, self._coming_frames * self._target + owed)
        rest = self._forecast.rest_of_gop(gop)
        wanted = rest * self._target + owed * rest / max(rest, PSNR_WINDOW)
        return solve(lambda q: self._forecast.coming_of_gop(gop, q), wanted)

    def observe(self, cost: FrameCost) -> None:
        self._owed += self._target - cost.psnr
        self._unknown -= 1
        self._forecast.observe(cost)
