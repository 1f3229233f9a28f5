"""`encode`: any video that FFmpeg reads -> an .nlc file or pipe."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import BinaryIO

from neuralcodec.atomic_file import AtomicFile, check_target, output_errors, standard_output
from neuralcodec.codec.device import choose_precision, find_device
from neuralcodec.container import ContainerWriter, Extras, StreamHeader
from neuralcodec.container.layout import SIGNATURE
from neuralcodec.container.sizes import (
    INDEX_BYTES,
    description_bytes,
    empty_file_bytes,
    packets_bytes,
)
from neuralcodec.encoder.encoder import Encoder
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.encoder.presets import BFRAMES, DEFAULT_PRESET, PRESETS
from neuralcodec.encoder.quality_control import QualityControl
from neuralcodec.encoder.structure.gop_structure import LONGEST_GOP
from neuralcodec.encoder.structure.mini_gops import LARGEST, LOW_DELAY, Structure, largest_size
from neuralcodec.endpoints import input_name, is_special, output_name
from neuralcodec.errors import InputError, UsageError
from neuralcodec.files.encode_summary import EncodeSummary, EncodeTally
from neuralcodec.files.packet_queue import PacketQueue
from neuralcodec.files.paths import PIPE, PathLike, refuse_other_format, refuse_same_file
from neuralcodec.files.resume import PartFile, RunConditions
from neuralcodec.files.source_origin import origin_of
from neuralcodec.media import SourceOptions, VideoReader
from neuralcodec.model.config import QUALITIES
from neuralcodec.model.model_file import DEFAULT_MODEL, InstalledModel, load_model
from neuralcodec.progress import Progress, ProgressState
from neuralcodec.rate.passes import control_after_first_pass, live_control
from neuralcodec.rate.target import RateTarget
from neuralcodec.shell import file_word
from neuralcodec.video import Frame, VideoFormat

# Crowded hand-held video at 37 dB: beside the source a little texture in dark cloth is lost, and
# nothing else that was seen; at 24 faces soften visibly.
DEFAULT_QUALITY = 32
DEFAULT_GOP = LONGEST_GOP
_LONG_GOP = (
    f"GOPs have at most {LONGEST_GOP} frames: in longer ones, pictures would differ from machine "
    "to machine"
)


def encode(
    src: PathLike,
    dst: PathLike,
    *,
    quality: int | None = None,
    rate: RateTarget | None = None,
    preset: str = DEFAULT_PRESET,
    bframes: int | None = None,
    low_delay: bool = False,
    gop: int = DEFAULT_GOP,
    scenecut: bool = True,
    model: PathLike | None = None,
    device: str = "auto",
    frames: int | None = None,
    source: SourceOptions | None = None,
    overwrite: bool = False,
    strict: bool = False,
    resumable: bool = False,
    precision: str | None = None,
    progress: Progress | None = None,
) -> EncodeSummary:
    """Compress a video; '-' is standard input or output.

    quality: 0 (smallest) .. 63 (best), 32 by default; or a target instead of it: `rate`, in two
    passes where the source is a file; preset: 'fast', 'medium', 'slow' or 'placebo', how much time
    to spend; bframes: most frames between two that do not refer to later ones, 0..15, None: as the
    preset has it; low_delay: no frame waits for a later one; gop: most frames from one intra frame
    to the next, 96 in any case; scenecut: whether a GOP begins at each cut as well; model: name or
    .safetensors file, None for 'fast'; frames: stop after so many; source: which part of it to take
    and how to change it; strict: a source that ends in the middle is an error;
    resumable: where a call does not come to its end, what is complete stays in dst.part, and the
    same call goes on from there, to the same file; precision: 'float32' or 'bfloat16' for the
    transforms, None for what the device does best.

    Raises NcodecError for everything that is the input's or the environment's fault; the output
    then does not exist, but with `resumable` dst.part may.
    """
    began = perf_counter()
    _check_numbers(quality, rate, gop, frames)
    if preset not in PRESETS:
        raise UsageError(f"preset {preset} is none of {', '.join(PRESETS)}")
    structure = _structure(preset, bframes, low_delay)
    src, dst = input_name(src), output_name(dst)
    _check_names(src, dst, rate, overwrite, resumable)
    where = find_device(device)
    options = source or SourceOptions()
    plan = _Plan(
        src=src,
        dst=dst,
        options=options if frames is None else replace(options, limit=frames),
        settings=EncoderSettings(
            DEFAULT_QUALITY if quality is None else quality,
            min(gop, LONGEST_GOP),
            where,
            choose_precision(precision),
            scenecut,
            PRESETS[preset],
            structure,
        ),
        installed=load_model(os.fspath(model or DEFAULT_MODEL)),
        rate=rate,
        overwrite=overwrite,
        strict=strict,
        resumable=resumable,
    )
    control = _first_pass(plan, rate, progress) if rate and os.path.isfile(src) else None
    with _opened(plan, control) as run:
        run.write(progress)
    notices = [_LONG_GOP] if gop > LONGEST_GOP else []
    return run.summarise(preset, notices, perf_counter() - began)


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What was asked for, checked as far as that can be without reading the source."""

    src: str
    dst: str
    options: SourceOptions
    settings: EncoderSettings
    installed: InstalledModel
    rate: RateTarget | None
    overwrite: bool
    strict: bool
    resumable: bool

    @property
    def shown_output(self) -> str:
        return "standard output" if self.dst == PIPE else self.dst

    def header(self, fmt: VideoFormat) -> StreamHeader:
        return StreamHeader(fmt, self.settings.gop, self.installed.name, self.installed.sha256)

    def extras(self, reader: VideoReader) -> Extras:
        return Extras(reader.tags, reader.streams, origin_of(self.options, reader))

    def open_source(self) -> VideoReader:
        """Raises InputError, also for what is an .nlc file already."""
        try:
            return VideoReader(self.src, options=self.options)
        except InputError:
            if os.path.isfile(self.src):  # a pipe cannot be read again
                with open(self.src, "rb") as file:
                    if file.read(len(SIGNATURE)) == SIGNATURE:
                        raise InputError(
                            f"{self.src} is an .nlc file already; to code it anew, decode it "
                            f"first: ncodec decode {file_word(self.src)} decoded.mkv"
                        ) from None
            raise


