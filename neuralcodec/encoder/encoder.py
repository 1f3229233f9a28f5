"""Frames to GOP records: networks in one thread, entropy coding in the caller's."""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

from neuralcodec.codec.gop_symbols import GopSymbolEncoder, build_coder
from neuralcodec.codec.pipeline import RunAhead, Stopwatch
from neuralcodec.codec.tensors import grid_size
from neuralcodec.container import FrameRecord, GopRecord, GopStats
from neuralcodec.container.sizes import GopSize
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.encoder.gop_coder import CodedFrame, GopCoder
from neuralcodec.encoder.lookahead import SourceFrame, fitting, look_ahead
from neuralcodec.encoder.quality_control import Feedback, FrameResult, QualityControl
from neuralcodec.encoder.structure.structure_choice import StructureChoice
from neuralcodec.kernels.strips import core_taken
from neuralcodec.metrics import PlanePsnr, frame_psnr
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.video import Frame, VideoFormat

FRAMES_AHEAD = 6  # between two stages; bounds memory


@dataclass(frozen=True)
class CodedGop:
    record: GopRecord
    stats: GopStats
    is_last_of_plan: bool = True  # see `Encoder.gops`


class Encoder:
    """Codes one video, at `settings.quality` or as `control` steers it."""

    def __init__(
        self,
        installed: InstalledModel,
        fmt: VideoFormat,
        settings: EncoderSettings,
        control: QualityControl | None = None,
    ) -> None:
        self.installed, self.fmt = installed, fmt
        self.settings = replace(settings, structure=fitting(settings.structure, fmt))
        self.feedback = Feedback(control) if control else None
        self.notices: list[str] = []  # one sentence each, for people
        self.source_is_stuck = False  # whether a read goes on: the source must not be closed then
        self.coder = build_coder(installed)
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
        """GOPs in order, each as soon as it is complete. `on_frame` is told how many frames are
        coded, after each.

        skip: frames to look at without coding them, up to the end of a GOP that is the last of its
        plan, as an encoder with the same settings gave it: what comes then is the same as if they
        had been coded. Not with a control, which would have to know what they cost."""
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
        gop: _GopInProgress | None = None
        with ExitStack() as stack:
            read = RunAhead(wanted, FRAMES_AHEAD)
            coded = RunAhead(self._run_networks(read), FRAMES_AHEAD)
            stack.callback(self._end, read, coded)
            for frame in coded:
                if frame is None:
                    if gop:
                        yield gop.finish(is_last_of_plan=True)
                    gop = None
                    continue
                if frame.place.is_intra:
                    if gop:
                        yield gop.finish(is_last_of_plan=False)
                    gop = _GopInProgress(self, frame.source.number)
                assert gop is not None
                with self.stopwatch.running("entropy coding"), core_taken():
                    result = gop.add(frame)
                if self.feedback:
                    self.feedback.put(result)
                on_result(result)
            if gop:
                yield gop.finish(is_last_of_plan=True)

    def coded_frames(self, frames: Iterator[Frame]) -> Iterator[CodedFrame]:
        """What the networks make of the frames, without entropy coding."""
        coded = self._run_networks(self._look_ahead(frames))
        return (frame for frame in coded if frame is not None)

    def _look_ahead(self, frames: Iterator[Frame]) -> Iterator[SourceFrame]:
        s = self.settings
        window = self.feedback.control.frames_ahead if self.feedback else 0
        choice = StructureChoice(s.structure)
        return look_ahead(frames, s.gop, s.scene_cuts, choice, window)

    def _end(self, read: RunAhead[SourceFrame], coded: RunAhead[CodedFrame | None]) -> None:
        if self.feedback:
            self.feedback.close()
        read.close()  # before `coded`, which may wait for it
        self.source_is_stuck = read.is_stuck
        coded.close(patience=None)

    def _run_networks(self, frames: Iterator[SourceFrame]) -> Iterator[CodedFrame | None]:
        coder = GopCoder(self.installed, self.fmt, self.settings, self.feedback, self.stopwatch)
        self.notices = coder.notices
        yield from coder.code(frames)


class _GopInProgress:
    """Collects the records of one GOP."""

    def __init__(self, encoder: Encoder, first_frame: int) -> None:
        self.first_frame = first_frame
        rows, columns = grid_size(encoder.fmt)
        self.symbols = GopSymbolEncoder(encoder.installed, encoder.coder, rows, columns)
        self.size = GopSize()
        self.records: list[FrameRecord] = []
        self.psnr: list[PlanePsnr] = []

    def add(self, frame: CodedFrame) -> FrameResult:
        payload = self.symbols.encode(frame.symbols, frame.q, frame.place)
        self.records.append(FrameRecord(frame.source.info.pts, frame.q, payload, frame.place))
        self.psnr.append(frame_psnr(frame.source.frame, frame.shown))
        return FrameResult(
            number=frame.source.number,
            is_intra=frame.place.is_intra,
            quality=frame.gop_quality,
            bits=8 * self.size.add(self.records[-1]),
            psnr=self.psnr[-1].yuv,
        )

    def finish(self, is_last_of_plan: bool) -> CodedGop:
        shown = sorted(zip(self.records, self.psnr, strict=True), key=lambda f: f[0].place.shown)
        psnr = tuple((p.y, p.u, p.v) for _, p in shown)
        record = GopRecord(self.first_frame, self.symbols.checksum, tuple(self.records))
        return CodedGop(record, GopStats(self.first_frame, psnr), is_last_of_plan)
