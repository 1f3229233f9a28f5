"""Rate-distortion curves as a PNG: one panel a clip, PSNR-YUV over bits on a log scale."""

import math
from pathlib import Path
from typing import Any

from neuralcodec.bench.results import BenchResults, Clip
from neuralcodec.bench.settings import NCODEC
from neuralcodec.errors import UsageError

_COLORS = {
    NCODEC: "#d62728",
    "x264": "#1f77b4",
    "x265": "#2ca02c",
    "svtav1": "#9467bd",
    "vp9": "#8c6d31",
}
_MARKERS = "osD^vP"  # of a codec's presets, one after the other
_PANEL_INCHES = (5.4, 4.2)
_MOST_COLUMNS = 3


def require_matplotlib() -> None:
    """Raises UsageError where it is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UsageError("--plot needs matplotlib: pip install 'neuralcodec[bench]'") from error


def write_plot(results: BenchResults, path: Path) -> None:
    """Codecs have colours; their low-delay settings are dashed. The band is the range of PSNR
    that all curves have in common. Raises UsageError where matplotlib is not installed."""
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(_MOST_COLUMNS, len(results.clips))
    rows = math.ceil(len(results.clips) / columns)
    width, height = _PANEL_INCHES
    figure = Figure((width * columns, height * rows + 0.9), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    lines: dict[str, Any] = {}
    for panel, clip in zip(panels, results.clips, strict=False):
        lines |= _draw_clip(panel, results, clip)
    for panel in panels[len(results.clips) :]:
        panel.set_visible(False)
    ordered = [codec.label for codec in results.codecs if codec.label in lines]
    figure.legend(
        [lines[label] for label in ordered],
        ordered,
        loc="outside lower center",
        ncols=min(len(ordered), 3 * columns),
        frameon=False,
        fontsize=9,
    )
    figure.savefig(path, format="png", metadata={"Software": None})


def _draw_clip(panel: Any, results: BenchResults, clip: Clip) -> dict[str, Any]:
    lines = {}
    presets: dict[str, list[str]] = {}
    for codec in results.codecs:
        curve = results.curve(clip.name, codec.label)
        known = presets.setdefault(codec.name, [])
        if codec.preset not in known:
            known.append(codec.preset)
        if not curve:
            continue
        is_own = codec.name == NCODEC
        (lines[codec.label],) = panel.plot(
            [point.bpp for point in curve],
            [point.psnr_yuv for point in curve],
            label=codec.label,
            color=_COLORS.get(codec.name, "#444444"),
            linestyle="--" if codec.low_delay else "-",
            linewidth=2.2 if is_own else 1.3,
            marker=_MARKERS[known.index(codec.preset) % len(_MARKERS)],
            markersize=5 if is_own else 3.5,
            markerfacecolor="white" if codec.low_delay else None,
        )
    if common := results.common_psnr_range(clip.name):
        panel.axhspan(*common, color="#000000", alpha=0.05, linewidth=0)
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter(_plain_number)
    panel.xaxis.set_minor_formatter(_some_numbers)
    panel.tick_params(axis="x", which="both", labelsize=8)
    panel.grid(True, which="both", alpha=0.2)
    panel.set_title(
        f"{clip.name}  {clip.width}×{clip.height}, {clip.bit_depth} bit, {clip.frames} frames",
        fontsize=10,
    )
    panel.set_xlabel("bits per luma sample (log)")
    panel.set_ylabel("PSNR-YUV (dB)")
    return lines


def _plain_number(value: float, position: int | None) -> str:
    return f"{value:g}"


def _some_numbers(value: float, position: int | None) -> str:
    leading = round(value / 10 ** math.floor(math.log10(value)))
    return f"{value:g}" if leading in (2, 5) else ""
