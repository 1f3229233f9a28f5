"""`encode`: any video that FFmpeg reads -> an .nlc file or pipe."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from time import perf_counter
from typing import BinaryIO

import torch

from neuralcodec.atomic_file import (
    AtomicFile,
    check_target,
    output_errors,
    standard_output,
)
from neuralcodec.codec.device import DEFAULT_PRECISION, default_batch, find_device
from neuralcodec.container import ContainerWriter, Extras, StreamHeader
from neuralcodec.container.layout import CHUNK_OVERHEAD, SIGNATURE, TAIL_CHUNK_SIZE
from neuralcodec.container.sizes import INDEX_BYTES
from neuralcodec.encoder.encoder import Encoder, EncoderSettings
from neuralcodec.encoder.gop_structure import LONGEST_GOP
from neuralcodec.encoder.presets import DEFAULT_PRESET, PRESETS
from neuralcodec.encoder.quality_control import QualityControl
from neuralcodec.endpoints import input_name, is_special, output_name
from neuralcodec.errors import InputError, UsageError
from neuralcodec.files.encode_summary import EncodeSummary
from neuralcodec.files.encode_tally import EncodeTally
from neuralcodec.files.packet_queue import PacketQueue
from neuralcodec.files.progress import Progress, ProgressState
from neuralcodec.files.resume import PartFile, RunConditions
from neuralcodec.files.source_origin import origin_of
from neuralcodec.media import SourceOptions, VideoReader
from neuralcodec.model.config import QUALITIES
from neuralcodec.model.model_file import DEFAULT_MODEL, InstalledModel, load_model
from neuralcodec.rate.passes import control_after_first_pass, live_control
from neuralcodec.rate.target import RateTarget
from neuralcodec.shell import file_word
from neuralcodec.video import Frame

PIPE = "-"
# Crowded hand-held video at 37 dB: beside the source a little texture in dark cloth is lost, and
# nothing else that was seen; at 24 faces soften visibly.
DEFAULT_QUALITY = 32
DEFAULT_GOP = LONGEST_GOP
_LONG_GOP = (
    f"GOPs have at most {LONGEST_GOP} frames: in longer ones, pictures would differ from machine "
    "to machine"
)
OTHER_FORMATS = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".y4m", ".yuv"}
PathLike = str | os.PathLike[str]


def encode(
    src: PathLike,
    dst: PathLike,
    *,
    quality: int | None = None,
    rate: RateTarget | None = None,
    preset: str = DEFAULT_PRESET,
    gop: int = DEFAULT_GOP,
    scenecut: bool = True,
    model: PathLike | None = None,
    device: str = "auto",
    batch: int | None = None,
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
    to spend; gop: most frames from one intra frame to the next, 96 in any case; scenecut: whether a
    GOP begins at each cut as well; model: name or .safetensors file, None for 'fast'; batch: GOPs
    coded side by side; frames: stop after so many; source: which part of it to take and how to
    change it; strict: a source that ends in the middle is an error;
    resumable: where a call does not come to its end, what is complete stays in dst.part, and the
    same call goes on from there, to the same file; precision: 'float32' or 'bfloat16' for the
    transforms, None for what the device does best.

    Raises NcodecError for everything that is the input's or the environment's fault; the output
    then does not exist, but with `resumable` dst.part may.
    """
    began = perf_counter()
    _check_numbers(quality, rate, gop, batch, frames)
    if preset not in PRESETS:
        raise UsageError(f"preset {preset} is none of {', '.join(PRESETS)}")
    src, dst = input_name(src), output_name(dst)
    refuse_same_file(src, dst)
    if dst != PIPE:
        _refuse_other_format(dst)
        check_target(dst, overwrite)
    if resumable:
        _check_resumable(src, dst, rate)
    shown = "standard output" if dst == PIPE else dst
    asked_gop, gop = gop, min(gop, LONGEST_GOP)
    where = find_device(device)
    installed = load_model(os.fspath(model or DEFAULT_MODEL))
    settings = EncoderSettings(
        DEFAULT_QUALITY if quality is None else quality,
        gop,
        batch or default_batch(where),
        where,
        choose_precision(precision),
        scenecut,
        PRESETS[preset],
    )
    options = source or SourceOptions()
    if frames is not None:
        options = replace(options, limit=frames)
    control = None
    if rate and os.path.isfile(src):
        control = _first_pass(src, options, rate, installed, settings, progress)
    with ExitStack() as stack:
        reader = _open_source(src, options)
        fmt = reader.format
        if rate and control is None:
            control = live_control(rate, fmt, gop)
        encoder = Encoder(installed, fmt, settings, control)
        stack.callback(lambda: None if encoder.source_is_stuck else reader.close())
        header = StreamHeader(fmt, gop, installed.name, installed.sha256)
        tally = EncodeTally(fmt)
        part = None
        if resumable:
            conditions = RunConditions.of(src, options, settings, installed)
            part = stack.enter_context(PartFile(dst, conditions, overwrite))
        skip = part.frames if part else 0
        with _open_output(dst, overwrite, part) as file:
            with output_errors(shown):
                writer = ContainerWriter(file, header, _extras(reader, options))
                for kept in part.replay(writer) if part else ():
                    tally.add(kept)
            watch = encoder.stopwatch

            def on_frame(done: int) -> None:
                if progress:
                    rate_so_far = 8 * writer.bytes_written / tally.seconds if tally.gops else None
                    progress(ProgressState(done, reader.frame_count_hint, rate_so_far))

            queue = PacketQueue()
            frames_read = _with_packets(reader, queue, skip, progress)
            for coded in encoder.gops(frames_read, on_frame, skip):
                last = coded.record.first_frame + len(coded.record.frames) - 1
                with watch.running("writing"), output_errors(shown):
                    writer.write_packets(queue.take(last))
                    writer.write_gop(coded.record, coded.stats)
                tally.add(coded)
                if part and coded.ends_batch:
                    part.mark(tally.frames, writer.bytes_written)
            if not tally.gops:
                raise InputError(f"{src}: no frames; nothing to encode")
            if strict and reader.truncated:
                raise InputError(f"{reader.truncated} (--strict)")
            with output_errors(shown):
                writer.write_packets(queue.take())
                writer.finish(reader.end_pts)
            tally.end(reader.end_pts)
        seconds = watch.elapsed()
        fixed = _fixed_bytes(header, tally.gops) + tally.gops * INDEX_BYTES
        video_bytes = writer.bytes_written - writer.packet_bytes - fixed
        outcome = tally.judge(rate, writer.bytes_written, video_bytes) if rate else None
        notices = [
            *reader.notices,
            *encoder.notices,
            *([_LONG_GOP] if asked_gop > gop else []),
            *(part.notices if part else []),
            *([outcome.notice] if outcome and outcome.notice else []),
        ]
        mean = tally.meter.mean
        return EncodeSummary(
            frames=tally.frames,
            width=fmt.width,
            height=fmt.height,
            bytes=writer.bytes_written,
            bpp=8 * writer.bytes_written / tally.samples,
            bitrate=8 * writer.bytes_written / tally.seconds,
            video_bytes=video_bytes,
            video_bitrate=8 * video_bytes / tally.seconds,
            streams=len(reader.streams),
            ratio=_ratio(reader.source_bytes, writer.bytes_written, options),
            psnr_y=mean.y,
            psnr_u=mean.u,
            psnr_v=mean.v,
            psnr_yuv=mean.yuv,
            fps=(tally.frames - skip) / seconds,
            seconds=perf_counter() - began,
            model=installed.name,
            quality=None if rate else settings.quality,
            preset=preset,
            gop=gop,
            gops=tally.gops,
            device=str(where),
            rate=outcome,
            notices=notices,
            truncated=reader.truncated,
            stage_seconds={k: round(v, 3) for k, v in watch.seconds.items()},
        )


