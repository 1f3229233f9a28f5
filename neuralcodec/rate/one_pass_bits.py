"""One pass to a bitrate: the source cannot be read twice, its length is not known. What was spent
too much or too little is paid back over the next seconds; once the end is in sight, until then."""

import math

from neuralcodec.encoder.lookahead import SourceFrame
from neuralcodec.encoder.quality_control import FrameResult, TryIntra
from neuralcodec.rate.bit_forecast import BitsForecast, BitsLaw, ComingBits, FrameBits, Trust
from neuralcodec.rate.complexity import USUAL_Q, inter_look, usual_bpp
from neuralcodec.rate.curve import Smoother, solve
from neuralcodec.rate.lookahead_window import Sight
from neuralcodec.video import VideoFormat

WINDOW_SECONDS = 2  # or a GOP, where that is longer: its intra frame takes the bits of many others
LEAST_SHARE = 0.2  # of the usual bits is spent at least, however much is owed
STEP = 0.4  # most that q moves from frame to frame
FIRST_STEP, FIRST_FRAMES = 2.0, 16  # the same at the beginning of a scene
LAST_STEP, LAST_FRAMES = 2.0, 36  # and at the end
# Clips differ by a third in the bits of inter frames, and by half in how these go with a look.
TRUST = Trust(level=1.0, slope=0.7, later=0.05, intra=0.05)


class LiveBits:
    """Keeps to so many bits a second, or a frame."""

    def __init__(
        self, fmt: VideoFormat, gop: int, per_second: float | None, per_frame: float | None
    ) -> None:
        """One of per_second and per_frame is given, in bits."""
        self._sight = Sight(fmt, gop)
        self.frames_ahead = self._sight.frames_ahead
        self._per_second, self._per_frame = per_second, per_frame
        self._longest_gop = gop
        self._samples = fmt.width * fmt.height
        self._forecast = BitsForecast(BitsLaw.usual(), USUAL_Q, TRUST)
        self._spent = 0.0  # bits of the frames observed
        self._smoother: Smoother | None = None
        self._in_scene = 0  # frames begun of it

    def quality(self, frame: SourceFrame, try_intra: TryIntra) -> int:
        self._see(frame)
        coming, bits = self._next_bits()
        wanted = solve(coming.at, bits)
        if self._smoother is None:
            self._smoother = Smoother(wanted)
        q = self._smoother.approach(wanted, self._step(frame))
        self._sight.begin(frame.number)
        self._forecast.begin(frame.number, q)
        return q

    def _see(self, frame: SourceFrame) -> None:
        for info in self._sight.see(frame):
            self._forecast.add(
                FrameBits(
                    info.number,
                    info.gop,
                    info.begins_gop,
                    usual_bpp(info) * self._samples,
                    info.alike,
                    inter_look(info),
                    info.kind,
                )
            )

    def _next_bits(self) -> tuple[ComingBits, float]:
        """The next frames, and what to spend on them: those up to the end, or a window of time."""
        usual, known = self._usual_bits(), len(self._sight.coming)
        owed = self._spent + self._forecast.waiting() - usual * self._sight.begun
        if self._sight.ends:
            return self._forecast.coming(), usual * known - owed
        window = max(WINDOW_SECONDS * self._sight.rate, self._longest_gop, known)
        # What a still part leaves unspent is not saved up for ever: the bucket leaks.
        leak = max(0.0, -window * usual - owed)
        self._spent += leak
        more_intra = (window - known) / self._longest_gop
        coming = self._forecast.coming(more_intra, window - known - more_intra)
        return coming, max(window * usual - owed - leak, LEAST_SHARE * window * usual)

    def _step(self, frame: SourceFrame) -> float:
        if frame.begins_gop:
            self._in_scene = round(frame.ahead[0].alike * FIRST_FRAMES)
            return math.inf
        self._in_scene += 1
        if self._sight.ends and len(self._sight.coming) <= LAST_FRAMES:
            return LAST_STEP
        return FIRST_STEP if self._in_scene <= FIRST_FRAMES else STEP

    def observe(self, cost: FrameResult) -> None:
        self._spent += cost.bits
        self._forecast.observe(cost)

    def _usual_bits(self) -> float:
        """To be spent on a frame, on the mean."""
        if self._per_second is None:
            assert self._per_frame is not None
            return self._per_frame
        return self._per_second / self._sight.rate
