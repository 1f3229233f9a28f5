"""`ncodec decode`."""

from dataclasses import asdict
from fractions import Fraction

import click

from neuralcodec import own_process
from neuralcodec.cli.completion import complete_file, complete_model, complete_nlc
from neuralcodec.cli.options import device_options, max_pixels_option, output_options
from neuralcodec.cli.progress import show_progress
from neuralcodec.cli.report import PIPE, counted, print_json, tell
from neuralcodec.cli.values import TIME
from neuralcodec.endpoints import input_name, output_name, shown_input

QUALITY_FIELDS = ("psnr_y", "psnr_u", "psnr_v", "psnr_yuv", "ssim_y", "ssim_u", "ssim_v")


@click.command(short_help="Decompress an .nlc file, and report PSNR.")
@click.argument("input", metavar="INPUT", shell_complete=complete_nlc)
@click.argument("output", metavar="OUTPUT", shell_complete=complete_file)
@click.option(
    "-r",
    "--reference",
    metavar="SOURCE",
    shell_complete=complete_file,
    help="The source: PSNR and SSIM are measured against it, plane by plane. Of a part, or a "
    "scaled or thinned source, give the whole as it was.",
)
@click.option(
    "-f",
    "--format",
    type=click.Choice(["y4m", "yuv", "mp4", "mov", "mkv", "png"]),
    help="What to write, whatever the name of OUTPUT says.",
)
@click.option(
    "-m",
    "--model",
    metavar="FILE",
    shell_complete=complete_model,
    help="The model, when INPUT was made with one not installed.",
)
@click.option("-ss", "--start", type=TIME, help="Begin at this time, as 12.5 or 1:02:03.")
@click.option("-t", "--duration", type=TIME, help="Give only so much, as 10 or 1:30.")
@click.option("-n", "--frames", type=click.IntRange(1), metavar="N", help="Stop after N frames.")
@click.option("--no-audio", is_flag=True, help="Leave audio streams out.")
@click.option(
    "--keep-going",
    is_flag=True,
    help="Give all that is undamaged instead of failing (exit code 1).",
)
@click.option(
    "--conceal",
    type=click.Choice(["hold", "black", "drop"]),
    default="hold",
    show_default=True,
    help="With --keep-going: show the last good frame or a black one where frames are lost, "
    "or drop them.",
)
@max_pixels_option
@device_options
@output_options
def decode(
    input: str,
    output: str,
    reference: str | None,
    format: str | None,
    model: str | None,
    start: Fraction | None,
    duration: Fraction | None,
    frames: int | None,
    no_audio: bool,
    keep_going: bool,
    conceal: str,
    max_pixels: int | None,
    device: str,
    batch: int | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Decompress INPUT (.nlc) into the video OUTPUT, and report PSNR.

    By the extension of OUTPUT: .y4m, .yuv and .mkv (FFV1) are lossless, .mp4 and .mov visually
    lossless H.264, .png needs a pattern such as frame%04d.png. '-' is standard input, or standard
    output: Y4M, or with -f yuv (bare planes) or mkv (with all streams).

    \b
    ncodec decode holiday.nlc holiday.mp4 --reference original.mp4
    """
    own_process.wait_asleep()
    import neuralcodec

    with show_progress("decoding", quiet) as progress:
        done = neuralcodec.decode(
            input,
            output,
            reference=reference,
            model=model,
            device=device,
            batch=batch,
            format=format,
            overwrite=overwrite,
            keep_going=keep_going,
            conceal=conceal,
            max_pixels=max_pixels,
            part=neuralcodec.PartOptions(start, duration, frames),
            audio=not no_audio,
            progress=progress,
        )
    for damage in done.damage:
        tell(f"lost: {damage}")
    if not quiet:
        for notice in done.notices:
            tell(notice)
        stand_ins = f" ({done.concealed} of them in place of lost ones)" if done.concealed else ""
        size = f"{done.width}x{done.height}"
        tell(f"{counted(done.frames, 'frame')}{stand_ins} {size}, {done.fps:.1f} fps")
        if done.recorded:
            q = done.recorded
            tell(f"PSNR recorded by the encoder: {_psnr_text(q)}")
        if done.measured:
            q = done.measured
            source = shown_input(input_name(reference or PIPE))
            tell(f"PSNR measured against {source}: {_psnr_text(q)}")
            if q.ssim_y is not None:
                tell(f"SSIM measured: Y {q.ssim_y:.4f}, U {q.ssim_u:.4f}, V {q.ssim_v:.4f}")
    if as_json:
        figures = asdict(done)
        best = figures["measured"] or figures["recorded"] or dict.fromkeys(QUALITY_FIELDS)
        print_json("decode", {**figures, **best}, output_name(output) == PIPE)
    if done.damage:
        click.get_current_context().exit(1)


def _psnr_text(quality: object) -> str:
    return "Y {psnr_y:.2f}, U {psnr_u:.2f}, V {psnr_v:.2f}, YUV {psnr_yuv:.2f} dB".format(
        **vars(quality)
    )
