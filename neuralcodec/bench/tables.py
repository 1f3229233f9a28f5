"""The figures of a bench as tables: for the terminal, for Markdown and as CSV."""

import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

from neuralcodec.bench.deltas import mean_bd_psnr, mean_bd_rate
from neuralcodec.bench.results import BenchResults, Codec, Point, Spread
from neuralcodec.errors import UsageError

_MEBIBYTE = 2**20
_NONE = "–"
_WIDTH_IN_FILES = 160  # characters, where no terminal tells its width


@dataclass(frozen=True)
class ReportTable:
    """Rows of text; the first column holds names, the others figures."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def report_tables(results: BenchResults) -> list[ReportTable]:
    """What codecs need and do over all clips, then BD-rates clip by clip."""
    tables = [_codec_table(results)]
    if len(results.clips) > 1 and results.deltas:
        tables.append(_clip_table(results))
    return tables


def to_markdown(results: BenchResults) -> str:
    """The tables, the parameters and where they were measured: what a README shows."""
    parts = []
    for table in report_tables(results):
        lines = [f"{table.title}:", "", _markdown_row(table.head)]
        lines.append("| --- " + "| ---: " * (len(table.head) - 1) + "|")
        parts.append("\n".join([*lines, *map(_markdown_row, table.rows)]))
    parts.append(
        "\n".join(f"- `{c.label}`: `{c.parameters}` ({c.version})" for c in results.codecs)
    )
    return "\n\n".join([*parts, *_remarks(results)]) + "\n"


def print_tables(results: BenchResults) -> None:
    """Raises UsageError where rich is not installed."""
    require_rich()
    from rich import box
    from rich.console import Console
    from rich.table import Table

    width = None if sys.stdout.isatty() else _WIDTH_IN_FILES
    console = Console(highlight=False, width=width)
    for table in report_tables(results):
        drawn = Table(title=table.title, title_justify="left", box=box.SIMPLE_HEAD)
        for number, name in enumerate(table.head):
            justify: Literal["left", "right"] = "right" if number else "left"
            drawn.add_column(name, justify=justify, no_wrap=number == 0, overflow="fold")
        for row in table.rows:
            drawn.add_row(*row)
        console.print(drawn)
    for codec in results.codecs:
        console.print(f"{codec.label}: {codec.parameters} ({codec.version})", markup=False)
    for remark in _remarks(results):
        console.print(remark, markup=False)


def require_rich() -> None:
    """Raises UsageError where it is not installed."""
    try:
        import rich  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "the table on the terminal needs rich: pip install 'neuralcodec[bench]'"
        ) from error


def write_csv(results: BenchResults, path: Path) -> None:
    """A line for each point, as `docs/bench.md` says."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(CSV_COLUMNS)
        writer.writerows(_csv_row(point) for point in results.points)


_PLAIN_COLUMNS = (
    *("clip", "codec", "quality", "payload_bytes", "container_bytes", "bpp", "kbps", "psnr_y"),
    *("psnr_u", "psnr_v", "psnr_yuv", "ssim", "ms_ssim", "vmaf"),
)
_SPREAD_COLUMNS = ("encode_fps", "decode_fps", "encode_memory", "decode_memory")
CSV_COLUMNS = (
    *_PLAIN_COLUMNS,
    *(f"{name}{part}" for name in _SPREAD_COLUMNS for part in ("", "_lowest", "_highest")),
    "repeats",
    "parameters",
)


def _csv_row(point: Point) -> list[object]:
    spreads: list[object] = []
    for name in _SPREAD_COLUMNS:
        spread: Spread | None = getattr(point, name)
        spreads += [spread.median, spread.lowest, spread.highest] if spread else [None] * 3
    plain = [getattr(point, name) for name in _PLAIN_COLUMNS]
    return [*plain, *spreads, point.encode_fps.count, point.parameters]


