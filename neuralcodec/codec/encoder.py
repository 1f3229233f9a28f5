"""Frames to GOP records: networks in one thread, entropy coding in the caller's."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import torch

from neuralcodec.codec.ahead import Stopwatch, run_ahead
from neuralcodec.codec.gop_structure import (
    RecurrenceWatch,
    frame_quality,
    luma_error,
    split_batches,
)
from neuralcodec.codec.gop_symbols import FrameSymbols, GopSymbolEncoder, build_coder
from neuralcodec.codec.pictures import grid_size
from neuralcodec.codec.presets import MEDIUM, Effort
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
    effort: Effort = MEDIUM


@dataclass(frozen=True)
class CodedFrame:
    """One frame after the networks: what is to be written, and what will be shown."""

    batch: int  # number of the batch of GOPs that it belongs to
    item: int  # which sequence of the batch
    position: int  # in its GOP; 0 begins a new one
    q: int
    symbols: FrameSymbols
    source: Frame
    shown: Frame


@dataclass(frozen=True)
class CodedGop:
    record: GopRecord
    stats: GopStats


class Encoder:
    """Codes one video."""

    def __init__(
        self, installed: InstalledModel, fmt: VideoFormat, settings: EncoderSettings
    ) -> None:
        self.installed, self.fmt, self.settings = installed, fmt, settings
        self.coder = build_coder(installed)
        self.stopwatch = Stopwatch()
        self.threads = torch.get_num_threads()
        self.frames_done = 0

    def gops(
        self, frames: Iterator[Frame], on_frame: Callable[[int], None] | None = None
    ) -> Iterator[CodedGop]:
        """GOPs in order, each as soon as its batch is complete. `on_frame` is told how many frames
        are coded, after each."""
        read = run_ahead(self.stopwatch.watch("reading", frames), FRAMES_AHEAD)
        coded = run_ahead(self._run_networks(read), FRAMES_AHEAD)
        first_frame = 0
        pending: list[list[_GopInProgress]] = []  # of each item of the batch
        batch = 0
        torch.set_num_threads(1)  # of this thread: the networks need the other cores
        try:
            for frame in coded:
                if frame.batch != batch:
                    for gop in chain.from_iterable(pending):
                        yield gop.finish(first_frame)
                        first_frame += len(gop.records)
                    pending, batch = [], frame.batch
                if frame.item == len(pending):
                    pending.append([])
                if frame.position == 0:
                    pending[frame.item].append(_GopInProgress(self))
                with self.stopwatch.running("entropy coding"):
                    pending[frame.item][-1].add(frame)
                self.frames_done += 1
                if on_frame:
                    on_frame(self.frames_done)
            for gop in chain.from_iterable(pending):
                yield gop.finish(first_frame)
                first_frame += len(gop.records)
        finally:
            torch.set_num_threads(self.threads)
            coded.close()  # type: ignore[attr-defined]
            read.close()  # type: ignore[attr-defined]

    def _run_networks(self, frames: Iterator[Frame]) -> Iterator[CodedFrame]:
        settings = self.settings
        torch.set_num_threads(self.threads)
        transforms = self._transforms()
        for number, batch in enumerate(split_batches(frames, settings.gop, settings.batch)):
            transforms.begin()
            items = [_Item(i) for i in range(len(batch))]
            while True:
                step = [(item, next(batch[item.number], None)) for item in items]
                going = [(item, frame) for item, frame in step if frame is not None]
                if not going:
                    break
                if len(going) < len(items):
                    transforms.keep([items.index(item) for item, _ in going])
                items, sources = [item for item, _ in going], [frame for _, frame in going]
                with self.stopwatch.running("networks"):
                    coded = self._code_step(transforms, items, sources, number)
                yield from coded

    def _transforms(self) -> Transforms | SideBySide:
        settings = self.settings
        transforms = Transforms(
            self.installed.model, self.fmt, settings.device, settings.precision, settings.effort
        )
        return SideBySide(transforms) if settings.effort.symbol_rounds else transforms

    def _code_step(
        self,
        transforms: Transforms | SideBySide,
        items: list["_Item"],
        sources: list[Frame],
        batch: int,
    ) -> list[CodedFrame]:
        """One frame of each item; where prediction has broken down, as the first of a new GOP."""
        quality = self.settings.quality
        qualities = [frame_quality(quality, item.position) for item in items]
        symbols, shown = transforms.encode(sources, qualities)
        for i, (item, source) in enumerate(zip(items, sources, strict=True)):
            error = luma_error(source, shown[i])
            if item.position > 0 and item.watch.is_suspicious(error):
                intra_quality = frame_quality(quality, 0)
                intra = transforms.try_intra(source, intra_quality)
                if item.watch.settle(error, luma_error(source, intra.shown)):
                    transforms.adopt(i, intra)
                    item.begin_gop()
                    symbols[i], shown[i], qualities[i] = intra.symbols, intra.shown, intra_quality
        coded = [
            CodedFrame(batch, item.number, item.position, q, s, source, picture)
            for item, q, s, source, picture in zip(
                items, qualities, symbols, sources, shown, strict=True
            )
        ]
        for item in items:
            item.position += 1
        return coded


class _Item:
    """One of the sequences that are coded side by side: where it is in its GOP."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.begin_gop()

    def begin_gop(self) -> None:
        self.position = 0
        self.watch = RecurrenceWatch()


class _GopInProgress:
    """Collects the records of one GOP."""

    def __init__(self, encoder: Encoder) -> None:
        rows, columns = grid_size(encoder.fmt)
        self.symbols = GopSymbolEncoder(encoder.installed, encoder.coder, rows, columns)
        self.records: list[FrameRecord] = []
        self.psnr: list[PlanePsnr] = []

    def add(self, frame: CodedFrame) -> None:
        payload = self.symbols.encode(frame.symbols, frame.q)
        self.records.append(FrameRecord(frame.source.pts, frame.q, payload))
        self.psnr.append(frame_psnr(frame.source, frame.shown))

    def finish(self, first_frame: int) -> CodedGop:
        psnr = tuple((p.y, p.u, p.v) for p in self.psnr)
        record = GopRecord(first_frame, self.symbols.checksum, tuple(self.records))
        return CodedGop(record, GopStats(first_frame, psnr))
