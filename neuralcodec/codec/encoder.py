"""Frames to GOP records: networks in one thread, entropy coding in the caller's."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count

import torch

from neuralcodec.codec.ahead import RunAhead, Stopwatch
from neuralcodec.codec.device import one_thread_here, use_threads
from neuralcodec.codec.gop_structure import (
    INTRA_BONUS,
    Lookahead,
    PlacedFrame,
    RecurrenceWatch,
    frame_quality,
    luma_error,
    place_gops,
    split_batches,
)
from neuralcodec.codec.gop_symbols import FrameSymbols, GopSymbolEncoder, build_coder
from neuralcodec.codec.gop_trials import BonusTrials
from neuralcodec.codec.outlook import place_judged, with_outlook
from neuralcodec.codec.pictures import grid_size
from neuralcodec.codec.presets import MEDIUM, Effort
from neuralcodec.codec.rate_control import FrameCost, QualityControl
from neuralcodec.codec.rate_feedback import Feedback
from neuralcodec.codec.rate_overhead import frame_bytes
from neuralcodec.codec.side_by_side import SideBySide
from neuralcodec.codec.transforms import Transforms
from neuralcodec.container import FrameRecord, GopRecord, GopStats
from neuralcodec.metrics import PlanePsnr, frame_psnr
from neuralcodec.model.zoo import InstalledModel
from neuralcodec.video import Frame, VideoFormat

FRAMES_AHEAD = 6  # between two stages; bounds memory


@dataclass(frozen=True)
class EncoderSettings:
    quality: int  # 0..63
    gop: int  # most frames of a GOP
    batch: int  # GOPs side by side
    device: torch.device
    precision: torch.dtype
    scene_cuts: bool = False  # whether a new GOP begins at each
    effort: Effort = MEDIUM


@dataclass(frozen=True)
class CodedFrame:
    """One frame after the networks: what is to be written, and what will be shown."""

    batch: int  # number of the batch of GOPs that it belongs to
    item: int  # which sequence of the batch
    position: int  # in its GOP; 0 begins a new one
    number: int  # in the video
    quality: int  # that the GOP was to have: q is that of this position
    q: int
    symbols: FrameSymbols
    source: Frame
    shown: Frame


@dataclass(frozen=True)
class CodedGop:
    record: GopRecord
    stats: GopStats
    ends_batch: bool = True  # whether the networks know nothing any more when they go on after it


class Encoder:
    """Codes one video, at `settings.quality` or as `control` steers it."""

    def __init__(
        self,
        installed: InstalledModel,
        fmt: VideoFormat,
        settings: EncoderSettings,
        control: QualityControl | None = None,
    ) -> None:
        self.installed, self.fmt, self.settings = installed, fmt, settings
        self.feedback = Feedback(control) if control else None
        self.notices: list[str] = []  # one sentence each, for people
        self.source_is_stuck = False  # whether a read goes on: the source must not be closed then
        self.coder = build_coder(installed)
        self.trials = self._build_trials()
        self.stopwatch = Stopwatch()
        self.frames_done = 0

    def costs(self, frames: Iterator[Frame]) -> list[FrameCost]:
        """What coding them costs, in the order of coding."""
        costs: list[FrameCost] = []
        for _ in self._coded_gops(frames, costs.append):
            pass
        return costs

    def gops(
        self,
        frames: Iterator[Frame],
        on_frame: Callable[[int], None] | None = None,
        skip: int = 0,
    ) -> Iterator[CodedGop]:
        """GOPs in order, each as soon as its batch is complete. `on_frame` is told how many frames
        are coded, after each.

        skip: frames to look at without coding them, up to the end of a batch as an encoder with the
        same settings gave it: what comes then is the same as if they had been coded. Not with a
        control, which would have to know what they cost."""
        self.frames_done = skip

        def count_frame(_: FrameCost) -> None:
            self.frames_done += 1
            if on_frame:
                on_frame(self.frames_done)

        return self._coded_gops(frames, count_frame, skip)

    def _coded_gops(
        self, frames: Iterator[Frame], on_cost: Callable[[FrameCost], None], skip: int = 0
    ) -> Iterator[CodedGop]:
        placed = self._placed(self.stopwatch.watch("reading", frames))
        wanted = (frame for frame in placed if frame.number >= skip)
        pending: list[list[_GopInProgress]] = []  # of each item of the batch
        batch = 0
        with one_thread_here() as threads, ExitStack() as stack:
            read = RunAhead(wanted, FRAMES_AHEAD)
            coded = RunAhead(self._run_networks(read, threads), FRAMES_AHEAD)
            stack.callback(self._end, read, coded)
            for frame in coded:
                if frame.batch != batch:
                    yield from _finish(pending)
                    pending, batch = [], frame.batch
                if frame.item == len(pending):
                    pending.append([])
                if frame.position == 0:
                    pending[frame.item].append(_GopInProgress(self, frame.number))
                with self.stopwatch.running("entropy coding"):
                    cost = pending[frame.item][-1].add(frame)
                if self.feedback:
                    self.feedback.put(cost)
                on_cost(cost)
            yield from _finish(pending)

    def _placed(self, frames: Iterator[Frame]) -> Iterator[PlacedFrame]:
        s = self.settings
        ahead = self.feedback.control.frames_ahead if self.feedback else 0
        if not ahead:
            return place_gops(frames, s.gop, s.batch, s.scene_cuts)
        return with_outlook(place_judged(frames, s.gop, s.batch, s.scene_cuts), ahead)

    def _end(self, read: RunAhead[PlacedFrame], coded: RunAhead[CodedFrame]) -> None:
        if self.feedback:
            self.feedback.close()
        read.close()  # before `coded`, which may wait for it
        self.source_is_stuck = read.is_stuck
        coded.close(patience=None)

    def _run_networks(self, frames: Iterator[PlacedFrame], threads: int) -> Iterator[CodedFrame]:
        settings = self.settings
        use_threads(threads)
        transforms = self._transforms()
        for number, batch in enumerate(split_batches(frames, settings.gop, settings.batch)):
            transforms.begin()
            items = [_Item(i, Lookahead(frames)) for i, frames in enumerate(batch)]
            for t in count():
                step = [(item, next(item.frames, None)) for item in items]
                going = [(item, frame) for item, frame in step if frame is not None]
                if not going:
                    break
                if len(going) < len(items):
                    transforms.keep([items.index(item) for item, _ in going])
                items, sources = [item for item, _ in going], [frame for _, frame in going]
                if self.feedback and not self.feedback.begin_step(len(items)):
                    return
                with self.stopwatch.running("networks"):
                    coded = self._code_step(transforms, items, sources, number, fresh=t == 0)
                yield from coded

    def _transforms(self) -> Transforms | SideBySide:
        settings = self.settings
        transforms = Transforms(
            self.installed.model, self.fmt, settings.device, settings.precision, settings.effort
        )
        self.notices = transforms.notices
        return SideBySide(transforms) if settings.effort.symbol_rounds else transforms

    def _build_trials(self) -> BonusTrials | None:
        if not self.settings.effort.gop_trials:
            return None
        s = self.settings
        return BonusTrials(self.installed, self.fmt, s.device, s.precision, s.effort)

    def _code_step(
        self,
        transforms: Transforms | SideBySide,
        items: list["_Item"],
        sources: list[PlacedFrame],
        batch: int,
        fresh: bool,
    ) -> list[CodedFrame]:
        """One frame of each item; where prediction has broken down, as the first of a new GOP.

        fresh: whether the transforms begin with this step."""
        for item, source in zip(items, sources, strict=True):
            if source.begins_gop:
                item.begin_gop()
        wanted = [self._quality_for(source, transforms) for source in sources]
        frames = [source.frame for source in sources]
        each = list(zip(items, frames, wanted, strict=True))
        bonuses = [self._intra_bonus(item, frame, q) for item, frame, q in each]
        qualities = [
            frame_quality(q, item.position, bonus)
            for (item, _, q), bonus in zip(each, bonuses, strict=True)
        ]
        symbols, shown = transforms.encode(frames, qualities)
        for i, (item, frame) in enumerate(zip(items, frames, strict=True)):
            error = luma_error(frame, shown[i])
            is_cut = item.position == 0 and not fresh
            if is_cut or (item.position > 0 and item.watch.is_suspicious(error)):
                intra_quality = frame_quality(wanted[i], 0, bonuses[i])
                intra = transforms.try_intra(frame, intra_quality)
                growth = self._error_growth(intra_quality, wanted[i])
                if is_cut or item.watch.settle(error, growth * luma_error(frame, intra.shown)):
                    transforms.adopt(i, intra)
                    item.begin_gop()
                    symbols[i], shown[i], qualities[i] = intra.symbols, intra.shown, intra_quality
            if item.position == 0:
                growth = self._error_growth(qualities[i], wanted[i])
                item.watch = RecurrenceWatch(growth * luma_error(frame, shown[i]))
        coded = [
            CodedFrame(
                batch,
                item.number,
                item.position,
                source.number,
                wanted[i],
                qualities[i],
                symbols[i],
                source.frame,
                shown[i],
            )
            for i, (item, source) in enumerate(zip(items, sources, strict=True))
        ]
        for item in items:
            item.position += 1
        return coded

    def _error_growth(self, q: int, lower: int) -> float:
        """About how much larger squared errors are at a lower quality: as much as λ is smaller."""
        lambdas = self.installed.model.config.quality_lambdas(
            torch.tensor([q, lower], device="cpu")
        )
        return float(lambdas[0] / lambdas[1])

    def _quality_for(self, source: PlacedFrame, transforms: Transforms | SideBySide) -> int:
        if not self.feedback:
            return self.settings.quality

        def try_intra(quality: int) -> float:
            shown = transforms.try_intra(source.frame, frame_quality(quality, 0)).shown
            return frame_psnr(source.frame, shown).yuv

        return self.feedback.control.quality(source, try_intra)

    def _intra_bonus(self, item: "_Item", frame: Frame, quality: int) -> int:
        """What this frame gets on top if it begins a GOP. Tried where it is known to; where
        prediction has broken down, as is usual."""
        if item.position > 0 or self.trials is None:
            return INTRA_BONUS
        return self.trials.choose(
            [frame, *item.frames.rest_of_gop(self.trials.frames - 1)], quality
        )


class _Item:
    """One of the sequences that are coded side by side: where it is in its GOP."""

    def __init__(self, number: int, frames: Lookahead) -> None:
        self.number, self.frames = number, frames
        self.begin_gop()

    def begin_gop(self) -> None:
        self.position = 0
        self.watch = RecurrenceWatch()


class _GopInProgress:
    """Collects the records of one GOP."""

    def __init__(self, encoder: Encoder, first_frame: int) -> None:
        self.first_frame = first_frame
        rows, columns = grid_size(encoder.fmt)
        self.symbols = GopSymbolEncoder(encoder.installed, encoder.coder, rows, columns)
        self.records: list[FrameRecord] = []
        self.psnr: list[PlanePsnr] = []

    def add(self, frame: CodedFrame) -> FrameCost:
        payload = self.symbols.encode(frame.symbols, frame.q)
        before = self.records[-1] if self.records else None
        self.records.append(FrameRecord(frame.source.pts, frame.q, payload))
        self.psnr.append(frame_psnr(frame.source, frame.shown))
        return FrameCost(
            frame.number,
            frame.position == 0,
            frame.quality,
            8 * frame_bytes(self.records[-1], before),
            self.psnr[-1].yuv,
        )

    def finish(self, ends_batch: bool) -> CodedGop:
        psnr = tuple((p.y, p.u, p.v) for p in self.psnr)
        record = GopRecord(self.first_frame, self.symbols.checksum, tuple(self.records))
        return CodedGop(record, GopStats(self.first_frame, psnr), ends_batch)


def _finish(pending: list[list[_GopInProgress]]) -> Iterator[CodedGop]:
    """The GOPs of a batch, item by item."""
    gops = [gop for item in pending for gop in item]
    for gop in gops:
        yield gop.finish(ends_batch=gop is gops[-1])
