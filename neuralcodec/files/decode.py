"""`decode`: an .nlc file or pipe -> a video that any player shows, with its PSNR."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from typing import BinaryIO

from neuralcodec.codec.device import choose_precision, default_batch, find_device
from neuralcodec.container import ContainerReader, GopContent, GopRecord
from neuralcodec.decoder.conceal import Conceal, Concealer, ShownFrame
from neuralcodec.decoder.decoder import Decoder, DecoderSettings, NumberedFrame
from neuralcodec.decoder.picture_limit import check_picture_size
from neuralcodec.endpoints import input_name, output_name
from neuralcodec.errors import DamagedFile, InputError, UsageError
from neuralcodec.files.comparison import Comparison, Quality
from neuralcodec.files.packet_queue import PacketQueue
from neuralcodec.files.paths import PIPE, PathLike, open_input, refuse_same_file, shown_name
from neuralcodec.files.time_range import DecodePart, PartOptions, expected_frames, streams_of
from neuralcodec.media import check_output, open_writer
from neuralcodec.media.stream_parameters import fault_of
from neuralcodec.media.writing.output import writes_streams
from neuralcodec.metrics import PsnrMeter
from neuralcodec.model.model_file import find_model
from neuralcodec.progress import Progress, ProgressState
from neuralcodec.streams import OtherStream, StreamPacket
from neuralcodec.video import Frame

DISAGREEMENT_DB = 0.05  # between recorded and measured PSNR: worth telling


@dataclass(frozen=True)
class DecodeSummary:
    """What `decode` did."""

    frames: int  # written
    width: int
    height: int
    fps: float  # frames decoded per second
    seconds: float
    model: str
    device: str
    recorded: Quality | None  # what the encoder wrote into the file
    measured: Quality | None  # against the reference, if one was given
    streams: int = 0  # other streams that were written
    notices: list[str] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)  # with keep_going: what is lost
    concealed: int = 0  # of the frames, those that stand in for lost ones
    stage_seconds: dict[str, float] = field(default_factory=dict)


def decode(
    src: PathLike,
    dst: PathLike,
    *,
    reference: PathLike | None = None,
    model: PathLike | None = None,
    device: str = "auto",
    batch: int | None = None,
    format: str | None = None,
    overwrite: bool = False,
    keep_going: bool = False,
    conceal: str = Conceal.HOLD,
    max_pixels: int | None = None,
    part: PartOptions | None = None,
    audio: bool = True,
    precision: str | None = None,
    progress: Progress | None = None,
) -> DecodeSummary:
    """Decompress an .nlc file; '-' is standard input or output (Y4M).

    dst's extension, or `format` (y4m, yuv, mp4, mov, mkv, png), says what is written; reference:
    the source, to measure PSNR and SSIM against; model: a .safetensors file, when the file was
    made with one that is not installed; keep_going: go on after damaged GOPs instead of failing,
    and conceal their frames: hold, black or drop (see `Conceal`); max_pixels: pictures of more are
    refused before anything is allocated for them; part: of the time, for which only the GOPs that
    hold it are decoded; audio: whether audio streams are written.

    Raises NcodecError for everything that is the input's or the environment's fault; the output
    then does not exist.
    """
    if batch is not None and batch < 1:
        raise UsageError(f"batch must be at least 1, not {batch}")
    where = find_device(device)
    plan = _Plan(
        src=input_name(src),
        dst=output_name(dst),
        reference=None if reference is None else input_name(reference),
        model=None if model is None else os.fspath(model),
        format=format,
        overwrite=overwrite,
        settings=DecoderSettings(
            batch or default_batch(where), where, choose_precision(precision), keep_going
        ),
        conceal=_choose_conceal(conceal),
        max_pixels=max_pixels,
        part=part or PartOptions(),
        audio=audio,
    )
    refuse_same_file(plan.src, plan.dst)
    if plan.src == plan.reference == PIPE:
        raise UsageError("the input and the reference cannot both be standard input")
    with open_input(plan.src) as file:
        check_output(plan.dst, overwrite, format=format)
        with closing(_Run(plan, file)) as run:
            run.write(progress)
            return run.summarise()


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What was asked for, checked as far as that can be without reading the file."""

    src: str
    dst: str
    reference: str | None
    model: str | None
    format: str | None
    overwrite: bool
    settings: DecoderSettings
    conceal: Conceal
    max_pixels: int | None
    part: PartOptions
    audio: bool

    @property
    def shown_input(self) -> str:
        return shown_name(self.src)


