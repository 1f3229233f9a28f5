"""GOP records to frames: parsing in one thread, networks in another, ahead of the caller."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import torch

from neuralcodec.codec.ahead import RunAhead, Stopwatch
from neuralcodec.codec.device import one_thread_here, use_threads
from neuralcodec.codec.gop_symbols import FrameSymbols, GopSymbolDecoder, build_coder
from neuralcodec.codec.pictures import TensorFrame, grid_size
from neuralcodec.codec.transforms import Transforms
from neuralcodec.container import GopRecord
from neuralcodec.entropy.coder import Malformed
from neuralcodec.errors import DamagedFile
from neuralcodec.model.zoo import InstalledModel
from neuralcodec.video import Frame, VideoFormat

FRAMES_AHEAD = 6
Shown = TypeVar("Shown", Frame, TensorFrame)
_DecodeStep = Callable[
    [Transforms, Sequence[FrameSymbols], Sequence[int], Sequence[int]], list[Shown]
]


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
    items: list[int]
    symbols: list[FrameSymbols]
    qualities: list[int]
    pts: list[int]
    last: bool  # of its batch


class Decoder:
    """Decodes one video. `name` is the file's, for messages."""

    def __init__(
        self, installed: InstalledModel, fmt: VideoFormat, settings: DecoderSettings, name: str
    ) -> None:
        self.installed, self.fmt, self.settings, self.name = installed, fmt, settings, name
        self.coder = build_coder(installed)
        self.stopwatch = Stopwatch()
        self.notices: list[str] = []  # one sentence each, for people
        self.left_out: list[DamagedFile] = []  # with keep_going: why, in file order

    def frames(self, gops: Iterable[GopRecord]) -> Generator[Frame, None, None]:
        """Frames in order. Raises DamagedFile where a GOP's symbols are not what was coded;
        frames of that GOP before the damage may have been given by then."""
        return self._shown(gops, Transforms.decode)

    def tensor_frames(self, gops: Iterable[GopRecord]) -> Generator[TensorFrame, None, None]:
        """As `frames`; the planes stay on the device."""
        return self._shown(gops, Transforms.decode_tensors)

    def _shown(
        self, gops: Iterable[GopRecord], decode: _DecodeStep[Shown]
    ) -> Generator[Shown, None, None]:
        chosen = filter(self._is_whole, gops) if self.settings.keep_going else iter(gops)
        with one_thread_here() as threads, ExitStack() as stack:
            parsed = RunAhead(self._parse(chosen), FRAMES_AHEAD)
            shown = RunAhead(self._run_networks(parsed, decode, threads), FRAMES_AHEAD)
            stack.callback(shown.close, patience=None)
            stack.callback(parsed.close)  # comes first: `shown` may wait for it
            yield from shown

    def parse_gop(self, gop: GopRecord) -> Iterator[FrameSymbols]:
        """The symbols of one GOP, without any transform. Raises DamagedFile."""
        rows, columns = grid_size(self.fmt)
        decoder = GopSymbolDecoder(self.installed, self.coder, rows, columns)
        for t, frame in enumerate(gop.frames):
            try:
                symbols = decoder.decode(frame.payload, frame.q, intra=t == 0)
            except Malformed as error:
                raise self._damaged(gop, f"frame {gop.first_frame + t}: {error}") from error
            is_last = t == len(gop.frames) - 1
            if is_last and gop.symbols_crc not in (None, decoder.checksum):
                raise self._damaged(gop, "its symbols do not have the checksum recorded")
            yield symbols

    def _is_whole(self, gop: GopRecord) -> bool:
        """Parses it to the end first: a frame once shown cannot be taken back."""
        try:
            for _ in self.parse_gop(gop):
                pass
        except DamagedFile as error:
            self.left_out.append(error)
            return False
        return True

    def _parse(self, gops: Iterator[GopRecord]) -> Iterator[_Step]:
        use_threads(1)  # of this thread: the networks need the other cores
        while batch := list(islice(gops, self.settings.batch)):
            parsers = [self.parse_gop(gop) for gop in batch]
            length = max(len(gop.frames) for gop in batch)
            for t in range(length):
                items = [i for i, gop in enumerate(batch) if t < len(gop.frames)]
                with self.stopwatch.running("entropy coding"):
                    symbols = [next(parsers[i]) for i in items]
                records = [batch[i].frames[t] for i in items]
                yield _Step(
                    t,
                    items,
                    symbols,
                    [r.q for r in records],
                    [r.pts for r in records],
                    last=t == length - 1,
                )

    def _run_networks(
        self, steps: Iterable[_Step], decode: _DecodeStep[Shown], threads: int
    ) -> Iterator[Shown]:
        settings = self.settings
        use_threads(threads)
        transforms = Transforms(self.installed.model, self.fmt, settings.device, settings.precision)
        self.notices = transforms.notices
        waiting: list[list[Shown]] = []  # of the GOPs of a batch after the first
        before: list[int] = []
        for step in steps:
            if step.number == 0:
                transforms.begin()
                waiting = [[] for _ in step.items]
            elif step.items != before:
                transforms.keep([before.index(i) for i in step.items])
            before = step.items
            with self.stopwatch.running("networks"):
                frames = decode(transforms, step.symbols, step.qualities, step.pts)
            for i, frame in zip(step.items, frames, strict=True):
                if i == 0:
                    yield frame
                else:
                    waiting[i].append(frame)
            if step.last:
                for gop in waiting:
                    yield from gop

    def _damaged(self, gop: GopRecord, what: str) -> DamagedFile:
        return DamagedFile(
            f"{self.name}: the GOP of frames {gop.first_frame} to "
            f"{gop.first_frame + len(gop.frames) - 1} is damaged: {what}; "
            "use --keep-going to decode the undamaged GOPs"
        )
