"""`ncodec info`."""

from dataclasses import asdict

import click

from neuralcodec.cli.report import PIPE, bitrate_text, bytes_text, print_json, print_result


@click.command()
@click.argument("file", metavar="FILE.nlc")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def info(file: str, as_json: bool) -> None:
    """Show what FILE.nlc holds, without decoding it."""
    from neuralcodec.codec.file_info import read_info

    found = read_info(file)
    if as_json:
        print_json(asdict(found))
        return
    rate = f"{found.frame_rate:.3f} fps" if found.frame_rate else "unknown frame rate"
    name = "standard input" if file == PIPE else file
    lines = [
        f"{name}: {bytes_text(found.bytes)}, {bitrate_text(found.bitrate)}, {found.bpp:.4f} bpp",
        f"video    {found.width}x{found.height}, {found.bit_depth} bit 4:2:0, {rate}, "
        f"{found.frames} frames, {found.duration:.2f} s",
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
    for damage in found.damage:
        lines.append(f"damage   {damage}")
    print_result("\n".join(lines))
    if found.damage:
        click.get_current_context().exit(1)
