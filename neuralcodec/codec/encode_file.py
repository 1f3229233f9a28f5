"""`encode`: any video that FFmpeg reads -> an .nlc file or pipe."""

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

import torch

from neuralcodec.atomic_file import AtomicFile, check_target, output_errors, standard_output
from neuralcodec.codec.device import best_precision, default_batch, find_device
from neuralcodec.codec.encoder import Encoder, EncoderSettings
from neuralcodec.codec.presets import DEFAULT_PRESET, PRESETS, Effort
from neuralcodec.codec.time_span import TimeSpan
from neuralcodec.container import ContainerWriter, GopStats, StreamHeader
from neuralcodec.container.layout import SIGNATURE
from neuralcodec.errors import InputError, UsageError
from neuralcodec.media import VideoReader
from neuralcodec.metrics import PsnrMeter
from neuralcodec.model.config import QUALITIES
from neuralcodec.model.zoo import DEFAULT_MODEL, load_model

PIPE = "-"
DEFAULT_QUALITY = 32
DEFAULT_GOP = 96
Progress = Callable[[int, int | None], None]  # frames done, frames expected if known
PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class EncodeSummary:
    """What `encode` did. Bytes are those of the whole file; PSNR is of what a decoder shows."""

    frames: int
    width: int
    height: int
    bytes: int
    bpp: float  # bits per luma sample
    bitrate: float  # bits per second
    ratio: float | None  # size of the source / size of the result; None for a pipe
    psnr_y: float
    psnr_u: float
    psnr_v: float
    psnr_yuv: float  # (6 Y + U + V) / 8
    fps: float  # frames coded per second
    seconds: float
    model: str
    quality: int
    gop: int
    device: str
    notices: list[str] = field(default_factory=list)
    truncated: str | None = None  # why the source is not whole, if it is not
    stage_seconds: dict[str, float] = field(default_factory=dict)


def encode(
    src: PathLike,
    dst: PathLike,
    *,
    quality: int = DEFAULT_QUALITY,
    gop: int = DEFAULT_GOP,
    preset: str = DEFAULT_PRESET,
    model: PathLike = DEFAULT_MODEL,
    device: str = "auto",
    batch: int | None = None,
    frames: int | None = None,
    overwrite: bool = False,
    strict: bool = False,
    precision: str | None = None,
    progress: Progress | None = None,
) -> EncodeSummary:
    """Compress a video; '-' is standard input or output.

    quality 0 (smallest) .. 63 (best); gop: most frames from one intra frame to the next;
    preset: 'fast', 'medium', 'slow' or 'placebo', how long the encoder tries;
    model: name or .safetensors file; batch: GOPs coded side by side; frames: stop after so many;
    strict: a source that ends in the middle is an error; precision: 'float32' or 'bfloat16' for
    the transforms, None for what the device does best.

    Raises NcodecError for everything that is the input's or the environment's fault; the output
    then does not exist.
    """
    _check_numbers(quality, gop, batch, frames)
    effort = find_effort(preset)
    refuse_same_file(src, dst)
    if os.fspath(dst) != PIPE:
        check_target(dst, overwrite)
    shown = "standard output" if os.fspath(dst) == PIPE else dst
    installed = load_model(os.fspath(model))
    where = find_device(device)
    settings = EncoderSettings(
        quality,
        gop,
        batch or default_batch(where),
        where,
        choose_precision(precision, where),
        effort,
    )
    with _open_source(src, frames) as reader:
        fmt = reader.format
        encoder = Encoder(installed, fmt, settings)
        header = StreamHeader(fmt, gop, installed.name, installed.sha256)
        meter = PsnrMeter()
        span = TimeSpan(fmt)
        with _open_output(dst, overwrite) as file:
            with output_errors(shown):
                writer = ContainerWriter(file, header)
            watch = encoder.stopwatch

            def on_frame(done: int) -> None:
                if progress:
                    progress(done, reader.frame_count_hint)

            for coded in encoder.gops(iter(reader), on_frame):
                with watch.running("writing"), output_errors(shown):
                    writer.write_gop(coded.record, coded.stats)
                _count(meter, coded.stats)
                span.add([f.pts for f in coded.record.frames])
            if meter.frames == 0:
                raise InputError(f"{src}: no frames; nothing to encode")
            if strict and reader.truncated:
                raise InputError(f"{reader.truncated} (--strict)")
            with output_errors(shown):
                writer.finish()
        size, seconds = writer.bytes_written, watch.elapsed()
        mean = meter.mean
        return EncodeSummary(
            frames=meter.frames,
            width=fmt.width,
            height=fmt.height,
            bytes=size,
            bpp=8 * size / (fmt.width * fmt.height * meter.frames),
            bitrate=8 * size / span.seconds,
            ratio=_ratio(reader.source_bytes, size, frames),
            psnr_y=mean.y,
            psnr_u=mean.u,
            psnr_v=mean.v,
            psnr_yuv=mean.yuv,
            fps=meter.frames / seconds,
            seconds=seconds,
            model=installed.name,
            quality=quality,
            gop=gop,
            device=str(where),
            notices=reader.notices,
            truncated=reader.truncated,
            stage_seconds={k: round(v, 3) for k, v in watch.seconds.items()},
        )