def _first_pass(plan: _Plan, rate: RateTarget, progress: Progress | None) -> QualityControl:
    """What a look at the whole source says about how to meet the target."""
    with plan.open_source() as reader:
        other_bytes = description_bytes(plan.extras(reader))
        other_bytes += empty_file_bytes(plan.header(reader.format), gops=2)

        def frames() -> Iterator[Frame]:
            nonlocal other_bytes
            for number, frame in enumerate(reader, 1):
                other_bytes += packets_bytes(reader.take_packets())
                if progress:
                    hint = reader.frame_count_hint
                    progress(ProgressState(number, hint, label="first pass"))
                yield frame
            other_bytes += packets_bytes(reader.take_packets())

        return control_after_first_pass(
            rate,
            frames(),
            reader.format,
            plan.installed,
            plan.settings,
            lambda: other_bytes,
        )


@contextmanager
def _opened(plan: _Plan, control: QualityControl | None) -> Iterator["_Run"]:
    """Source, encoder and output; at the end the output has its name, or after an error is gone."""
    with ExitStack() as stack:
        reader = plan.open_source()
        encoder: Encoder | None = None
        stack.callback(lambda: None if encoder and encoder.source_is_stuck else reader.close())
        if plan.rate and control is None:
            control = live_control(plan.rate, reader.format, plan.settings.gop)
        encoder = Encoder(plan.installed, reader.format, plan.settings, control)
        part = None
        if plan.resumable:
            conditions = RunConditions.of(plan.src, plan.options, plan.settings, plan.installed)
            part = stack.enter_context(PartFile(plan.dst, conditions, plan.overwrite))
        file = stack.enter_context(_open_output(plan, part))
        with output_errors(plan.shown_output):
            writer = ContainerWriter(file, plan.header(reader.format), plan.extras(reader))
        yield _Run(plan, reader, encoder, writer, part)


@contextmanager
def _open_output(plan: _Plan, part: PartFile | None) -> Iterator[BinaryIO]:
    if part:
        yield part.file
        part.commit()
        return
    if plan.dst == PIPE:
        yield standard_output()
        return
    with AtomicFile(plan.dst, plan.overwrite) as output:
        yield output.file