class _Run:
    """One pass from an open file to the output."""

    def __init__(self, plan: _Plan, file: BinaryIO) -> None:
        """Raises NcodecError where the file, its model or the reference are not fit."""
        self._plan, name = plan, plan.shown_input
        self._reader = ContainerReader(file, name)
        header = self._reader.header
        self._format = header.format
        check_picture_size(header.format, plan.max_pixels, name, file)
        installed = find_model(header.model_name, header.model_sha256, plan.model)
        self._decoder = Decoder(installed, header.format, plan.settings, name)
        seekable = file.seekable()
        self._total: int | None = None
        if seekable:
            self._total = expected_frames(self._reader, plan.part, header.format)
        self._part = DecodePart(self._reader, plan.part, seekable)
        self._streams, self._faults = streams_of(self._reader, plan.audio), list[str]()
        if writes_streams(plan.dst, plan.format):
            self._streams, self._faults = _sound_streams(self._streams)
        if self._faults and not plan.settings.keep_going:
            advice = "use --keep-going to decode without it"
            raise DamagedFile(f"{name}: {self._faults[0]}; {advice}")
        self._comparison: Comparison | None = None
        if plan.reference is not None:
            origin = self._reader.extras.origin
            try:
                self._comparison = Comparison(plan.reference, origin, header.format)
            except DamagedFile as fault:
                raise DamagedFile(f"{name}: {fault}") from fault
        self._recorded = _Recorder()
        self._frames = self._concealed = 0
        self._notices: list[str] = []
        self._seconds = 0.0

    def close(self) -> None:
        """Close the reference, if there is one."""
        if self._comparison:
            self._comparison.close()

    def write(self, progress: Progress | None) -> None:
        """Raises InputError where there is no frame, DamagedFile where one is damaged."""
        plan, watch, queue = self._plan, self._decoder.stopwatch, PacketQueue()
        gops = watch.watch("reading", self._part.gops(plan.settings.keep_going, queue))
        concealer = Concealer(plan.conceal, self._format, 0 if plan.part.is_all else None)
        with closing(self._decoder.numbered_frames(self._recorded.watch(gops))) as decoded:
            frames = concealer.fill(map(self._recorded.find, decoded))
            first = next(frames, None)
            if first is None:
                what = "in it" if plan.part.is_all else "of the part asked for"
                raise InputError(f"{plan.shown_input}: not one frame {what} can be decoded")
            # Tags of a part are known with its first frame.
            tags = self._part.clip_tags(self._reader.extras.tags)
            with open_writer(
                plan.dst,
                self._format,
                format=plan.format,
                overwrite=plan.overwrite,
                streams=self._streams,
                tags=tags,
            ) as writer:
                for found in chain([first], frames, self._lost_at_end(concealer)):
                    shown = self._part.show(found.frame)
                    if shown is None:
                        continue
                    if self._frames == plan.part.frames:  # stand-ins took the places of some
                        break
                    with watch.running("writing"):
                        writer.write_packets(_of_streams(queue.take(found.number), self._streams))
                        writer.write(shown)
                    self._count(found)
                    if progress:
                        progress(ProgressState(self._frames, self._total))
                with watch.running("writing"):
                    writer.write_packets(_of_streams(queue.take(), self._streams))
                    writer.end_pts = self._part.end_pts()
                    writer.close()
        self._seconds = watch.elapsed()
        self._notices = writer.notices

    def _count(self, found: ShownFrame) -> None:
        self._frames += 1
        self._recorded.add(found)
        self._concealed += found.stands_in
        if self._comparison and not found.stands_in:
            with self._decoder.stopwatch.running("measuring"):
                self._comparison.add(found.frame, found.number)

    def _lost_at_end(self, concealer: Concealer) -> Iterator[ShownFrame]:
        """What the file says at its end is known only once all before has been read."""
        if self._plan.part.is_all:
            yield from concealer.fill_end(self._reader.frame_total)

    def summarise(self) -> DecodeSummary:
        decoder, comparison = self._decoder, self._comparison
        recorded = self._recorded.quality
        measured = comparison.finish() if comparison else None
        notices = [*decoder.notices, *self._notices]
        if comparison:
            notices += comparison.notices
            if recorded and measured and not comparison.missing:
                gap = abs(recorded.psnr_yuv - measured.psnr_yuv)
                if gap > DISAGREEMENT_DB:
                    notices.append(f"recorded and measured PSNR differ by {gap:.2f} dB")
        return DecodeSummary(
            frames=self._frames,
            width=self._format.width,
            height=self._format.height,
            fps=self._frames / self._seconds,
            seconds=self._seconds,
            model=decoder.installed.name,
            device=str(self._plan.settings.device),
            recorded=recorded,
            measured=measured,
            streams=len(self._streams),
            notices=notices,
            damage=[str(d) for d in (*self._faults, *self._reader.damage, *decoder.left_out)],
            concealed=self._concealed,
            stage_seconds={k: round(v, 3) for k, v in decoder.stopwatch.seconds.items()},
        )


