"""The first pass: reads the whole source, codes the beginnings of some GOPs at two or three q, and
foretells what every frame will cost."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from neuralcodec.codec.encoder import Encoder, EncoderSettings
from neuralcodec.codec.gop_structure import place_after_cuts
from neuralcodec.codec.rate_control import FrameCost
from neuralcodec.codec.rate_curve import DB_PER_Q, OCTAVES_PER_Q, Curve, solve
from neuralcodec.codec.rate_live import USUAL_BPP, USUAL_BPP_Q, USUAL_DB, USUAL_DB_Q
from neuralcodec.codec.rate_plan import BitsPlan, PsnrPlan
from neuralcodec.codec.scene_cuts import judge_frames
from neuralcodec.codec.time_span import TimeSpan
from neuralcodec.model.zoo import InstalledModel
from neuralcodec.video import Frame, VideoFormat

SAMPLED_FRAMES = 64  # at most, of the whole source
SAMPLED_BYTES = 192 << 20  # at most, of their planes
SEGMENT_FRAMES = 8  # from the beginning of a GOP; more where there are few GOPs
STILL_COST = 0.15  # bits of a frame in which nothing moves, on the scale of `inter_cost`
TRIALS = 3
NEAR = 1.5  # q: a trial so near to the solution is the last


@dataclass(frozen=True)
class Segment:
    """The first frames of a GOP."""

    first: int  # number of its first frame
    frames: tuple[Frame, ...]


@dataclass(frozen=True)
class Survey:
    """What the first pass saw of the source. Arrays have one element a frame."""

    is_intra: np.ndarray  # bool
    intra_cost: np.ndarray  # see `scene_cuts.Picture`
    inter_cost: np.ndarray
    segments: tuple[Segment, ...]
    seconds: float

    @property
    def frames(self) -> int:
        return len(self.is_intra)

    @property
    def gops(self) -> int:
        return int(self.is_intra.sum())


class _Sample:
    """Segments at regular distances, thinned as the source turns out to be longer."""

    def __init__(self, frame_bytes: int) -> None:
        self._most = max(SEGMENT_FRAMES, min(SAMPLED_FRAMES, SAMPLED_BYTES // frame_bytes))
        self._every = 1  # GOPs
        self._gop = -1
        self._segments: dict[int, list[tuple[int, Frame]]] = {}  # by the number of the GOP

    def add(self, frame: Frame, number: int, begins_gop: bool) -> None:
        self._gop += begins_gop
        if self._gop % self._every:
            return
        segment = self._segments.setdefault(self._gop, [])
        if len(segment) < max(SEGMENT_FRAMES, self._most // (2 * len(self._segments))):
            segment.append((number, frame))
        while sum(map(len, self._segments.values())) > self._most:
            self._thin()

    def _thin(self) -> None:
        if any(len(s) > SEGMENT_FRAMES for s in self._segments.values()):
            self._segments = {g: s[:SEGMENT_FRAMES] for g, s in self._segments.items()}
            return
        self._every *= 2
        self._segments = {g: s for g, s in self._segments.items() if g % self._every == 0}

    def segments(self) -> tuple[Segment, ...]:
        return tuple(
            Segment(segment[0][0], tuple(frame for _, frame in segment))
            for segment in self._segments.values()
        )


def survey(frames: Iterator[Frame], fmt: VideoFormat, settings: EncoderSettings) -> Survey:
    """Reads all frames. Memory: a few numbers a frame, and those of the sample."""
    sample = _Sample((2 if fmt.bit_depth > 8 else 1) * fmt.width * fmt.height * 3 // 2)
    span = TimeSpan(fmt)
    costs: list[tuple[float, float]] = []

    def judged() -> Iterator[tuple[Frame, bool]]:
        for one in judge_frames(frames, settings.gop):
            costs.append((one.intra_cost, one.inter_cost))
            yield one.frame, one.is_cut and settings.scene_cuts

    starts: list[bool] = []
    for placed in place_after_cuts(judged(), settings.gop, settings.batch):
        span.add([placed.frame.pts])
        starts.append(placed.begins_gop)
        sample.add(placed.frame, placed.number, placed.begins_gop)
    table = np.array(costs, dtype=np.float64).reshape(-1, 2)
    return Survey(
        np.array(starts, dtype=bool), table[:, 0], table[:, 1], sample.segments(), span.seconds
    )


@dataclass
class Trials:
    """Codes the sample at one q after another."""

    installed: InstalledModel
    fmt: VideoFormat
    settings: EncoderSettings
    survey: Survey
    costs: dict[int, list[FrameCost]] = field(default_factory=dict)  # of each q tried

    def plan_bits(self, budget: float) -> BitsPlan:
        """budget: bits of all GOPS and stat chunks."""
        samples = self.fmt.width * self.fmt.height * self.survey.frames
        bpp = max(budget, 1.0) / samples
        q = USUAL_BPP_Q + float(np.log2(bpp / USUAL_BPP)) / OCTAVES_PER_Q
        for _ in range(TRIALS):
            tried = self._try(q)
            plan = self._bits_plan(tried, budget)
            if abs(plan.start - tried) <= NEAR:
                break
            q = plan.start
        return self._bits_plan(self._nearest(plan.start), budget)

    def plan_psnr(self, target: float) -> PsnrPlan:
        """target: dB, mean over the frames."""
        q = USUAL_DB_Q + (target - USUAL_DB) / DB_PER_Q
        for _ in range(TRIALS):
            tried = self._try(q)
            plan = self._psnr_plan(tried, target)
            if abs(plan.start - tried) <= NEAR:
                break
            q = plan.start
        return self._psnr_plan(self._nearest(plan.start), target)

    def _try(self, q: float) -> int:
        """Codes the sample, unless that has been done."""
        whole = round(min(max(q, 0), 63))
        if whole in self.costs:
            return whole
        costs = []
        for segment in self.survey.segments:
            settings = replace(
                self.settings,
                quality=whole,
                gop=len(segment.frames),
                batch=1,
                scene_cuts=False,
                # They would take several times as long as the sample itself.
                effort=replace(self.settings.effort, gop_trials=()),
            )
            encoder = Encoder(self.installed, self.fmt, settings)
            coded = encoder.costs(iter(segment.frames))
            costs += [replace(cost, number=segment.first + cost.number) for cost in coded]
        self.costs[whole] = costs
        return whole

    def _nearest(self, q: float) -> int:
        return min(self.costs, key=lambda tried: abs(tried - q))

    def _bits_plan(self, tried: int, budget: float) -> BitsPlan:
        """From the costs at the q nearest to what will be used."""
        seen = self.survey
        weights = np.zeros(seen.frames)
        effort = np.where(seen.is_intra, seen.intra_cost, seen.inter_cost) + STILL_COST
        curves = {}
        for is_intra in (True, False):
            bits = {
                q: sum(c.bits for c in costs if bool(seen.is_intra[c.number]) == is_intra)
                for q, costs in self.costs.items()
            }
            logs = {q: float(np.log2(max(total, 1))) for q, total in bits.items()}
            curves[is_intra] = Curve.through(logs, OCTAVES_PER_Q)
            kind = seen.is_intra == is_intra
            numbers = [c.number for c in self.costs[tried] if kind[c.number]]
            if numbers:
                weights[kind] = effort[kind] * bits[tried] / effort[numbers].sum()
        self._weigh_gops(tried, weights, effort)
        for cost in self.costs[tried]:
            weights[cost.number] = cost.bits

        def total(q: float) -> float:
            inter, intra = (
                float(weights[kind].sum()) * 2.0 ** (curve(q) - curve(tried))
                for kind, curve in ((~seen.is_intra, curves[False]), (seen.is_intra, curves[True]))
            )
            return inter + intra

        start = solve(total, budget)
        factors = [2.0 ** (curves[k](start) - curves[k](tried)) for k in (False, True)]
        weights *= np.where(seen.is_intra, factors[1], factors[0])
        return BitsPlan(weights, seen.is_intra, curves[True], curves[False], start, budget)

    def _weigh_gops(self, tried: int, weights: np.ndarray, effort: np.ndarray) -> None:
        """In a GOP that was sampled, the inter frames cost what the later ones of its sample say:
        the first ones lean on an intra frame of more quality, and cost less."""
        by_number = {c.number: c.bits for c in self.costs[tried]}
        for segment, end in zip(self.survey.segments, self._ends(), strict=True):
            later = range(segment.first + 1 + len(segment.frames) // 2, end)
            known = [n for n in later if n in by_number]
            if known:
                share = sum(by_number[n] for n in known) / effort[known].sum()
                numbers = np.arange(segment.first + 1, end)
                weights[numbers] = effort[numbers] * share

    def _ends(self) -> list[int]:
        """Of the GOP of each segment."""
        starts = np.append(np.flatnonzero(self.survey.is_intra), self.survey.frames)
        return [int(starts[starts > segment.first][0]) for segment in self.survey.segments]

    def _psnr_plan(self, tried: int, target: float) -> PsnrPlan:
        seen = self.survey
        means = {q: float(np.mean([c.psnr for c in costs])) for q, costs in self.costs.items()}
        curve = Curve.through(means, DB_PER_Q)
        psnr = np.full(seen.frames, means[tried])
        by_number = {c.number: c.psnr for c in self.costs[tried]}
        # A GOP that was not sampled is like the one before it that was.
        firsts = [segment.first for segment in seen.segments]
        for segment, end in zip(seen.segments, [*firsts[1:], seen.frames], strict=True):
            later = range(segment.first + len(segment.frames) // 2, end)
            psnr[segment.first : end] = np.mean([by_number[n] for n in later if n in by_number])
        for number, value in by_number.items():
            psnr[number] = value
        start = solve(lambda q: float(psnr.mean()) + curve(q) - curve(tried), target)
        return PsnrPlan(psnr + curve(start) - curve(tried), curve, start, target)