def _codec_table(results: BenchResults) -> ReportTable:
    anchor = results.setup.anchor
    head = (
        *("codec", "BD-rate", "BD-PSNR", "encode fps", "decode fps"),
        *("encode MiB", "decode MiB", "container bytes"),
    )
    rows = [_codec_row(results, codec) for codec in results.codecs]
    clips = len(results.clips)
    means = f", means of {clips} clips" if clips > 1 else ""
    return ReportTable(
        f"Bits at equal PSNR-YUV against {anchor}{means}; speed and peak memory",
        head,
        tuple(rows),
    )


def _codec_row(results: BenchResults, codec: Codec) -> tuple[str, ...]:
    points = [point for point in results.points if point.codec == codec.label]
    if not points:
        return (codec.label, *[_NONE] * 7)
    if codec.label == results.setup.anchor:
        rate, psnr = "0 %", "0 dB"
    else:
        mean_rate, mean_psnr = (f(results, codec.label) for f in (mean_bd_rate, mean_bd_psnr))
        measured = [d.bd_rate is not None for d in results.deltas if d.codec == codec.label]
        few = f" ({sum(measured)} clips)" if any(measured) and not all(measured) else ""
        rate = _NONE if mean_rate is None else f"{mean_rate:+.1f} %{few}"
        psnr = _NONE if mean_psnr is None else f"{mean_psnr:+.2f} dB"
    return (
        codec.label,
        rate,
        psnr,
        _speed([p.encode_fps for p in points]),
        _speed([p.decode_fps for p in points]),
        _memory([p.encode_memory for p in points]),
        _memory([p.decode_memory for p in points]),
        f"{median(p.container_bytes for p in points):.0f}",
    )


def _clip_table(results: BenchResults) -> ReportTable:
    by_pair = {(delta.clip, delta.codec): delta.bd_rate for delta in results.deltas}

    def cell(clip: str, codec: str) -> str:
        rate = by_pair.get((clip, codec))
        return _NONE if rate is None else f"{rate:+.1f} %"

    rows = [
        (codec.label, *(cell(clip.name, codec.label) for clip in results.clips))
        for codec in results.codecs
        if codec.label != results.setup.anchor
    ]
    head = ("codec", *(Path(clip.name).stem for clip in results.clips))
    return ReportTable(f"BD-rate over {results.setup.anchor}, clip by clip", head, tuple(rows))


def _speed(spreads: Sequence[Spread]) -> str:
    """Median over points, and the range over points and repeats."""
    middle = median(s.median for s in spreads)
    low, high = min(s.lowest for s in spreads), max(s.highest for s in spreads)
    return f"{_short(middle)} ({_short(low)}..{_short(high)})"


def _short(figure: float) -> str:
    return f"{figure:.0f}" if figure >= 20 else f"{figure:.1f}"


def _memory(spreads: Sequence[Spread | None]) -> str:
    known = [spread.highest for spread in spreads if spread]
    return f"{max(known) / _MEBIBYTE:.0f}" if known else _NONE


def _remarks(results: BenchResults) -> list[str]:
    """What the tables leave out, and where it was measured."""
    setup = results.setup
    remarks = [
        f"{delta.codec} on {delta.clip}: no BD-rate, {delta.reason}."
        for delta in results.deltas
        if delta.reason
    ]
    for skipped in results.skipped:
        what = f"{skipped.codec} on {skipped.clip}" if skipped.codec else skipped.clip
        remarks.append(f"{what}: not measured, {skipped.reason}.")
    remarks += [f"{metric.name}: absent, {metric.reason}." for metric in setup.absent_metrics]
    frames = "all frames" if setup.frames is None else f"at most {setup.frames} frames"
    times = "once" if setup.repeats == 1 else f"{setup.repeats} times"
    versions = ", ".join(f"{name} {version}" for name, version in setup.versions.items())
    remarks.append(
        f"{frames.capitalize()} of each clip, GOPs of at most {setup.gop}, {setup.points} "
        f"qualities, timed {times}; bits of the video payload alone. {setup.date} "
        f"on {setup.machine}; ncodec on {setup.device}; {versions}."
    )
    return remarks


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
