"""`ncodec info`."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from neuralcodec.cli.completion import complete_file, complete_nlc
from neuralcodec.cli.report import (
    bitrate_text,
    bytes_text,
    counted,
    on_one_line,
    print_json,
    print_result,
    table_text,
    tell,
)
from neuralcodec.endpoints import input_name, shown_input

if TYPE_CHECKING:
    from neuralcodec.files.info import FileInfo, FrameInfo, GopInfo


@click.command()
@click.argument("file", metavar="FILE.nlc", shell_complete=complete_nlc)
@click.option("--gops", is_flag=True, help="One line for each GOP as well.")
@click.option(
    "--frames",
    is_flag=True,
    help="One line for each frame as well: type, level, references, time, bits, quality and PSNR.",
)
@click.option(
    "--plot",
    metavar="PICTURE.png",
    shell_complete=complete_file,
    help="Draw bits per frame and PSNR over time. Needs matplotlib: pip install "
    "'neuralcodec[bench]'.",
)
@click.option("-y", "--yes", "overwrite", is_flag=True, help="Overwrite the picture.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def info(
    file: str, gops: bool, frames: bool, plot: str | None, overwrite: bool, as_json: bool
) -> None:
    """Show what FILE.nlc holds, without decoding it.

    PSNR is what the encoder recorded. '-' is standard input. Exit code 1 where the file is
    damaged: what could be read is shown.

    \b
    ncodec info holiday.nlc --gops --plot holiday.png
    """
    from neuralcodec.files.info import read_info

    if plot is not None:
        from neuralcodec.files.info_plot import check_plot, draw_plot

        check_plot(plot, overwrite)
    name = on_one_line(shown_input(input_name(file)))
    found = read_info(file, gops=gops, frames=frames or plot is not None)
    if plot is not None:
        draw_plot(found, plot, name, overwrite)
        tell(f"drew {plot}")
    if as_json:
        figures = asdict(found)
        if not frames:
            figures["frame_table"] = None
        print_json("info", figures)
    else:
        lines = [_summary(name, found)]
        if gops:
            lines += ["", _gop_table(found.gop_table or [])]
        if frames:
            lines += ["", _frame_table(found.frame_table or [])]
        print_result("\n".join(lines))
    if found.damage:
        click.get_current_context().exit(1)


def _summary(name: str, found: "FileInfo") -> str:
    rate = f"{found.frame_rate:.3f} fps" if found.frame_rate else "unknown frame rate"
    lines = [
        f"{name}: {bytes_text(found.bytes)}, {bitrate_text(found.bitrate)}, {found.bpp:.4f} bpp",
        f"video    {found.width}x{found.height}, {found.bit_depth} bit 4:2:0, {rate}, "
        f"{counted(found.frames, 'frame')}, {found.duration:.2f} s",
    ]
    shown = [found.shown] if found.shown else []
    if found.field_order:
        shown.append(f"interlaced, {found.field_order} field first")
    if shown:
        lines.append(f"shown    {', '.join(shown)}")
    for stream in found.streams:
        language = f" ({on_one_line(stream.language)})" if stream.language else ""
        lines.append(
            f"{stream.kind:8} {stream.codec}{language}, {stream.packets} packets, "
            f"{bytes_text(stream.bytes)}"
        )
    lines += [
        f"GOPs     {found.gops}, at most {found.max_gop_frames} frames each; "
        f"quality {found.lowest_quality}..{found.highest_quality}",
        f"model    {found.model} ({found.model_sha256[:16]}...), "
        + ("installed" if found.model_installed else "not installed"),
    ]
    if found.psnr_yuv is not None:
        lines.append(
            f"PSNR     Y {found.psnr_y:.2f}, U {found.psnr_u:.2f}, V {found.psnr_v:.2f}, "
            f"YUV {found.psnr_yuv:.2f} dB (recorded by the encoder)"
        )
    lines += [f"damage   {on_one_line(damage)}" for damage in found.damage]
    return "\n".join(lines)


def _gop_table(gops: "list[GopInfo]") -> str:
    heads = ("GOP", "first frame", "frames", "time s", "bits", "intra bits", "quality", "PSNR-YUV")
    rows = [
        (
            str(g.number),
            str(g.first_frame),
            str(g.frames),
            f"{g.time:.3f}",
            str(g.bits),
            str(g.intra_bits),
            f"{g.lowest_quality}..{g.highest_quality}",
            _db_text(g.psnr_yuv),
        )
        for g in gops
    ]
    return table_text(heads, rows)


def _frame_table(frames: "list[FrameInfo]") -> str:
    heads = ("frame", "GOP", "type", "level", "refers to", "PTS", "time s", "bits", "q")
    planes = ("Y dB", "U dB", "V dB", "YUV dB")
    rows = [
        (
            str(f.number),
            str(f.gop),
            f.type,
            str(f.level),
            ",".join(map(str, f.references)) or "-",
            str(f.pts),
            f"{f.time:.3f}",
            str(f.bits),
            str(f.quality),
            *map(_db_text, (f.psnr_y, f.psnr_u, f.psnr_v, f.psnr_yuv)),
        )
        for f in frames
    ]
    return table_text(heads + planes, rows)


def _db_text(psnr: float | None) -> str:
    return "-" if psnr is None else f"{psnr:.2f}"
