"""GOP records to frames: parsing in one thread, networks in another, ahead of the caller."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Generic

import torch

from neuralcodec.codec.gop_symbols import FrameSymbols, GopSymbolDecoder, build_coder
from neuralcodec.codec.pipeline import RunAhead, Stopwatch
from neuralcodec.codec.tensors import TensorFrame, grid_size, to_frames, to_tensor_frames
from neuralcodec.container import Damage, FrameRecord, GopPlace, GopRecord, Loss
from neuralcodec.decoder.frame_decoder import DecodeTask, FrameDecoder, Shown, ToPictures
from neuralcodec.entropy.coder import Malformed
from neuralcodec.errors import DamagedFile
from neuralcodec.kernels.strips import core_taken
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.model.recurrence import Recurrence
from neuralcodec.references import chain
from neuralcodec.video import Frame, VideoFormat

FRAMES_AHEAD = 6
MAX_WAITING_BYTES = 2 << 30  # of frames that wait for those of an earlier GOP of their batch


@dataclass(frozen=True)
class DecoderSettings:
    batch: int
    device: torch.device
    precision: torch.dtype
    keep_going: bool = False  # leave out GOPs whose symbols are damaged


@dataclass(frozen=True)
class _Step:
    """Parsed symbols of one time step: one frame of each GOP of a batch still going on."""

    number: int  # 0: all intra
    items: list[int]  # which GOPs of the batch
    symbols: list[FrameSymbols]  # of each, as the records
    records: list[FrameRecord]
    numbers: list[int]  # in the video
    last: bool  # of its batch


@dataclass(frozen=True)
class NumberedFrame(Generic[Shown]):
    """A decoded frame, and its number in the video as the file gives it."""

    number: int
    frame: Shown


class Decoder:
    """Decodes one video. `name` is the file's, for messages."""

    def __init__(
        self, installed: InstalledModel, fmt: VideoFormat, settings: DecoderSettings, name: str
    ) -> None:
        self.installed, self.fmt, self.settings, self.name = installed, fmt, settings, name
        self.coder = build_coder(installed)
        self.stopwatch = Stopwatch()
        self.notices: list[str] = []  # one sentence each, for people
        self.left_out: list[Damage] = []  # with keep_going, in file order

    def numbered_frames(
        self, gops: Iterable[GopRecord]
    ) -> Generator[NumberedFrame[Frame], None, None]:
        """Frames in order. Raises DamagedFile where a GOP's symbols are not what was coded;
        frames of that GOP before the damage may have been given by then."""
        return self._shown(gops, to_frames)

    def frames(self, gops: Iterable[GopRecord]) -> Generator[Frame, None, None]:
        """As `numbered_frames`, the frames alone."""
        with closing(self.numbered_frames(gops)) as numbered:
            for one in numbered:
                yield one.frame

    def tensor_frames(self, gops: Iterable[GopRecord]) -> Generator[TensorFrame, None, None]:
        """As `frames`; the planes stay on the device."""
        with closing(self._shown(gops, to_tensor_frames)) as numbered:
            for one in numbered:
                yield one.frame

    def _shown(
        self, gops: Iterable[GopRecord], to_pictures: ToPictures[Shown]
    ) -> Generator[NumberedFrame[Shown], None, None]:
        chosen = filter(self.is_whole, gops) if self.settings.keep_going else iter(gops)
        with ExitStack() as stack:
            parsed = RunAhead(self._parse(chosen), FRAMES_AHEAD)
            shown = RunAhead(self._run_networks(parsed, to_pictures), FRAMES_AHEAD)
            stack.callback(shown.close, patience=None)
            stack.callback(parsed.close)  # comes first: `shown` may wait for it
            yield from shown

    def parse_gop(self, gop: GopRecord) -> Iterator[FrameSymbols]:
        """The symbols of one GOP, without any transform. Raises DamagedFile."""
        try:
            yield from self._symbols(gop)
        except Malformed as error:
            raise DamagedFile(
                f"{self.name}: {self._damage(gop, error)}; "
                "use --keep-going to decode the undamaged GOPs",
                offset=gop.place.start if gop.place else None,
                gop=gop.place.gop if gop.place else None,
            ) from error

    def _symbols(self, gop: GopRecord) -> Iterator[FrameSymbols]:
        """Raises Malformed."""
        rows, columns = grid_size(self.fmt)
        decoder = GopSymbolDecoder(self.installed, self.coder, rows, columns)
        for t, frame in enumerate(gop.frames):
            try:
                symbols = decoder.decode(frame.payload, frame.q, frame.place)
            except Malformed as error:
                raise Malformed(f"frame {gop.first_frame + frame.place.shown}: {error}") from error
            is_last = t == len(gop.frames) - 1
            if is_last and gop.symbols_crc not in (None, decoder.checksum):
                raise Malformed("its symbols do not have the checksum recorded")
            yield symbols

    def is_whole(self, gop: GopRecord) -> bool:
        """Parses it to the end: a frame once shown cannot be taken back. What is wrong goes into
        `left_out`."""
        try:
            for _ in self._symbols(gop):
                pass
        except Malformed as error:
            self.left_out.append(self._damage(gop, error))
            return False
        return True

    def _parse(self, gops: Iterator[GopRecord]) -> Iterator[_Step]:
        for batch in self._batches(gops):
            parsers = [self.parse_gop(gop) for gop in batch]
            length = max(len(gop.frames) for gop in batch)
            for t in range(length):
                items = [i for i, gop in enumerate(batch) if t < len(gop.frames)]
                with self.stopwatch.running("entropy coding"), core_taken():
                    symbols = [next(parsers[i]) for i in items]
                records = [batch[i].frames[t] for i in items]
                numbers = [batch[i].first_frame + t for i in items]
                yield _Step(t, items, symbols, records, numbers, last=t == length - 1)

    def _batches(self, gops: Iterator[GopRecord]) -> Iterator[list[GopRecord]]:
        """As many at a time as the settings say, or fewer: frames of all but the first of a batch
        wait in memory for their turn, and a file says how many they are."""
        samples = self.fmt.width * self.fmt.height * 3 // 2
        most = MAX_WAITING_BYTES // (samples * (1 if self.fmt.bit_depth == 8 else 2))
        batch: list[GopRecord] = []
        waiting = 0
        for gop in gops:
            if batch and waiting + len(gop.frames) > most:
                yield batch
                batch, waiting = [], 0
            waiting += len(gop.frames) if batch else 0
            batch.append(gop)
            if len(batch) == self.settings.batch:
                yield batch
                batch, waiting = [], 0
        if batch:
            yield batch

    def _run_networks(
        self, steps: Iterable[_Step], to_pictures: ToPictures[Shown]
    ) -> Iterator[NumberedFrame[Shown]]:
        s = self.settings
        decoder = FrameDecoder(self.installed.model, self.fmt, s.device, s.precision, to_pictures)
        self.notices = decoder.notices
        waiting: list[list[NumberedFrame[Shown]]] = []  # of the GOPs of a batch after the first
        left: dict[int, Recurrence] = {}  # by the last frame of each GOP of the batch
        for step in steps:
            if step.number == 0:
                left = {}
                waiting = [[] for _ in step.items]
            tasks = [
                DecodeTask(
                    symbols=symbols,
                    q=record.q,
                    pts=record.pts,
                    place=chain(step.number),
                    references=(left[i], left[i]) if i in left else None,
                )
                for i, symbols, record in zip(step.items, step.symbols, step.records, strict=True)
            ]
            with self.stopwatch.running("networks"):
                decoded = decoder.decode(tasks)
            left = {i: recurrence for i, (_, recurrence) in zip(step.items, decoded, strict=True)}
            for i, number, (frame, _) in zip(step.items, step.numbers, decoded, strict=True):
                if i == 0:
                    yield NumberedFrame(number, frame)
                else:
                    waiting[i].append(NumberedFrame(number, frame))
            if step.last:
                for gop in waiting:
                    yield from gop

    def _damage(self, gop: GopRecord, error: Malformed) -> Damage:
        unit = self.fmt.time_base
        step = 1 / self.fmt.frame_rate if self.fmt.frame_rate else 0
        loss = Loss(
            gop.first_frame,
            gop.first_frame + len(gop.frames),
            gop.frames[0].pts * unit,
            gop.frames[-1].pts * unit + step,
        )
        place = gop.place or GopPlace(None, 0, 0)
        return Damage(str(error), "GOPS", place.gop, place.start, place.end, loss=loss)