def _first_pass(
    src: PathLike,
    options: SourceOptions,
    rate: RateTarget,
    installed: InstalledModel,
    settings: EncoderSettings,
    progress: Progress | None,
) -> QualityControl:
    """What a look at the whole source says about how to meet the target."""
    with _open_source(src, options) as reader:
        header = StreamHeader(reader.format, settings.gop, installed.name, installed.sha256)
        with open(os.devnull, "wb") as nowhere:
            others = ContainerWriter(nowhere, header, _extras(reader, options))

            def frames() -> Iterator[Frame]:
                for number, frame in enumerate(reader, 1):
                    others.write_packets(reader.take_packets())
                    if progress:
                        hint = reader.frame_count_hint
                        progress(ProgressState(number, hint, label="first pass"))
                    yield frame
                others.write_packets(reader.take_packets())

            return control_after_first_pass(
                rate,
                frames(),
                reader.format,
                installed,
                settings,
                lambda: _fixed_bytes(header, gops=2) + others.packet_bytes,
            )


def _extras(reader: VideoReader, options: SourceOptions) -> Extras:
    return Extras(reader.tags, reader.streams, origin_of(options, reader))


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


def _fixed_bytes(header: StreamHeader, gops: int) -> int:
    """Bytes of a file of so many GOPs without these and other streams: signature, header and its
    copies, an empty index, tail."""
    empty = ContainerWriter(BytesIO(), header)
    headers = empty.bytes_written - empty.packet_bytes + empty.head_copies_bytes(gops)
    return headers + CHUNK_OVERHEAD + TAIL_CHUNK_SIZE


