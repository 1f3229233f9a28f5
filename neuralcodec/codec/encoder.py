"""Frames to GOP records: networks in one thread, entropy coding in the caller's."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count, islice

import torch

from neuralcodec.codec.ahead import Stopwatch, run_ahead
from neuralcodec.codec.gop_symbols import FrameSymbols, GopSymbolEncoder, build_coder
from neuralcodec.codec.pictures import grid_size
from neuralcodec.codec.transforms import Transforms
from neuralcodec.container import FrameRecord, GopRecord, GopStats
from neuralcodec.metrics import PlanePsnr, frame_psnr
from neuralcodec.model.config import QUALITIES
from neuralcodec.model.zoo import InstalledModel
from neuralcodec.video import Frame, VideoFormat

FRAMES_AHEAD = 6  # between two stages; bounds memory
INTRA_BONUS = 8  # saves 4 % of the bits over 12 frames, up to 12 % where little moves


@dataclass(frozen=True)
class EncoderSettings:
    quality: int  # 0..63
    gop: int  # most frames of a GOP
    batch: int  # GOPs side by side
    device: torch.device
    precision: torch.dtype


@dataclass(frozen=True)
class CodedFrame:
    """One frame after the networks: what is to be written, and what will be shown."""

    batch: int  # number of the batch of GOPs that it belongs to
    item: int  # which GOP of the batch
    q: int
    symbols: FrameSymbols
    source: Frame
    shown: Frame


@dataclass(frozen=True)
class CodedGop:
    record: GopRecord
    stats: GopStats


class Encoder:
    """Codes one video. `progress` figures may be read while `gops` is being iterated."""

    def __init__(
        self, installed: InstalledModel, fmt: VideoFormat, settings: EncoderSettings
    ) -> None:
        self.installed, self.fmt, self.settings = installed, fmt, settings
        self.coder = build_coder(installed)
        self.stopwatch = Stopwatch()
        self.frames_done = 0

    def gops(self, frames: Iterator[Frame]) -> Iterator[CodedGop]:
        """GOPs in order, each as soon as its batch is complete."""
        read = run_ahead(self.stopwatch.watch("reading", frames), FRAMES_AHEAD)
        coded = run_ahead(self._run_networks(read), FRAMES_AHEAD)
        first_frame = 0
        pending: list[_GopInProgress] = []
        batch = 0
        try:
            for frame in coded:
                if frame.batch != batch:
                    for gop in pending:
                        yield gop.finish(first_frame)
                        first_frame += len(gop.records)
                    pending, batch = [], frame.batch
                if frame.item == len(pending):
                    pending.append(_GopInProgress(self))
                with self.stopwatch.running("entropy coding"):
                    pending[frame.item].add(frame)
                self.frames_done += 1
            for gop in pending:
                yield gop.finish(first_frame)
                first_frame += len(gop.records)
        finally:
            coded.close()  # type: ignore[attr-defined]
            read.close()  # type: ignore[attr-defined]

    def _run_networks(self, frames: Iterator[Frame]) -> Iterator[CodedFrame]:
        settings = self.settings
        transforms = Transforms(self.installed.model, self.fmt, settings.device, settings.precision)
        for number, batch in enumerate(split_batches(frames, settings.gop, settings.batch)):
            transforms.begin()
            items = list(range(len(batch)))
            for step_number in count():
                step = [(i, next(batch[i], None)) for i in items]
                going = [(i, frame) for i, frame in step if frame is not None]
                if not going:
                    break
                if len(going) < len(items):
                    transforms.keep([items.index(i) for i, _ in going])
                    items = [i for i, _ in going]
                sources = [frame for _, frame in going]
                qualities = [frame_quality(settings.quality, step_number)] * len(sources)
                with self.stopwatch.running("networks"):
                    symbols, shown = transforms.encode(sources, qualities)
                for i, q, s, source, picture in zip(
                    items, qualities, symbols, sources, shown, strict=True
                ):
                    yield CodedFrame(number, i, q, s, source, picture)


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


def frame_quality(quality: int, position: int) -> int:
    """q of the frame at a position of its GOP: all others lean on the intra frame."""
    return min(quality + INTRA_BONUS, QUALITIES - 1) if position == 0 else quality


def split_batches(frames: Iterator[Frame], gop: int, batch: int) -> Iterator[list[Iterator[Frame]]]:
    """Batches of GOPs. The last GOP of a batch is taken from the source as it comes, so that one
    GOP at a time needs no memory for its frames; those before it are read first."""
    while (first := next(frames, None)) is not None:
        frames_left = chain([first], frames)
        gops: list[Iterator[Frame]] = []
        for _ in range(batch - 1):
            whole = list(islice(frames_left, gop))
            if whole:
                gops.append(iter(whole))
        if not gops or len(whole) == gop:
            gops.append(islice(frames_left, gop))
        yield gops