def _sound_streams(
    streams: Sequence[OtherStream],
) -> tuple[tuple[OtherStream, ...], list[str]]:
    """The streams that FFmpeg understands, and what is wrong with the others."""
    found = [(stream, fault_of(stream)) for stream in streams]
    sound = tuple(stream for stream, fault in found if fault is None)
    return sound, [fault for _, fault in found if fault is not None]


def _of_streams(
    packets: Iterable[StreamPacket], streams: Sequence[OtherStream]
) -> list[StreamPacket]:
    numbers = {stream.number for stream in streams}
    return [packet for packet in packets if packet.stream in numbers]


def _choose_conceal(name: str) -> Conceal:
    try:
        return Conceal(name)
    except ValueError:
        known = ", ".join(Conceal)
        raise UsageError(
            f"lost frames cannot be concealed by '{name}'; there are {known}"
        ) from None


class _Recorder:
    """Knows the recorded PSNR of each frame that is decoded."""

    def __init__(self) -> None:
        self.meter = PsnrMeter()
        # Frames that were read and not decoded so far: their number, Y, U and V in dB. One thread
        # appends to it, another takes from it.
        self._ahead: deque[tuple[int, tuple[float, float, float] | None]] = deque()

    def watch(self, contents: Iterable[GopContent]) -> Iterator[GopRecord]:
        """The GOPs, noted as they pass by."""
        for content in contents:
            gop, stats = content.gop, content.stats
            for frame in gop.shown:
                number = frame.place.shown
                psnr = stats.psnr[number] if stats else None
                self._ahead.append((gop.first_frame + number, psnr))
            yield gop

    def find(self, decoded: NumberedFrame[Frame]) -> ShownFrame:
        """What is known of a frame; those before it that never came were left out."""
        while (known := self._ahead.popleft())[0] != decoded.number:
            pass
        return ShownFrame(decoded.number, decoded.frame, known[1])

    def add(self, frame: ShownFrame) -> None:
        """It is shown: its PSNR counts."""
        if frame.psnr:
            self.meter.add_db(*frame.psnr)

    @property
    def quality(self) -> Quality | None:
        return Quality.of(self.meter.mean) if self.meter.frames else None
