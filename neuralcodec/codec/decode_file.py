"""`decode`: an .nlc file or pipe -> a video that any player shows, with its PSNR."""

import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from neuralcodec.codec.decoder import Decoder, DecoderSettings
from neuralcodec.codec.device import default_batch, find_device
from neuralcodec.codec.encode_file import (
    PIPE,
    PathLike,
    choose_precision,
    refuse_same_file,
)
from neuralcodec.codec.progress import Progress, ProgressState
from neuralcodec.container import ContainerReader, GopRecord
from neuralcodec.errors import InputError, UsageError
from neuralcodec.media import VideoReader, VideoWriter, check_output, open_writer
from neuralcodec.media.source import standard_input
from neuralcodec.metrics import PlanePsnr, PsnrMeter, ssim
from neuralcodec.metrics.ssim import WINDOW as SSIM_WINDOW
from neuralcodec.model.zoo import find_model
from neuralcodec.video import Frame, VideoFormat

DISAGREEMENT_DB = 0.05  # between recorded and measured PSNR: worth telling


@dataclass(frozen=True)
class Quality:
    """Means over frames; PSNR in dB per plane and weighted 6:1:1, SSIM 0..1 per plane."""

    psnr_y: float
    psnr_u: float
    psnr_v: float
    psnr_yuv: float
    ssim_y: float | None = None  # only measured, never recorded
    ssim_u: float | None = None
    ssim_v: float | None = None


@dataclass(frozen=True)
class DecodeSummary:
    """What `decode` did."""

    frames: int
    width: int
    height: int
    fps: float  # frames decoded per second
    seconds: float
    model: str
    device: str
    recorded: Quality | None  # what the encoder wrote into the file
    measured: Quality | None  # against the reference, if one was given
    notices: list[str] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)  # with keep_going: what was left out
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
    precision: str | None = None,
    progress: Progress | None = None,
) -> DecodeSummary:
    """Decompress an .nlc file; '-' is standard input or output (Y4M).

    dst's extension, or `format` (y4m, yuv, mp4, mov, mkv, png), says what is written; reference:
    the source, to measure PSNR and SSIM against; model: a .safetensors file, when the file was
    made with one that is not installed; keep_going: leave out damaged GOPs instead of failing.

    Raises NcodecError for everything that is the input's or the environment's fault; the output
    then does not exist.
    """
    if batch is not None and batch < 1:
        raise UsageError(f"batch must be at least 1, not {batch}")
    refuse_same_file(src, dst)
    if reference is not None and os.fspath(src) == os.fspath(reference) == PIPE:
        raise UsageError("the input and the reference cannot both be standard input")
    where = find_device(device)
    with open_input(src) as file:
        check_output(dst, overwrite, format=format)
        reader = ContainerReader(file, shown_name(src))
        header = reader.header
        fmt = header.format
        candidate = None if model is None else os.fspath(model)
        installed = find_model(header.model_name, header.model_sha256, candidate)
        settings = DecoderSettings(
            batch or default_batch(where), where, choose_precision(precision, where), keep_going
        )
        decoder = Decoder(installed, fmt, settings, shown_name(src))
        recorded = _Recorder()
        total = _count_frames(reader, file)
        comparison = _Comparison(reference, fmt) if reference is not None else None
        frames = 0
        with open_writer(dst, fmt, format=format, overwrite=overwrite) as writer:
            gops = recorded.watch(reader, keep_going)
            for frame in decoder.frames(decoder.stopwatch.watch("reading", gops)):
                with decoder.stopwatch.running("writing"):
                    writer.write(frame)
                number = recorded.count(frame)
                if comparison:
                    with decoder.stopwatch.running("measuring"):
                        comparison.add(frame, number)
                frames += 1
                if progress:
                    progress(ProgressState(frames, total))
            if frames == 0:
                raise InputError(f"{shown_name(src)}: not one frame in it can be decoded")
            _finish(writer, decoder)
        seconds = decoder.stopwatch.elapsed()
    measured = comparison.finish() if comparison else None
    notices = list(writer.notices)
    if comparison:
        notices += comparison.notices
        if recorded.quality and measured and not comparison.missing:
            gap = abs(recorded.quality.psnr_yuv - measured.psnr_yuv)
            if gap > DISAGREEMENT_DB:
                notices.append(f"recorded and measured PSNR differ by {gap:.2f} dB")
    return DecodeSummary(
        frames=frames,
        width=fmt.width,
        height=fmt.height,
        fps=frames / seconds,
        seconds=seconds,
        model=installed.name,
        device=str(where),
        recorded=recorded.quality,
        measured=measured,
        notices=notices,
        damage=[str(d) for d in reader.damage] + [str(e) for e in decoder.left_out],
        stage_seconds={k: round(v, 3) for k, v in decoder.stopwatch.seconds.items()},
    )


