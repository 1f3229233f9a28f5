"""A picture of an .nlc file: bits per frame and PSNR over time."""

import os
from typing import TYPE_CHECKING

import numpy as np

from neuralcodec.atomic_file import AtomicFile, check_target
from neuralcodec.errors import OutputError, UsageError
from neuralcodec.files.info import FileInfo, FrameInfo
from neuralcodec.files.paths import PathLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_BARS = 400  # more could not be told apart; several frames then share one
SIZE_INCHES, DPI = (11.0, 6.0), 130
INTRA, PREDICTED, BETWEEN, LUMA, SOFT = "#d1495b", "#30638e", "#76a5c8", "#e0a030", "#b9cfe0"


def check_plot(path: PathLike, overwrite: bool) -> None:
    """Raises NcodecError now where `draw_plot` could not draw later."""
    if not os.fspath(path).lower().endswith(".png"):
        raise UsageError(f"{path}: a plot is a PNG picture; give it a name that ends in .png")
    check_target(path, overwrite)
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise OutputError(
            f"cannot draw {path}: matplotlib is not installed; pip install 'neuralcodec[bench]'"
        ) from error


def draw_plot(info: FileInfo, path: PathLike, name: str, overwrite: bool) -> None:
    """Draws the frame table of `info` (which must be there) as a PNG; `name` is the file's.

    Raises OutputError when it cannot be written."""
    from matplotlib.figure import Figure

    bars = _Bars(info.frame_table or [], info.duration)
    figure = Figure(SIZE_INCHES, DPI, layout="constrained")
    measured = bool(np.isfinite(bars.psnr_yuv).any())
    if measured:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        _draw_psnr(lower, bars)
    else:
        upper = lower = figure.subplots()
    _draw_bits(upper, bars, info)
    lower.set_xlabel("time (s)")
    lower.set_xlim(bars.left[0], bars.left[-1] + bars.width[-1])
    figure.suptitle(_title(name, info), fontsize=11)
    with AtomicFile(path, overwrite) as output:
        figure.savefig(output.file, format="png")


class _Bars:
    """Frames in runs of equal length: means over each, so that any number of frames fits."""

    def __init__(self, frames: list[FrameInfo], duration: float) -> None:
        self.run = -(-len(frames) // MAX_BARS)  # frames that share a bar
        starts = np.arange(0, len(frames), self.run)
        self.counts = np.diff([*starts, len(frames)])
        times = np.array([f.time for f in frames])
        end = times[0] + duration
        self.left = times[starts]  # seconds
        # Nothing keeps the time stamps of a file from going back.
        self.width = np.maximum(np.diff([*self.left, max(end, self.left[-1])]), 0.0)
        bits = np.array([f.bits for f in frames], float)
        types = np.array([f.type for f in frames])
        self.bits = {  # a frame, by type
            kind: np.add.reduceat(np.where(types == kind, bits, 0), starts) / self.counts
            for kind in "IPB"
        }
        psnr_y = _decibels([f.psnr_y for f in frames])
        psnr_yuv = _decibels([f.psnr_yuv for f in frames])
        self.psnr_y = np.add.reduceat(psnr_y, starts) / self.counts
        self.psnr_yuv = np.add.reduceat(psnr_yuv, starts) / self.counts
        self.lowest_yuv = np.minimum.reduceat(psnr_yuv, starts)
        self.highest_yuv = np.maximum.reduceat(psnr_yuv, starts)

    @property
    def all_bits(self) -> np.ndarray:
        return self.bits["I"] + self.bits["P"] + self.bits["B"]

    @property
    def middle(self) -> np.ndarray:
        middle: np.ndarray = self.left + self.width / 2
        return middle


def _decibels(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if v is None else v for v in values], float)


def _draw_bits(axes: "Axes", bars: _Bars, info: FileInfo) -> None:
    scale, unit = (1e6, "Mbit") if bars.all_bits.max() >= 1e6 else (1e3, "kbit")
    bottom = np.zeros_like(bars.all_bits)
    gap = 0.85 if len(bars.left) <= 120 else 1.0  # thin bars with gaps between them flicker
    for kind, color, label in (
        ("B", BETWEEN, "B-frames"),
        ("P", PREDICTED, "P-frames"),
        ("I", INTRA, "intra frames"),
    ):
        height = bars.bits[kind] / scale
        if not height.any():
            continue
        axes.bar(
            bars.left,
            height,
            bars.width * gap,
            bottom,
            align="edge",
            linewidth=0,
            color=color,
            label=label,
        )
        bottom = bottom + height
    total = float(np.sum(bars.all_bits * bars.counts))
    mean = total / info.frames / scale
    axes.axhline(mean, color="black", linewidth=1, linestyle="--", label=f"mean, {mean:.3g} {unit}")
    per = "per frame" if bars.run == 1 else f"per frame\n(means over {bars.run} frames)"
    axes.set_ylabel(f"{unit} {per}")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, frameon=False, fontsize=9)


def _draw_psnr(axes: "Axes", bars: _Bars) -> None:
    marker = "o" if len(bars.left) <= 60 else None
    if bars.run > 1:
        axes.fill_between(
            bars.middle,
            bars.lowest_yuv,
            bars.highest_yuv,
            color=SOFT,
            linewidth=0,
            label=f"lowest to highest YUV of {bars.run} frames",
        )
    for psnr, color, label in (
        (bars.psnr_yuv, PREDICTED, "PSNR-YUV"),
        (bars.psnr_y, LUMA, "PSNR-Y"),
    ):
        axes.plot(
            bars.middle, psnr, color=color, label=label, linewidth=1.2, marker=marker, markersize=3
        )
    axes.set_ylabel("PSNR (dB)")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, fontsize=9)


def _title(name: str, info: FileInfo) -> str:
    gops = "1 GOP" if info.gops == 1 else f"{info.gops} GOPs"
    psnr = "" if info.psnr_yuv is None else f", PSNR-YUV {info.psnr_yuv:.2f} dB"
    title = (
        f"{os.path.basename(name)}: {info.width}x{info.height}, {info.frames} frames, {gops}, "
        f"q {info.lowest_quality} to {info.highest_quality}, {info.bitrate / 1e3:.0f} kbit/s{psnr}"
    )
    return title.replace("$", r"\$")  # else it begins a formula
