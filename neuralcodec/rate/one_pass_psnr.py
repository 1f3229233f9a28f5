"""One pass to a mean PSNR: GOP by GOP, as what the next scene will give is not known before."""

from dataclasses import dataclass

from neuralcodec.encoder.lookahead import FrameComplexity, SourceFrame
from neuralcodec.encoder.quality_control import FrameResult, TryIntra
from neuralcodec.rate.complexity import USUAL_Q, motion_look, usual_psnr
from neuralcodec.rate.curve import DB_PER_Q, Curve, Smoother, solve
from neuralcodec.rate.lookahead_window import Sight
from neuralcodec.rate.psnr_forecast import FramePsnr, PsnrForecast
from neuralcodec.video import VideoFormat

WINDOW = 48  # frames at least, over which what is owed is paid back
RISE, FALL = 0.15, 0.4  # most that q moves from frame to frame: quality stays once it is there
LAST_STEP, LAST_FRAMES = 2.0, 36  # the same at the end
REACH = 14  # q: so much the frames of a GOP may fall below its first one
TRIALS, NEAR = 2, 2.0  # of a GOP's first frame; q: a trial so near to the solution is the last
FEW = 24  # frames after a GOP, up to the end, that are planned with it


@dataclass
class _Gop:
    first: FrameComplexity  # frame
    smoother: Smoother | None = None
    lowest: float = 0.0  # q


class LivePsnr:
    """Keeps the mean PSNR at the target."""

    def __init__(self, fmt: VideoFormat, gop: int, target: float) -> None:
        self._sight = Sight(fmt, gop)
        self.frames_ahead = self._sight.frames_ahead
        self._target = target
        self._forecast = PsnrForecast(Curve(((0.0, 0.0),), DB_PER_Q), USUAL_Q, trust=0)
        self._owed = 0.0  # dB, summed over the frames observed
        self._unknown = 0  # frames begun and not observed
        self._gops: dict[int, _Gop] = {}  # of frames seen and not begun

    def quality(self, frame: SourceFrame, try_intra: TryIntra) -> int:
        self._see(frame)
        number = frame.info.gop
        gop = self._gops[number]
        if gop.smoother is None:
            wanted = self._try_first(frame, try_intra)
            gop.smoother, gop.lowest = Smoother(wanted), wanted - REACH
        else:
            wanted = self._solve(number)
            if not self._is_final(number):
                wanted = max(wanted, gop.lowest)
        step = RISE if wanted > gop.smoother.value else FALL
        if self._sight.ends and len(self._sight.coming) <= LAST_FRAMES:
            step = LAST_STEP
        q = gop.smoother.approach(wanted, step)
        self._sight.begin(frame.number)
        self._forecast.begin(frame.number, q)
        self._unknown += 1
        return q

    def _see(self, frame: SourceFrame) -> None:
        for info in self._sight.see(frame):
            if info.begins_gop:
                self._gops[info.gop] = _Gop(info)
            self._forecast.add(self._foretold(info, info))
        if frame.begins_gop and len(frame.ahead) > 1:
            # What predicting it would cost says nothing of a frame that is not predicted.
            self._forecast.revise(self._foretold(frame.ahead[0], frame.ahead[1]))
        if frame.begins_gop:
            kept = {info.gop for info in self._sight.coming.values()}
            self._gops = {n: gop for n, gop in self._gops.items() if n in kept}

    def _foretold(self, info: FrameComplexity, moved: FrameComplexity) -> FramePsnr:
        """moved: the frame whose motion counts."""
        look = motion_look(moved)
        psnr = usual_psnr(self._gops[info.gop].first, look)
        return FramePsnr(info.number, info.gop, info.position, psnr, info.alike, look, info.kind)

    def _try_first(self, frame: SourceFrame, try_intra: TryIntra) -> float:
        coming = self._sight.coming
        wanted = solve(self._forecast.coming, len(coming) * self._target)
        for _ in range(TRIALS):
            tried = round(wanted)
            self._forecast.learn(frame.number, tried, try_intra(tried))
            wanted = self._solve(frame.info.gop)
            if abs(wanted - tried) <= NEAR:
                break
        return wanted

    def _is_final(self, gop: int) -> bool:
        """Whether it is planned with all that comes after it."""
        later = len(self._sight.coming) - self._forecast.rest_of_gop(gop)
        return self._sight.ends and later <= FEW

    def _solve(self, gop: int) -> float:
        """The q with which the mean comes out at the end of a GOP, or of the source."""
        owed = self._owed + self._unknown * self._target - self._forecast.waiting()
        coming = len(self._sight.coming)
        if self._sight.ends and coming > LAST_FRAMES:
            # What lacks is made up for at the end, in a few frames; what is too much must go now.
            owed = min(owed, 0.0)
        if self._is_final(gop):
            return solve(self._forecast.coming, coming * self._target + owed)
        rest = self._forecast.rest_of_gop(gop)
        share = rest / max(self._forecast.rest_of_open_gops(), WINDOW)
        wanted = rest * self._target + owed * share
        return solve(lambda q: self._forecast.coming_of_gop(gop, q), wanted)

    def observe(self, cost: FrameResult) -> None:
        self._owed += self._target - cost.psnr
        self._unknown -= 1
        self._forecast.observe(cost)
