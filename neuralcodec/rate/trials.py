"""The sample of the first pass, coded at two or three q: from it every frame's cost is foretold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from neuralcodec.container.sizes import fixed_bits
from neuralcodec.encoder.encoder import Encoder
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.encoder.lookahead import SourceFrame
from neuralcodec.encoder.quality_control import FrameResult, TryIntra
from neuralcodec.encoder.structure.gop_structure import INTRA_BONUS
from neuralcodec.encoder.structure.mini_gops import P_FRAMES
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.rate.bit_forecast import LEAST_BITS, BitsLaw, FrameBits
from neuralcodec.rate.complexity import (
    INTRA_GROWTH,
    MOTION_DB,
    USUAL_Q,
    inter_look,
    intra_look,
    motion_look,
    usual_bpp,
    usual_psnr,
)
from neuralcodec.rate.curve import (
    DB_PER_Q,
    INTER_OCTAVES,
    INTRA_OCTAVES,
    Curve,
    inter_quality,
    intra_quality,
)
from neuralcodec.rate.first_pass import Segment, Survey
from neuralcodec.rate.psnr_forecast import KEPT, FramePsnr
from neuralcodec.rate.trend import Place, spread
from neuralcodec.rate.two_pass import BitsPlan, PsnrPlan
from neuralcodec.video import VideoFormat

TRIALS = 3
NEAR = 1.5  # q: a trial so near to the solution is the last
TRUST = 8.0  # frames, see `spread`
SCENE_ALIKE = 0.5  # a GOP that begins with less in common with the frame before is another scene

CodeSegment = Callable[[Segment, int], Sequence[FrameResult]]  # at a q; numbers from 0


@dataclass(frozen=True)
class SampleCoder:
    """Codes segments by themselves."""

    installed: InstalledModel
    fmt: VideoFormat
    settings: EncoderSettings

    def __call__(self, segment: Segment, q: int) -> list[FrameResult]:
        settings = replace(
            self.settings,
            gop=len(segment.frames),
            scene_cuts=False,
            structure=P_FRAMES,  # a segment is too short for others; levels are known from usual
            # They would take several times as long as the sample itself.
            effort=replace(self.settings.effort, gop_trials=()),
        )
        control = _Constant(q if segment.begins_gop else q - INTRA_BONUS, q)
        encoder = Encoder(self.installed, self.fmt, settings, control)
        return encoder.results(iter(segment.frames))


class _Constant:
    """One quality for the first frame, one for all others."""

    frames_ahead = 0

    def __init__(self, first: int, others: int) -> None:
        self._first, self._others = first, others

    def quality(self, frame: SourceFrame, try_intra: TryIntra) -> int:
        return self._first if frame.begins_gop else self._others

    def observe(self, cost: FrameResult) -> None: ...


class Trials:
    """Tries the sample at one q after another, until it knows the one that meets the target."""

    def __init__(self, code: CodeSegment, survey: Survey, samples: int) -> None:
        """samples: of the luma plane of a frame."""
        self._code, self._survey, self._samples = code, survey, samples
        self._costs: dict[int, list[list[FrameResult]]] = {}  # of each segment, by the q tried
        infos = survey.infos
        self._is_intra = np.array([o.begins_gop for o in infos])
        self._gop = np.array([o.gop for o in infos])
        self._alike = np.array([o.alike for o in infos])
        self._scene = np.cumsum(self._is_intra & (self._alike < SCENE_ALIKE))
        self._position = np.array([o.position for o in infos])
        self._kinds = [o.kind for o in infos]
        self._intra_look = np.array([intra_look(o) for o in infos])
        self._inter_look = np.array([inter_look(o) for o in infos])
        motion = np.array([motion_look(o) for o in infos])
        # What predicting it would cost says nothing of a frame that is not predicted.
        self._motion_look = np.where(self._is_intra, np.append(motion[1:], motion[-1:]), motion)

    def plan_bits(self, budget: float) -> BitsPlan:
        """budget: bits of all GOPS and stat chunks."""
        usual = np.array([usual_bpp(o) for o in self._survey.infos]) * self._samples
        start = self._as_bits_plan(usual, BitsLaw.usual(), USUAL_Q, budget).start
        for _ in range(TRIALS):
            tried = self._try(start)
            start = self._bits_plan(tried, budget).start
            if abs(start - tried) <= NEAR:
                break
        return self._bits_plan(self._nearest(start), budget)

    def plan_psnr(self, target: float) -> PsnrPlan:
        """target: dB, mean over the frames."""
        firsts = [self._survey.infos[n] for n in np.flatnonzero(self._is_intra)]
        usual = [
            usual_psnr(firsts[gop], look)
            for gop, look in zip(self._gop, self._motion_look, strict=True)
        ]
        curve = Curve(((USUAL_Q, 0.0),), DB_PER_Q)
        start = self._as_psnr_plan(np.array(usual), curve, USUAL_Q, target).start
        for _ in range(TRIALS):
            tried = self._try(start)
            start = self._psnr_plan(tried, target).start
            if abs(start - tried) <= NEAR:
                break
        return self._psnr_plan(self._nearest(start), target)

    def _try(self, q: float) -> int:
        """Codes the sample, unless that has been done."""
        whole = round(inter_quality(q))
        if whole not in self._costs:
            self._costs[whole] = [list(self._code(s, whole)) for s in self._survey.segments]
        return whole

    def _nearest(self, q: float) -> int:
        return min(self._costs, key=lambda tried: abs(tried - q))

    def _bits_plan(self, tried: int, budget: float) -> BitsPlan:
        """From the costs at the q nearest to what will be used."""
        bits = np.empty(self._survey.frames)
        curves = {}
        for is_intra, own, octaves_per_q, look, growth in (
            (True, intra_quality, INTRA_OCTAVES, self._intra_look, INTRA_GROWTH),
            (False, inter_quality, INTER_OCTAVES, self._inter_look, 1.0),
        ):
            found = {q: self._reacting(q, is_intra) for q in self._costs}
            sums = {
                round(own(q)): float(np.log2(sum(p.figures.sum() for p in places) or LEAST_BITS))
                for q, places in found.items()
            }
            curves[is_intra] = Curve.through(sums, octaves_per_q)
            kind = self._is_intra == is_intra
            places = found[tried]
            if places:
                bits[kind] = self._spread_bits(look, places, growth)[kind]
            else:  # single frames only
                bits[kind] = LEAST_BITS
        return self._as_bits_plan(bits, BitsLaw(curves[True], curves[False]), tried, budget)

    def _spread_bits(self, look: np.ndarray, places: list[Place], growth: float) -> np.ndarray:
        logs = [Place(p.numbers, np.log2(np.maximum(p.figures, LEAST_BITS))) for p in places]
        bits: np.ndarray = 2.0 ** spread(look, self._scene, logs, growth, TRUST)
        numbers = np.concatenate([p.numbers for p in places])
        # The mean of logarithms is not that of the bits.
        return bits * sum(p.figures.sum() for p in places) / bits[numbers].sum()

    def _reacting(self, q: int, is_intra: bool) -> list[Place]:
        """Bits of the frames of a kind in the sample that react to q."""
        places = []
        for segment, costs in zip(self._survey.segments, self._costs[q], strict=True):
            # The first one is not predicted here, whatever it will be.
            if kept := costs[:1] if is_intra else costs[1:]:
                if is_intra and not segment.begins_gop:
                    continue
                bits = [max(c.bits - fixed_bits(is_intra), 0.0) for c in kept]
                places.append(Place(_numbers(segment, kept), np.array(bits)))
        return places

    def _psnr_plan(self, tried: int, target: float) -> PsnrPlan:
        means = {
            q: float(np.mean([c.psnr for costs in segments for c in costs]))
            for q, segments in self._costs.items()
        }
        curve = Curve.through(means, DB_PER_Q)
        more = curve(intra_quality(tried)) - curve(tried)
        best = None
        for i in range(len(KEPT)):
            places = [
                Place(
                    numbers := _numbers(segment, kept),
                    np.array([c.psnr for c in kept])
                    - (more * KEPT[i] ** self._position[numbers] if segment.begins_gop else 0.0),
                )
                for segment, costs in zip(self._survey.segments, self._costs[tried], strict=True)
                if (kept := costs if segment.begins_gop else costs[1:])
            ]
            psnr = spread(self._motion_look, self._scene, places, MOTION_DB, TRUST)
            error = sum(float(np.square(p.figures - psnr[p.numbers]).sum()) for p in places)
            if best is None or error < best[0]:
                best = error, psnr
        assert best is not None
        return self._as_psnr_plan(best[1], curve, tried, target)

    def _as_bits_plan(
        self, bits: np.ndarray, law: BitsLaw, reference: float, budget: float
    ) -> BitsPlan:
        frames = zip(
            self._gop.tolist(),
            self._is_intra.tolist(),
            bits.tolist(),
            self._alike.tolist(),
            self._inter_look.tolist(),
            self._kinds,
            strict=True,
        )
        listed = tuple(FrameBits(n, *frame) for n, frame in enumerate(frames))
        return BitsPlan(listed, law, reference, budget)

    def _as_psnr_plan(
        self, psnr: np.ndarray, curve: Curve, reference: float, target: float
    ) -> PsnrPlan:
        frames = zip(
            self._gop.tolist(),
            self._position.tolist(),
            psnr.tolist(),
            self._alike.tolist(),
            self._motion_look.tolist(),
            self._kinds,
            strict=True,
        )
        listed = tuple(FramePsnr(n, *frame) for n, frame in enumerate(frames))
        return PsnrPlan(listed, curve, reference, target)


def _numbers(segment: Segment, costs: Sequence[FrameResult]) -> np.ndarray:
    """Of frames in the source."""
    return np.array([segment.first + cost.number for cost in costs])
