"""Frames to GOP records: networks in one thread, entropy coding in the caller's."""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import torch

from neuralcodec.codec.gop_symbols import FrameSymbols, GopSymbolEncoder, build_coder
from neuralcodec.codec.pipeline import RunAhead, Stopwatch
from neuralcodec.codec.tensors import grid_size
from neuralcodec.container import FrameRecord, GopRecord, GopStats
from neuralcodec.container.sizes import frame_bytes
from neuralcodec.encoder.frame_encoder import EncodedFrame, FrameEncoder, FrameTask
from neuralcodec.encoder.gop_structure import (
    INTRA_BONUS,
    RecurrenceWatch,
    frame_quality,
    luma_error,
)
from neuralcodec.encoder.gop_trials import BonusTrials
from neuralcodec.encoder.lookahead import SequenceReader, SourceFrame, look_ahead, split_batches
from neuralcodec.encoder.presets import MEDIUM, Effort
from neuralcodec.encoder.quality_control import Feedback, FrameResult, QualityControl
from neuralcodec.kernels.strips import core_taken
from neuralcodec.metrics import PlanePsnr, frame_psnr
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.model.recurrence import Recurrence
from neuralcodec.references import chain
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


@dataclass(frozen=True, kw_only=True)
class Step:
    """One frame after the networks: what is to be written, and what will be shown."""

    batch: int  # number of the batch of GOPs that it belongs to
    sequence: int  # which sequence of the batch
    position: int  # in its GOP, in the order of coding; 0 begins a new one
    source: SourceFrame
    gop_quality: int  # asked of the GOP
    q: int  # used at this position
    symbols: FrameSymbols
    shown: Frame


@dataclass(frozen=True)
class CodedGop:
    record: GopRecord
    stats: GopStats
    ends_batch: bool = True  # whether the recurrent state is reset after this GOP


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

    def results(self, frames: Iterator[Frame]) -> list[FrameResult]:
        """What becomes of the frames, in the order of coding."""
        results: list[FrameResult] = []
        for _ in self._coded_gops(frames, results.append):
            pass
        return results

    def gops(
        self,
        frames: Iterator[Frame],
        on_frame: Callable[[int], None] | None = None,
        skip: int = 0,
    ) -> Generator[CodedGop, None, None]:
        """GOPs in order, each as soon as its batch is complete. `on_frame` is told how many frames
        are coded, after each.

        skip: frames to look at without coding them, up to the end of a batch as an encoder with the
        same settings gave it: what comes then is the same as if they had been coded. Not with a
        control, which would have to know what they cost."""
        self.frames_done = skip

        def count_frame(_: FrameResult) -> None:
            self.frames_done += 1
            if on_frame:
                on_frame(self.frames_done)

        return self._coded_gops(frames, count_frame, skip)

    def _coded_gops(
        self, frames: Iterator[Frame], on_result: Callable[[FrameResult], None], skip: int = 0
    ) -> Generator[CodedGop, None, None]:
        sources = self._look_ahead(self.stopwatch.watch("reading", frames))
        wanted = (source for source in sources if source.number >= skip)
        pending: list[list[_GopInProgress]] = []  # of each sequence of the batch
        batch = 0
        with ExitStack() as stack:
            read = RunAhead(wanted, FRAMES_AHEAD)
            coded = RunAhead(self._run_networks(read), FRAMES_AHEAD)
            stack.callback(self._end, read, coded)
            for step in coded:
                if step.batch != batch:
                    yield from _finish(pending)
                    pending, batch = [], step.batch
                if step.sequence == len(pending):
                    pending.append([])
                if step.position == 0:
                    pending[step.sequence].append(_GopInProgress(self, step.source.number))
                with self.stopwatch.running("entropy coding"), core_taken():
                    result = pending[step.sequence][-1].add(step)
                if self.feedback:
                    self.feedback.put(result)
                on_result(result)
            yield from _finish(pending)

    def _look_ahead(self, frames: Iterator[Frame]) -> Iterator[SourceFrame]:
        s = self.settings
        window = self.feedback.control.frames_ahead if self.feedback else 0
        return look_ahead(frames, s.gop, s.batch, s.scene_cuts, window)

    def _end(self, read: RunAhead[SourceFrame], coded: RunAhead[Step]) -> None:
        if self.feedback:
            self.feedback.close()
        read.close()  # before `coded`, which may wait for it
        self.source_is_stuck = read.is_stuck
        coded.close(patience=None)

    def _run_networks(self, frames: Iterator[SourceFrame]) -> Iterator[Step]:
        s = self.settings
        encoder = FrameEncoder(self.installed.model, self.fmt, s.device, s.precision, s.effort)
        self.notices = encoder.notices
        for number, batch in enumerate(split_batches(frames, s.gop, s.batch)):
            sequences = [_Sequence(number, i, frames) for i, frames in enumerate(batch)]
            while going := [
                (sequence, source)
                for sequence in sequences
                if (source := next(sequence.frames, None)) is not None
            ]:
                if self.feedback and not self.feedback.begin_step(len(going)):
                    return
                with self.stopwatch.running("networks"):
                    steps = self._code(encoder, [self._plan(encoder, *each) for each in going])
                yield from steps

    def _build_trials(self) -> BonusTrials | None:
        if not self.settings.effort.gop_trials:
            return None
        s = self.settings
        return BonusTrials(self.installed, self.fmt, s.device, s.precision, s.effort)

    def _plan(
        self, encoder: FrameEncoder, sequence: "_Sequence", source: SourceFrame
    ) -> "_PlannedFrame":
        """The next frame of a sequence, and the quality that it is to have."""
        if source.begins_gop:
            sequence.begin_gop()
        quality = self._gop_quality(encoder, source)
        bonus = self._intra_bonus(sequence, source.frame, quality)
        q = frame_quality(quality, sequence.position, bonus)
        return _PlannedFrame(
            sequence=sequence, source=source, gop_quality=quality, intra_bonus=bonus, q=q
        )

    def _code(self, encoder: FrameEncoder, planned: list["_PlannedFrame"]) -> list[Step]:
        """One frame of each sequence; where prediction has broken down, as the first of a new
        GOP."""
        coded = encoder.encode([frame.task for frame in planned])
        return [
            self._settle(encoder, frame, encoded)
            for frame, encoded in zip(planned, coded, strict=True)
        ]

    def _settle(self, encoder: FrameEncoder, planned: "_PlannedFrame", coded: EncodedFrame) -> Step:
        sequence, frame, q = planned.sequence, planned.source.frame, planned.q
        error = luma_error(frame, coded.shown)
        if sequence.position > 0 and sequence.watch.is_suspicious(error):
            intra_q = frame_quality(planned.gop_quality, 0, planned.intra_bonus)
            [intra] = encoder.encode(
                [FrameTask(frame=frame, q=intra_q, place=chain(0), references=None)]
            )
            growth = self._error_growth(intra_q, planned.gop_quality)
            if sequence.watch.settle(error, growth * luma_error(frame, intra.shown)):
                coded, q = intra, intra_q
                sequence.begin_gop()
        if sequence.position == 0:
            growth = self._error_growth(q, planned.gop_quality)
            sequence.watch = RecurrenceWatch(growth * luma_error(frame, coded.shown))
        step = Step(
            batch=sequence.batch,
            sequence=sequence.number,
            position=sequence.position,
            source=planned.source,
            gop_quality=planned.gop_quality,
            q=q,
            symbols=coded.symbols,
            shown=coded.shown,
        )
        sequence.advance(coded.recurrence)
        return step

    def _error_growth(self, q: int, lower: int) -> float:
        """About how much larger squared errors are at a lower quality: as much as λ is smaller."""
        qualities = torch.tensor([q, lower], device="cpu")
        lambdas = self.installed.model.config.quality_lambdas(qualities)
        return float(lambdas[0] / lambdas[1])

    def _gop_quality(self, encoder: FrameEncoder, source: SourceFrame) -> int:
        if not self.feedback:
            return self.settings.quality

        def try_intra(quality: int) -> float:
            q = frame_quality(quality, 0)
            task = FrameTask(frame=source.frame, q=q, place=chain(0), references=None)
            return frame_psnr(source.frame, encoder.encode([task])[0].shown).yuv

        return self.feedback.control.quality(source, try_intra)

    def _intra_bonus(self, sequence: "_Sequence", frame: Frame, quality: int) -> int:
        """What this frame gets on top if it begins a GOP. Tried where it is known to; where
        prediction has broken down, as is usual."""
        if sequence.position > 0 or self.trials is None:
            return INTRA_BONUS
        rest = sequence.frames.rest_of_gop(self.trials.frames - 1)
        return self.trials.choose([frame, *rest], quality)


