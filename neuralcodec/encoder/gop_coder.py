"""Mini-GOPs through the networks, in the order of coding."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from neuralcodec.codec.gop_symbols import FrameSymbols
from neuralcodec.codec.pipeline import Stopwatch
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.encoder.frame_encoder import EncodedFrame, FrameEncoder, FrameTask
from neuralcodec.encoder.gop_trials import BonusTrials
from neuralcodec.encoder.lookahead import MiniGopReader, SourceFrame
from neuralcodec.encoder.quality_control import Feedback
from neuralcodec.encoder.structure.gop_structure import (
    BONUS_BEFORE,
    INTRA_BONUS,
    RecurrenceWatch,
    frame_quality,
    luma_error,
)
from neuralcodec.encoder.structure.mini_gops import INTRA_STEP, P_FRAMES, CodingStep, GopOrder
from neuralcodec.encoder.structure.reference_slots import ReferenceSlots
from neuralcodec.encoder.temporal_filter import (
    INTRA_STRENGTHS,
    LOW_DELAY_STRENGTH,
    RADIUS,
    Neighbours,
    strength_at,
)
from neuralcodec.metrics import frame_psnr
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.references import Placement
from neuralcodec.video import Frame, VideoFormat


@dataclass(frozen=True, kw_only=True)
class CodedFrame:
    """One frame after the networks: what is to be written, and what will be shown."""

    source: SourceFrame
    place: Placement
    gop_quality: int  # asked of the GOP
    q: int  # used
    symbols: FrameSymbols
    shown: Frame


@dataclass(frozen=True, kw_only=True)
class _PlannedFrame:
    """A frame and how it is to be coded."""

    source: SourceFrame
    place: Placement
    gop_quality: int
    q: int
    neighbours: Neighbours | None

    def task(self, slots: ReferenceSlots) -> FrameTask:
        return FrameTask(
            frame=self.source.frame,
            q=self.q,
            place=self.place,
            references=slots.read(self.place),
            motion=self.source.motion,
            neighbours=self.neighbours,
        )


class GopCoder:
    """Codes one video with `encoder`."""

    def __init__(
        self,
        installed: InstalledModel,
        fmt: VideoFormat,
        settings: EncoderSettings,
        feedback: Feedback | None,
        stopwatch: Stopwatch,
    ) -> None:
        self._config = installed.model.config
        self._settings, self._feedback, self._stopwatch = settings, feedback, stopwatch
        s = settings
        self._encoder = FrameEncoder(installed.model, fmt, s.device, s.precision, s.effort)
        self._trials = BonusTrials(installed, fmt, settings) if s.effort.gop_trials else None
        self._begin_gop()

    @property
    def notices(self) -> list[str]:
        """One sentence each, for people."""
        return self._encoder.notices

    def code(self, frames: Iterator[SourceFrame]) -> Iterator[CodedFrame | None]:
        """All frames, in the order of coding; None between two GOPs of the look-ahead, as soon as
        it is known that another follows: its first frame may have to wait."""
        reader = MiniGopReader(frames, kept=RADIUS)
        for mini_gop in reader:
            if mini_gop[0].begins_gop:
                if mini_gop[0].number:
                    yield None
                self._begin_gop()
                batches = [[INTRA_STEP]]
            else:
                batches = self._order.add(len(mini_gop))
            for batch in batches:
                if self._feedback and not self._feedback.begin_step(len(batch)):
                    return
                first = mini_gop[0].info.position - self._begins_at
                sources = [mini_gop[step.place.shown - first] for step in batch]
                with self._stopwatch.running("networks"):
                    coded = self._code(reader, sources, batch)
                yield from coded

    def _begin_gop(self, position: int = 0) -> None:
        """position: in the GOP as the look-ahead has it, of the first frame."""
        self._begins_at = position
        self._order = GopOrder(self._settings.structure.low_delay)
        self._watch = RecurrenceWatch()
        self._slots = ReferenceSlots()

    def _code(
        self, reader: MiniGopReader, sources: Sequence[SourceFrame], steps: Sequence[CodingStep]
    ) -> list[CodedFrame]:
        """Frames that do not depend on each other; where prediction has broken down, one as the
        first of a new GOP."""
        planned = [
            self._plan(reader, source, step) for source, step in zip(sources, steps, strict=True)
        ]
        coded = self._encoder.encode([frame.task(self._slots) for frame in planned])
        if steps[0].size <= 1:  # else the chain is too short to break down
            planned[0], coded[0] = self._settle(planned[0], coded[0])
        for frame, encoded in zip(planned, coded, strict=True):
            self._slots.store(frame.place, encoded.recurrence)
        return [
            CodedFrame(
                source=frame.source,
                place=frame.place,
                gop_quality=frame.gop_quality,
                q=frame.q,
                symbols=encoded.symbols,
                shown=encoded.shown,
            )
            for frame, encoded in zip(planned, coded, strict=True)
        ]

    def _plan(self, reader: MiniGopReader, source: SourceFrame, step: CodingStep) -> _PlannedFrame:
        quality = self._gop_quality(source)
        offset = step.offset
        if step.place.is_intra:
            offset = self._intra_bonus(reader, source, quality)
        return _PlannedFrame(
            source=source,
            place=step.place,
            gop_quality=quality,
            q=frame_quality(quality, offset),
            neighbours=self._neighbours(reader, source, step),
        )

    def _neighbours(
        self, reader: MiniGopReader, source: SourceFrame, step: CodingStep
    ) -> Neighbours | None:
        """What a frame is filtered with, if others lean on it."""
        structure = self._settings.structure
        if structure == P_FRAMES:
            return None
        if structure.low_delay:
            strength = LOW_DELAY_STRENGTH if step.place.level == 0 else 0.0
        elif step.place.is_intra:
            rest, _ = reader.rest_of_gop(1)
            strength = INTRA_STRENGTHS[len(rest[0])] if rest else 0.0
        else:
            strength = strength_at(step.size, step.place.level)
        if not strength:
            return None
        frames = reader.neighbours(source, RADIUS, past_only=structure.low_delay)
        return Neighbours(frames, strength) if frames else None

    def _intra_bonus(self, reader: MiniGopReader, source: SourceFrame, quality: int) -> int:
        if self._trials is None:
            return self._usual_bonus(reader)
        rest, goes_on = reader.rest_of_gop(self._trials.frames - 1)
        return self._trials.choose(source, rest, goes_on, quality)

    def _usual_bonus(self, reader: MiniGopReader) -> int:
        structure = self._settings.structure
        if structure.is_fixed or structure.largest < min(BONUS_BEFORE):
            return INTRA_BONUS  # without waiting for frames that would not change it
        rest, _ = reader.rest_of_gop(1)
        return BONUS_BEFORE.get(len(rest[0]), INTRA_BONUS) if rest else INTRA_BONUS

    def _settle(
        self, planned: _PlannedFrame, coded: EncodedFrame
    ) -> tuple[_PlannedFrame, EncodedFrame]:
        """The frame, or the same as an intra frame where that is much better."""
        error = self._error(planned, coded)
        if planned.place.is_intra:
            self._watch = RecurrenceWatch(error)
        elif self._watch.is_suspicious(error):
            intra = self._as_intra(planned)
            [tried] = self._encoder.encode([intra.task(self._slots)])
            intra_error = self._error(intra, tried)
            if self._watch.settle(error, intra_error):
                self._begin_gop(planned.source.info.position)
                self._watch = RecurrenceWatch(intra_error)
                return intra, tried
        return planned, coded

    def _as_intra(self, planned: _PlannedFrame) -> _PlannedFrame:
        return _PlannedFrame(
            source=planned.source,
            place=Placement(0),
            gop_quality=planned.gop_quality,
            q=frame_quality(planned.gop_quality, INTRA_BONUS),
            neighbours=None,
        )

    def _error(self, planned: _PlannedFrame, coded: EncodedFrame) -> float:
        """About what it would be at the quality asked for."""
        growth = self._error_growth(planned.q, frame_quality(planned.gop_quality))
        return growth * luma_error(planned.source.frame, coded.shown)

    def _error_growth(self, q: int, lower: int) -> float:
        """About how much larger squared errors are at a lower quality: as much as λ is smaller."""
        lambdas = self._config.quality_lambdas(torch.tensor([q, lower], device="cpu"))
        return float(lambdas[0] / lambdas[1])

    def _gop_quality(self, source: SourceFrame) -> int:
        if not self._feedback:
            return self._settings.quality

        def try_intra(quality: int) -> float:
            q = frame_quality(quality, INTRA_BONUS)
            task = FrameTask(frame=source.frame, q=q, place=Placement(0), references=None)
            return frame_psnr(source.frame, self._encoder.encode([task])[0].shown).yuv

        return self._feedback.control.quality(source, try_intra)
