"""GOP records to frames: parsing in one thread, networks in another, ahead of the caller."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Generic

import torch

from neuralcodec.codec.gop_symbols import FrameSymbols, GopSymbolDecoder, build_coder
from neuralcodec.codec.pipeline import RunAhead, Stopwatch
from neuralcodec.codec.tensors import TensorFrame, grid_size, to_frames, to_tensor_frames
from neuralcodec.codec.turns import frames_at_once
from neuralcodec.container import Damage, FrameRecord, GopPlace, GopRecord, Loss
from neuralcodec.decoder.frame_decoder import DecodeTask, FrameDecoder, Shown, ToPictures
from neuralcodec.decoder.showing_order import ShowingOrder
from neuralcodec.entropy.coder import Malformed
from neuralcodec.errors import DamagedFile
from neuralcodec.kernels.strips import core_taken
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.model.recurrence import Recurrence
from neuralcodec.references import SLOTS, independent_runs
from neuralcodec.video import Frame, VideoFormat

FRAMES_AHEAD = 6
MAX_WAITING_BYTES = 2 << 30  # of frames that wait for those of an earlier GOP of their batch


@dataclass(frozen=True)
class DecoderSettings:
    batch: int  # GOPs side by side
    device: torch.device
    precision: torch.dtype
    keep_going: bool = False  # leave out GOPs whose symbols are damaged


@dataclass(frozen=True)
class _ParsedFrame:
    gop: int  # which of the batch
    record: FrameRecord
    symbols: FrameSymbols


@dataclass(frozen=True)
class _Step:
    """Frames that do not depend on each other: the next ones of each GOP of a batch still going
    on. In the first step of a batch all are intra frames, in all others none."""

    begins: list[GopRecord] | None  # the batch, in its first step
    frames: list[_ParsedFrame]
    ends_batch: bool


@dataclass(frozen=True)
class NumberedFrame(Generic[Shown]):
    """A decoded frame, and its number in the video as the file gives it."""

    number: int
    frame: Shown


class _GopInProgress(Generic[Shown]):
    """What the frames of a GOP so far have left, and those that cannot be shown yet."""

    def __init__(self, gop: GopRecord) -> None:
        self.waiting: list[NumberedFrame[Shown]] = []  # for the GOPs before it in its batch
        self._first = gop.first_frame
        self._slots: list[Recurrence | None] = [None] * SLOTS
        wanted = [frame.place.shown for frame in gop.shown]
        self._wanted = set(wanted)
        self._order: ShowingOrder[NumberedFrame[Shown]] = ShowingOrder(wanted)

    def task(self, frame: _ParsedFrame) -> DecodeTask:
        record, references = frame.record, None
        if record.place.slots is not None:
            first, second = (self._slots[slot] for slot in record.place.slots)
            assert first is not None and second is not None  # the parser knows
            references = first, second
        return DecodeTask(
            symbols=frame.symbols,
            q=record.q,
            pts=record.pts,
            place=record.place,
            references=references,
        )

    def put(
        self, record: FrameRecord, picture: Shown, left: Recurrence
    ) -> Iterator[NumberedFrame[Shown]]:
        """What can be shown now. Of the frames of one step in the order of coding."""
        place = record.place
        if place.stored is not None:
            self._slots[place.stored] = left
        if place.shown in self._wanted:
            numbered = NumberedFrame(self._first + place.shown, picture)
            yield from self._order.put(place.shown, numbered)


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
        for frame in gop.frames:
            try:
                symbols = decoder.decode(frame.payload, frame.q, frame.place)
            except Malformed as error:
                raise Malformed(f"frame {gop.first_frame + frame.place.shown}: {error}") from error
            is_last = frame is gop.frames[-1]
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
            most = frames_at_once(self.fmt)
            runs = [independent_runs([f.place for f in gop.frames], most) for gop in batch]
            steps = max(map(len, runs))
            for step in range(steps):
                frames = []
                for i, gop in enumerate(batch):
                    for t in runs[i][step] if step < len(runs[i]) else ():
                        with self.stopwatch.running("entropy coding"), core_taken():
                            symbols = next(parsers[i])
                        frames.append(_ParsedFrame(i, gop.frames[t], symbols))
                yield _Step(None if step else batch, frames, ends_batch=step == steps - 1)

    def _batches(self, gops: Iterator[GopRecord]) -> Iterator[list[GopRecord]]:
        """As many at a time as the settings say, or fewer: frames of all but the first of a batch
        wait in memory for their turn, and a file says how many they are."""
        samples = self.fmt.width * self.fmt.height * 3 // 2
        most = MAX_WAITING_BYTES // (samples * (1 if self.fmt.bit_depth == 8 else 2))
        batch: list[GopRecord] = []
        waiting = 0
        for gop in gops:
            if batch and waiting + len(gop.shown) > most:
                yield batch
                batch, waiting = [], 0
            waiting += len(gop.shown) if batch else 0
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
        batch: list[_GopInProgress[Shown]] = []
        for step in steps:
            if step.begins is not None:
                batch = [_GopInProgress(gop) for gop in step.begins]
            tasks = [batch[frame.gop].task(frame) for frame in step.frames]
            with self.stopwatch.running("networks"):
                decoded = decoder.decode(tasks)
            for frame, (picture, left) in zip(step.frames, decoded, strict=True):
                shown = batch[frame.gop].put(frame.record, picture, left)
                if frame.gop == 0:
                    yield from shown
                else:
                    batch[frame.gop].waiting += shown
            if step.ends_batch:
                for gop in batch:
                    yield from gop.waiting

    def _damage(self, gop: GopRecord, error: Malformed) -> Damage:
        unit = self.fmt.time_base
        step = 1 / self.fmt.frame_rate if self.fmt.frame_rate else 0
        wanted = [frame.place.shown for frame in gop.shown]
        loss = Loss(
            gop.first_frame + wanted[0],
            gop.first_frame + wanted[-1] + 1,
            gop.times[0] * unit,
            gop.times[-1] * unit + step,
        )
        place = gop.place or GopPlace(None, 0, 0)
        return Damage(str(error), "GOPS", place.gop, place.start, place.end, loss=loss)