class _Run:
    """One pass from the source to the output."""

    def __init__(
        self,
        plan: _Plan,
        reader: VideoReader,
        encoder: Encoder,
        writer: ContainerWriter,
        part: PartFile | None,
    ) -> None:
        self._plan, self._reader, self._encoder = plan, reader, encoder
        self._writer, self._part = writer, part
        self._tally = EncodeTally(reader.format)
        self._skip = part.frames if part else 0  # frames that an earlier run has coded

    def write(self, progress: Progress | None) -> None:
        """Raises InputError where there is no frame, or with `strict` not the whole source."""
        plan, reader, writer, tally = self._plan, self._reader, self._writer, self._tally
        with output_errors(plan.shown_output):
            for kept in self._part.replay(writer) if self._part else ():
                tally.add(kept)

        def on_frame(done: int) -> None:
            if progress:
                rate_so_far = 8 * writer.bytes_written / tally.seconds if tally.gops else None
                progress(ProgressState(done, reader.frame_count_hint, rate_so_far))

        queue = PacketQueue()
        frames = _with_packets(reader, queue, self._skip, progress)
        # Closed before the source is: its threads may be reading from it.
        with closing(self._encoder.gops(frames, on_frame, self._skip)) as gops:
            for coded in gops:
                last = coded.record.first_frame + len(coded.record.frames) - 1
                with self._encoder.stopwatch.running("writing"), output_errors(plan.shown_output):
                    writer.write_packets(queue.take(last))
                    writer.write_gop(coded.record, coded.stats)
                tally.add(coded)
                if self._part and coded.is_last_of_plan:
                    self._part.mark(tally.frames, writer.bytes_written)
        if not tally.gops:
            raise InputError(f"{plan.src}: no frames; nothing to encode")
        if plan.strict and reader.truncated:
            raise InputError(f"{reader.truncated} (--strict)")
        with output_errors(plan.shown_output):
            writer.write_packets(queue.take())
            tally.end(writer.finish(reader.end_pts))

    def summarise(self, preset: str, notices: list[str], seconds: float) -> EncodeSummary:
        """notices: more of them; seconds: of all passes."""
        plan, reader, writer, tally = self._plan, self._reader, self._writer, self._tally
        fmt, watch = reader.format, self._encoder.stopwatch
        size = writer.bytes_written
        fixed = empty_file_bytes(plan.header(fmt), tally.gops) + tally.gops * INDEX_BYTES
        video_bytes = size - writer.packet_bytes - fixed
        outcome = tally.judge(plan.rate, size, video_bytes) if plan.rate else None
        mean = tally.meter.mean
        return EncodeSummary(
            frames=tally.frames,
            width=fmt.width,
            height=fmt.height,
            bytes=size,
            bpp=8 * size / tally.samples,
            bitrate=8 * size / tally.seconds,
            video_bytes=video_bytes,
            video_bitrate=8 * video_bytes / tally.seconds,
            streams=len(reader.streams),
            ratio=_ratio(reader.source_bytes, size, plan.options),
            psnr_y=mean.y,
            psnr_u=mean.u,
            psnr_v=mean.v,
            psnr_yuv=mean.yuv,
            fps=(tally.frames - self._skip) / watch.elapsed(),
            seconds=seconds,
            model=plan.installed.name,
            quality=None if plan.rate else plan.settings.quality,
            preset=preset,
            gop=plan.settings.gop,
            gops=tally.gops,
            device=str(plan.settings.device),
            rate=outcome,
            notices=[
                *reader.notices,
                *self._encoder.notices,
                *notices,
                *(self._part.notices if self._part else []),
                *([outcome.notice] if outcome and outcome.notice else []),
            ],
            truncated=reader.truncated,
            stage_seconds={k: round(v, 3) for k, v in watch.seconds.items()},
        )


def _with_packets(
    reader: VideoReader, queue: PacketQueue, skip: int, progress: Progress | None
) -> Iterator[Frame]:
    """The frames; the packets that came with them go into the queue, but not those that belong
    before one of the first `skip` frames."""
    number = 0
    for frame in reader:
        packets = reader.take_packets()
        if number >= skip:
            queue.put(number, packets)
        elif progress:
            hint = reader.frame_count_hint
            progress(ProgressState(number + 1, hint, label="finding the place"))
        yield frame
        number += 1
    queue.put(number, reader.take_packets())


def _check_numbers(
    quality: int | None, rate: RateTarget | None, gop: int, frames: int | None
) -> None:
    if quality is not None and rate is not None:
        raise UsageError(f"quality and {rate.kind.value} exclude each other: give one")
    if quality is not None and not 0 <= quality < QUALITIES:
        raise UsageError(f"quality {quality} is not in 0..{QUALITIES - 1}")
    if not 1 <= gop <= 65536:
        raise UsageError(f"a GOP of {gop} frames is not in 1..65536")
    if frames is not None and frames < 1:
        raise UsageError(f"frames must be at least 1, not {frames}")


def _structure(preset: str, bframes: int | None, low_delay: bool) -> Structure:
    if low_delay:
        if bframes:
            raise UsageError("B-frames wait for later ones: give bframes or low_delay")
        return LOW_DELAY
    if bframes is None:
        bframes = BFRAMES[preset]
    if not 0 <= bframes < LARGEST:
        raise UsageError(f"{bframes} B-frames are not in 0..{LARGEST - 1}")
    return Structure(largest_size(bframes + 1))


def _check_names(
    src: str, dst: str, rate: RateTarget | None, overwrite: bool, resumable: bool
) -> None:
    """Raises UsageError or OutputError for a source and an output that do not go together."""
    refuse_same_file(src, dst)
    if dst != PIPE:
        refuse_other_format(dst)
        check_target(dst, overwrite)
    if not resumable:
        return
    if src == PIPE or (os.path.exists(src) and not os.path.isfile(src)):
        name = "standard input" if src == PIPE else src
        raise UsageError(f"{name} cannot be read again: leave out --resumable")
    if dst == PIPE or is_special(dst):
        raise UsageError("--resumable needs a regular output file, not a pipe")
    if rate:
        raise UsageError(
            f"an interrupted run towards a {rate.kind.value} cannot be continued to the same file: "
            "give a quality instead, or leave out --resumable"
        )


def _ratio(source_bytes: int | None, size: int, options: SourceOptions) -> float | None:
    """Not given when only a part of the source was coded."""
    part = (options.limit, options.start, options.duration)
    if source_bytes is None or any(p is not None for p in part):
        return None
    return source_bytes / size