@contextmanager
def open_input(src: PathLike) -> Iterator[BinaryIO]:
    """Raises InputError when it cannot be read."""
    if os.fspath(src) == PIPE:
        yield standard_input()
        return
    try:
        file = open(src, "rb")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise InputError(f"{src}: cannot be read ({error.strerror})") from error
    with file:
        yield file


def _finish(writer: VideoWriter, decoder: Decoder) -> None:
    with decoder.stopwatch.running("writing"):
        writer.close()


def shown_name(src: PathLike) -> str:
    return "standard input" if os.fspath(src) == PIPE else os.fspath(src)


def _count_frames(reader: ContainerReader, file: BinaryIO) -> int | None:
    """For the progress bar; a pipe does not tell."""
    if not file.seekable():
        return None
    return sum(entry.frame_count for entry in reader.index())


@dataclass(frozen=True)
class _RecordedFrame:
    number: int  # in the source
    pts: int
    psnr: tuple[float, float, float] | None  # Y, U, V in dB


class _Recorder:
    """Knows the number and the recorded PSNR of each frame that is shown."""

    def __init__(self) -> None:
        self.meter = PsnrMeter()
        self._ahead: deque[_RecordedFrame] = deque()  # read, and not shown so far
        self._next = 0  # number that the next frame has if none is left out

    def watch(self, reader: ContainerReader, keep_going: bool) -> Iterator[GopRecord]:
        """The GOPs of a file, noted as they pass by."""
        for gop, stats in reader.gops(keep_going):
            for i, frame in enumerate(gop.frames):
                psnr = stats.psnr[i] if stats else None
                self._ahead.append(_RecordedFrame(gop.first_frame + i, frame.pts, psnr))
            yield gop

    def count(self, shown: Frame) -> int:
        """The number of a frame in the source. Those before it that never came were left out."""
        while self._ahead:
            frame = self._ahead.popleft()
            if frame.pts == shown.pts:
                if frame.psnr:
                    self.meter.add_db(*frame.psnr)
                self._next = frame.number
                break
        self._next += 1
        return self._next - 1

    @property
    def quality(self) -> Quality | None:
        return _quality(self.meter.mean) if self.meter.frames else None


class _Comparison:
    """Measures decoded frames against those of the same number in a source."""

    def __init__(self, reference: PathLike, fmt: VideoFormat) -> None:
        self.reader = VideoReader(reference)
        other = self.reader.format
        if (other.width, other.height, other.bit_depth) != (fmt.width, fmt.height, fmt.bit_depth):
            raise InputError(
                f"{shown_name(reference)}: is {other.width}x{other.height} at {other.bit_depth} "
                f"bit, the file {fmt.width}x{fmt.height} at {fmt.bit_depth} bit; "
                "give the source it was made from"
            )
        self.name = shown_name(reference)
        self.frames = enumerate(self.reader)
        self.meter = PsnrMeter()
        # of Y, U, V, summed over frames; planes smaller than its window have none
        self.ssim = np.zeros(3) if min(fmt.chroma_size) >= SSIM_WINDOW else None
        self.missing = 0

    def add(self, shown: Frame, number: int) -> None:
        source = next((frame for i, frame in self.frames if i == number), None)
        if source is None:
            self.missing += 1
            return
        self.meter.add(source, shown)
        if self.ssim is not None:
            self.ssim += [ssim(a, b) for a, b in zip(source.planes, shown.planes, strict=True)]

    @property
    def notices(self) -> list[str]:
        if not self.missing:
            return []
        return [f"{self.name} lacks {self.missing} frames: those were not measured"]

    def finish(self) -> Quality | None:
        """None when the source has not one of the frames."""
        self.reader.close()
        if not self.meter.frames:
            return None
        similarity = None if self.ssim is None else (self.ssim / self.meter.frames).tolist()
        return _quality(self.meter.mean, similarity)


def _quality(psnr: PlanePsnr, similarity: list[float] | None = None) -> Quality:
    return Quality(psnr.y, psnr.u, psnr.v, psnr.yuv, *(similarity or []))