def _refuse_other_format(dst: PathLike) -> None:
    """Raises UsageError for a name under which other programs, and users, expect another format."""
    suffix = Path(dst).suffix
    if suffix.lower() in OTHER_FORMATS:
        raise UsageError(f"{dst}: encode writes .nlc files; name the output {Path(dst).stem}.nlc")


def refuse_same_file(src: PathLike, dst: PathLike) -> None:
    """Raises UsageError when the output is the input; of pipes and devices that does no harm."""
    named = PIPE not in (os.fspath(src), os.fspath(dst))
    if named and os.path.isfile(src) and os.path.isfile(dst) and os.path.samefile(src, dst):
        raise UsageError(f"{dst}: output is the same file as the input")


def choose_precision(name: str | None) -> torch.dtype:
    if name is None:
        return DEFAULT_PRECISION
    if name not in ("float32", "bfloat16"):
        raise UsageError(f"precision {name} is not float32 or bfloat16")
    return torch.float32 if name == "float32" else torch.bfloat16


def _check_numbers(
    quality: int | None, rate: RateTarget | None, gop: int, batch: int | None, frames: int | None
) -> None:
    if quality is not None and rate is not None:
        raise UsageError(f"quality and {rate.kind.value} exclude each other: give one")
    if quality is not None and not 0 <= quality < QUALITIES:
        raise UsageError(f"quality {quality} is not in 0..{QUALITIES - 1}")
    if not 1 <= gop <= 65536:
        raise UsageError(f"a GOP of {gop} frames is not in 1..65536")
    for name, value in (("batch", batch), ("frames", frames)):
        if value is not None and value < 1:
            raise UsageError(f"{name} must be at least 1, not {value}")


def _check_resumable(src: PathLike, dst: PathLike, rate: RateTarget | None) -> None:
    if os.fspath(src) == PIPE or (os.path.exists(src) and not os.path.isfile(src)):
        raise UsageError(f"{src}: only a file can be read again to go on: encode it not resumable")
    if os.fspath(dst) == PIPE or is_special(dst):
        raise UsageError("what went into a pipe cannot be gone on with: name a file as the output")
    if rate:
        what = f"to go on towards a {rate.kind.value} would not give the same file"
        raise UsageError(f"{what}: give a quality instead, or encode it not resumable")


def _open_source(src: PathLike, options: SourceOptions) -> VideoReader:
    try:
        return VideoReader(src, options=options)
    except InputError:
        if os.path.isfile(src):  # a pipe cannot be read again
            with open(src, "rb") as file:
                if file.read(len(SIGNATURE)) == SIGNATURE:
                    raise InputError(
                        f"{src} is an .nlc file already; to code it anew, decode it first: "
                        f"ncodec decode {file_word(src)} decoded.mkv"
                    ) from None
        raise


@contextmanager
def _open_output(dst: PathLike, overwrite: bool, part: PartFile | None) -> Iterator[BinaryIO]:
    if part:
        yield part.file
        part.commit()
        return
    if os.fspath(dst) == PIPE:
        yield standard_output()
        return
    with AtomicFile(dst, overwrite) as output:
        yield output.file


def _ratio(source_bytes: int | None, size: int, options: SourceOptions) -> float | None:
    """Not given when only a part of the source was coded."""
    part = (options.limit, options.start, options.duration)
    if source_bytes is None or any(p is not None for p in part):
        return None
    return source_bytes / size
