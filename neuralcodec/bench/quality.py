"""The one way in which all codecs' pictures are measured: decoded planes against source planes."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from neuralcodec.bench.vmaf import measure_vmaf
from neuralcodec.errors import InputError
from neuralcodec.media import VideoReader, open_writer
from neuralcodec.metrics import PsnrMeter
from neuralcodec.metrics.ssim import LEAST_SIDE_MS_SSIM, WINDOW, ms_ssim, ssim
from neuralcodec.video import Frame, VideoFormat

METRICS = ("psnr", "ssim", "ms-ssim", "vmaf")


@dataclass(frozen=True)
class Quality:
    """Means over frames, as in `results.Point`."""

    psnr_y: float
    psnr_u: float
    psnr_v: float
    psnr_yuv: float
    ssim: float | None
    ms_ssim: float | None
    vmaf: float | None


@dataclass(frozen=True)
class FrameQuality:
    """Of one frame alone, which a mean over frames can hide."""

    frame: int  # number in the clip, from 0
    psnr_yuv: float  # dB


class PictureSink(Protocol):
    """Takes the decoded frames that are kept as pictures, with what was measured of each."""

    def __call__(self, frame: Frame, quality: FrameQuality) -> None: ...


def measure(
    source: Path,
    shown: Path,
    metrics: Iterable[str],
    keep: Iterable[int] = (),
    sink: PictureSink | None = None,
) -> Quality:
    """Compares two Y4M files; the frames numbered in `keep` go to `sink` as well.

    SSIM and MS-SSIM are None for planes that are too small. Raises InputError where frames are
    missing or have another size or depth.
    """
    asked, kept = set(metrics), set(keep)
    meter = PsnrMeter()
    similarities: dict[str, list[float]] = {"ssim": [], "ms-ssim": []}
    with VideoReader(source) as reader, VideoReader(shown) as decoded:
        fmt, other = reader.format, decoded.format
        if _kind(fmt) != _kind(other):
            raise InputError(f"decoded as {_kind(other)}, not {_kind(fmt)}")
        least = min(fmt.width, fmt.height)
        reference_frames, decoded_frames = iter(reader), iter(decoded)
        for number, frame in enumerate(reference_frames):
            result = next(decoded_frames, None)
            if result is None:
                raise InputError(f"only {number} frames were decoded")
            own = meter.add(frame, result)
            if "ssim" in asked and least >= WINDOW:
                similarities["ssim"].append(ssim(frame.y, result.y))
            if "ms-ssim" in asked and least >= LEAST_SIDE_MS_SSIM:
                similarities["ms-ssim"].append(ms_ssim(frame.y, result.y))
            if sink and number in kept:
                sink(result, FrameQuality(number, own.yuv))
        if next(decoded_frames, None) is not None:
            raise InputError(f"more than {meter.frames} frames were decoded")
    mean = meter.mean
    means = {name: float(np.mean(v)) if v else None for name, v in similarities.items()}
    return Quality(
        psnr_y=mean.y,
        psnr_u=mean.u,
        psnr_v=mean.v,
        psnr_yuv=mean.yuv,
        ssim=means["ssim"],
        ms_ssim=means["ms-ssim"],
        vmaf=measure_vmaf(source, shown) if "vmaf" in asked else None,
    )


def write_picture(frame: Frame, fmt: VideoFormat, path: Path) -> None:
    """One frame as an 8-bit RGB PNG, with the colours that `fmt` says."""
    y, u, v = frame.planes
    if fmt.bit_depth == 10:
        y, u, v = (np.minimum((p + 2) >> 2, 255).astype(np.uint8) for p in (y, u, v))
    shown = VideoFormat(fmt.width, fmt.height, fmt.time_base, 8, color=fmt.color)
    pattern = path.with_name(f"{path.stem}-%d.png")  # a writer of numbered pictures, for one
    with open_writer(pattern, shown, overwrite=True) as writer:
        writer.write(Frame(y, u, v, frame.pts))
    path.with_name(f"{path.stem}-1.png").replace(path)


def _kind(fmt: VideoFormat) -> str:
    return f"{fmt.width}x{fmt.height} at {fmt.bit_depth} bit"