class _Sequence:
    """One of the sequences of frames that are coded side by side: where it is in its GOP, and what
    its frames so far have left."""

    def __init__(self, batch: int, number: int, frames: Iterator[SourceFrame]) -> None:
        self.batch, self.number = batch, number
        self.frames = SequenceReader(frames)
        self.begin_gop()

    def begin_gop(self) -> None:
        self.position = 0
        self.watch = RecurrenceWatch()
        self.before: Recurrence | None = None

    def advance(self, left: Recurrence) -> None:
        self.position += 1
        self.before = left


@dataclass(frozen=True, kw_only=True)
class _PlannedFrame:
    """The next frame of a sequence, and how it is to be coded."""

    sequence: _Sequence
    source: SourceFrame
    gop_quality: int
    intra_bonus: int  # q on top, should it begin a GOP
    q: int

    @property
    def task(self) -> FrameTask:
        before = self.sequence.before
        return FrameTask(
            frame=self.source.frame,
            q=self.q,
            place=chain(self.sequence.position),
            references=None if before is None else (before, before),
        )


class _GopInProgress:
    """Collects the records of one GOP."""

    def __init__(self, encoder: Encoder, first_frame: int) -> None:
        self.first_frame = first_frame
        rows, columns = grid_size(encoder.fmt)
        self.symbols = GopSymbolEncoder(encoder.installed, encoder.coder, rows, columns)
        self.records: list[FrameRecord] = []
        self.psnr: list[PlanePsnr] = []

    def add(self, step: Step) -> FrameResult:
        payload = self.symbols.encode(step.symbols, step.q, chain(step.position))
        before = self.records[-1] if self.records else None
        self.records.append(FrameRecord(step.source.info.pts, step.q, payload))
        self.psnr.append(frame_psnr(step.source.frame, step.shown))
        return FrameResult(
            number=step.source.number,
            is_intra=step.position == 0,
            quality=step.gop_quality,
            bits=8 * frame_bytes(self.records[-1], before),
            psnr=self.psnr[-1].yuv,
        )

    def finish(self, ends_batch: bool) -> CodedGop:
        psnr = tuple((p.y, p.u, p.v) for p in self.psnr)
        record = GopRecord(self.first_frame, self.symbols.checksum, tuple(self.records))
        return CodedGop(record, GopStats(self.first_frame, psnr), ends_batch)


def _finish(pending: list[list[_GopInProgress]]) -> Iterator[CodedGop]:
    """The GOPs of a batch, sequence by sequence."""
    gops = [gop for sequence in pending for gop in sequence]
    for gop in gops:
        yield gop.finish(ends_batch=gop is gops[-1])
