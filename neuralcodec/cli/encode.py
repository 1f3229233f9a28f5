"""`ncodec encode`."""

import shlex
from dataclasses import asdict

import click

from neuralcodec.cli.options import device_options, output_options
from neuralcodec.cli.report import (
    PIPE,
    bitrate_text,
    bytes_text,
    print_json,
    progress_bar,
    tell,
)


@click.command()
@click.argument("input", metavar="INPUT")
@click.argument("output", metavar="OUTPUT")
@click.option(
    "-q",
    "--quality",
    default=32,
    show_default=True,
    type=click.IntRange(0, 63),
    help="0 gives the smallest file, 63 the best picture; 10 steps are about half or twice the "
    "size.",
)
@click.option(
    "-g",
    "--gop",
    default=96,
    show_default=True,
    type=click.IntRange(1, 65536),
    metavar="FRAMES",
    help="Most frames from one intra frame to the next: the unit of seeking and of loss by damage.",
)
@click.option(
    "--preset",
    default="medium",
    show_default=True,
    type=click.Choice(["fast", "medium", "slow", "placebo"]),
    help="How long the encoder tries for a smaller file; decoding takes the same time.",
)
@click.option("-n", "--frames", type=click.IntRange(1), metavar="N", help="Stop after N frames.")
@click.option(
    "-m",
    "--model",
    default="fast",
    show_default=True,
    metavar="NAME|FILE",
    help="Installed model, or a .safetensors file.",
)
@click.option("--strict", is_flag=True, help="Fail when the source ends in the middle.")
@device_options
@output_options
def encode(
    input: str,
    output: str,
    quality: int,
    gop: int,
    preset: str,
    frames: int | None,
    model: str,
    strict: bool,
    device: str,
    batch: int | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compress the video INPUT (any file FFmpeg reads) into OUTPUT (.nlc).

    '-' is standard input (Y4M, or any container that can be streamed) or standard output.

    \b
    ncodec encode holiday.mp4 holiday.nlc -q 40
    """
    import neuralcodec

    with progress_bar("encoding", quiet) as progress:
        done = neuralcodec.encode(
            input,
            output,
            quality=quality,
            gop=gop,
            preset=preset,
            model=model,
            device=device,
            batch=batch,
            frames=frames,
            overwrite=overwrite,
            strict=strict,
            progress=progress,
        )
    if done.truncated:
        tell(f"warning: {done.truncated}; what could be read was encoded")
    if not quiet:
        for notice in done.notices:
            tell(notice)
        ratio = f", {done.ratio:.1f}x smaller than the source" if done.ratio else ""
        tell(
            f"{done.frames} frames {done.width}x{done.height}, {bytes_text(done.bytes)}, "
            f"{bitrate_text(done.bitrate)}, {done.bpp:.4f} bpp{ratio}, "
            f"PSNR-Y {done.psnr_y:.2f} dB, PSNR-YUV {done.psnr_yuv:.2f} dB, {done.fps:.1f} fps"
        )
        if output != PIPE:
            tell(f"play it: ncodec decode {shlex.quote(output)} - | ffplay -")
    if as_json:
        print_json(asdict(done), output == PIPE)