def refuse_same_file(src: PathLike, dst: PathLike) -> None:
    """Raises UsageError when the output is the input; '-' never is."""
    named = PIPE not in (os.fspath(src), os.fspath(dst))
    if named and os.path.exists(src) and os.path.exists(dst) and os.path.samefile(src, dst):
        raise UsageError(f"{dst}: output is the same file as the input")


def choose_precision(name: str | None, device: torch.device) -> torch.dtype:
    if name is None:
        return best_precision(device)
    if name not in ("float32", "bfloat16"):
        raise UsageError(f"precision {name} is not float32 or bfloat16")
    return torch.float32 if name == "float32" else torch.bfloat16


def find_effort(preset: str) -> Effort:
    if preset not in PRESETS:
        raise UsageError(f"preset {preset} is not one of {', '.join(PRESETS)}")
    return PRESETS[preset]


def _check_numbers(quality: int, gop: int, batch: int | None, frames: int | None) -> None:
    if not 0 <= quality < QUALITIES:
        raise UsageError(f"quality {quality} is not in 0..{QUALITIES - 1}")
    if not 1 <= gop <= 65536:
        raise UsageError(f"a GOP of {gop} frames is not in 1..65536")
    for name, value in (("batch", batch), ("frames", frames)):
        if value is not None and value < 1:
            raise UsageError(f"{name} must be at least 1, not {value}")


def _open_source(src: PathLike, limit: int | None) -> VideoReader:
    try:
        return VideoReader(src, limit=limit)
    except InputError:
        if os.path.isfile(src):  # a pipe cannot be read again
            with open(src, "rb") as file:
                if file.read(len(SIGNATURE)) == SIGNATURE:
                    raise InputError(
                        f"{src} is an .nlc file already; to code it anew, decode it first: "
                        f"ncodec decode {shlex.quote(os.fspath(src))} decoded.mkv"
                    ) from None
        raise


@contextmanager
def _open_output(dst: PathLike, overwrite: bool) -> Iterator[BinaryIO]:
    if os.fspath(dst) == PIPE:
        yield standard_output()
        return
    with AtomicFile(dst, overwrite) as output:
        yield output.file


def _count(meter: PsnrMeter, stats: GopStats) -> None:
    for y, u, v in stats.psnr:
        meter.add_db(y, u, v)


def _ratio(source_bytes: int | None, size: int, frames: int | None) -> float | None:
    """Not given when only a part of the source was coded."""
    if source_bytes is None or frames is not None:
        return None
    return source_bytes / size
