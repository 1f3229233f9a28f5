"""`ncodec encode`."""

import os
from collections.abc import Callable
from dataclasses import asdict
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from neuralcodec import own_process
from neuralcodec.cli.completion import complete_file, complete_model, complete_nlc
from neuralcodec.cli.options import device_option, output_options
from neuralcodec.cli.progress import show_progress
from neuralcodec.cli.report import PIPE, bitrate_text, bytes_text, counted, print_json, tell
from neuralcodec.cli.values import BITRATE, BPP, DIMENSIONS, FILE_SIZE, PSNR, RATE, TIME
from neuralcodec.decoder.picture_limit import pixels_unasked
from neuralcodec.endpoints import output_name
from neuralcodec.model.installed import installed_models
from neuralcodec.shell import file_word

if TYPE_CHECKING:
    from neuralcodec.files.encode_summary import EncodeSummary
    from neuralcodec.media.sources.source_options import SourceOptions
    from neuralcodec.rate.target import RateOutcome, RateTarget

# As in neuralcodec.encoder.presets, which takes torch along
PRESET_NAMES = ("fast", "medium", "slow", "placebo")


def _rate_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """-q and the targets that may be given instead of it."""
    for option in (
        click.option(
            "--bpp", type=BPP, help="Instead of -q: bits per luma sample of the video, as 0.08."
        ),
        click.option("--psnr", type=PSNR, help="Instead of -q: mean PSNR-YUV in dB, as 38."),
        click.option(
            "--size",
            type=FILE_SIZE,
            help="Instead of -q: size of the whole file with all streams, as 12MiB or 10MB; not "
            "from a pipe.",
        ),
        click.option(
            "--bitrate",
            type=BITRATE,
            help="Instead of -q: mean bit rate of the video, as 800k or 2.5M.",
        ),
        click.option(
            "-q",
            "--quality",
            type=click.IntRange(0, 63),
            help="0 gives the smallest file, 63 the best picture; 10 steps are about half or "
            "twice the size.  [default: 32]",
        ),
    ):
        command = option(command)
    return command


def _source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which part of the source to take, and how to change it."""
    for option in (
        click.option(
            "--start-number",
            type=click.IntRange(0),
            metavar="N",
            help="Number of the first picture of a numbered INPUT.  [default: the lowest there is]",
        ),
        click.option(
            "--framerate",
            type=RATE,
            help="Frames per second of a headerless INPUT, or of numbered pictures such as "
            "frame%04d.png.  [default: 25]",
        ),
        click.option(
            "--video-size", type=DIMENSIONS, help="Size of a headerless INPUT, as 640x480."
        ),
        click.option(
            "--pix-fmt",
            metavar="NAME",
            help="INPUT is headerless raw video of this pixel format, as yuv420p.",
        ),
        click.option("--no-deinterlace", is_flag=True, help="Leave interlaced frames as they are."),
        click.option(
            "--map",
            "maps",
            multiple=True,
            metavar="STREAM",
            help="Take this stream, as FFmpeg's -map: 0:v:0, 0:a:1, 0:s, -0:a; may be repeated.  "
            "[default: the best video stream and all others that are no video]",
        ),
        click.option("--no-audio", is_flag=True, help="Leave audio streams out."),
        click.option(
            "--fps",
            type=RATE,
            help="Repeat or drop frames to this rate; gaps of over 90000 frames, and many of over "
            "1500, are not filled.",
        ),
        click.option("--scale", type=DIMENSIONS, help="Resize the pictures, as 1280x720."),
        click.option("-n", "--frames", type=click.IntRange(1), metavar="N", help="Stop after N."),
        click.option("-t", "--duration", type=TIME, help="Take only so much, as 10 or 1:30."),
        click.option("-ss", "--start", type=TIME, help="Begin at this time, as 12.5 or 1:02:03."),
    ):
        command = option(command)
    return command


@click.command(short_help="Compress a video into an .nlc file.")
@click.argument("input", metavar="INPUT", shell_complete=complete_file)
@click.argument("output", metavar="OUTPUT", shell_complete=complete_nlc)
@_rate_options
@click.option(
    "--preset",
    default="medium",
    show_default=True,
    type=click.Choice(PRESET_NAMES),
    help="How much time to spend on a smaller file; decoding takes the same.",
)
@click.option(
    "--bframes",
    type=click.IntRange(0, 15),
    metavar="N",
    help="Most frames in a row that refer to later ones: 15, 7, 3 or 1, others are rounded down; 0 "
    "for none. How many pay is seen scene by scene. A frame waits for up to N + 2 later ones.  "
    "[default: 3 for fast, 15 for the others]",
)
@click.option(
    "--low-delay",
    is_flag=True,
    help="No frame waits for a later one: for live video. GOPs are still written as a whole: give "
    "a small -g.",
)
@click.option(
    "-g",
    "--gop",
    default=96,
    show_default=True,
    type=click.IntRange(1, 65536),
    metavar="FRAMES",
    help="Most frames from one intra frame to the next, 96 in any case: the unit of seeking and of "
    "loss by damage.",
)
@click.option(
    "--scenecut/--no-scenecut",
    default=True,
    show_default=True,
    help="Whether each cut begins a new GOP.",
)
@_source_options
@click.option(
    "--resumable",
    is_flag=True,
    help="If the run is stopped, even by a power cut, keep what is complete in OUTPUT.part: the "
    "same command goes on from there, to the same file. With -q alone; not with pipes.",
)
@click.option("--strict", is_flag=True, help="Fail when the source ends in the middle.")
@click.option(
    "-m",
    "--model",
    metavar="NAME|FILE",
    shell_complete=complete_model,
    help="Installed model, or a .safetensors file. [default: fast]",
)
@device_option
@output_options
def encode(
    input: str,
    output: str,
    quality: int | None,
    preset: str,
    bframes: int | None,
    low_delay: bool,
    gop: int,
    scenecut: bool,
    resumable: bool,
    strict: bool,
    model: str | None,
    device: str,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    **others: Any,
) -> None:
    """Compress the video INPUT (any file FFmpeg reads) into OUTPUT (.nlc).

    Audio, subtitles, other streams, chapters and tags are copied. '-' is standard input (Y4M, or
    any container that can be streamed) or standard output.

    \b
    ncodec encode holiday.mp4 holiday.nlc -q 40
    ncodec encode holiday.mp4 holiday.nlc --size 12MiB --preset slow
    """
    written = output_name(output)
    rate = _rate_target(others)
    source = _source(**others)
    own_process.wait_asleep()
    import neuralcodec

    with show_progress("encoding", quiet) as progress:
        done = neuralcodec.encode(
            input,
            output,
            quality=quality,
            rate=rate,
            preset=preset,
            bframes=bframes,
            low_delay=low_delay,
            gop=gop,
            scenecut=scenecut,
            model=model,
            device=device,
            source=source,
            overwrite=overwrite,
            strict=strict,
            resumable=resumable,
            progress=progress,
        )
    if done.truncated:
        tell(f"warning: {done.truncated}; what could be read was encoded")
    if not quiet:
        for notice in done.notices:
            tell(notice)
        tell(_summary(done))
        if os.path.isfile(written):
            tell(f"play it: {_play_command(written, model, done)}")
    if as_json:
        figures = {**asdict(done), "rate": _rate_figures(done.rate)}
        print_json("encode", figures, written == PIPE)


def _play_command(name: str, model: str | None, done: "EncodeSummary") -> str:
    """With the options that this file needs to be decoded."""
    words = ["ncodec decode", file_word(name), "-", "-f mkv"]
    if model is not None and model not in installed_models():
        words.append(f"--model {file_word(model)}")
    pixels = done.width * done.height
    if pixels > pixels_unasked(done.bytes):
        words.append(f"--max-pixels {pixels}")
    return f"{' '.join(words)} | ffplay -"


def _summary(done: "EncodeSummary") -> str:
    whole = bytes_text(done.bytes)
    if done.streams:
        whole = (
            f"{bytes_text(done.video_bytes)} of video, "
            f"{whole} with {counted(done.streams, 'other stream')}"
        )
        bitrate, bpp = done.video_bitrate, done.bpp * done.video_bytes / done.bytes
    else:
        bitrate, bpp = done.bitrate, done.bpp
    ratio = ""
    if done.ratio:
        times, how = (done.ratio, "smaller") if done.ratio >= 1 else (1 / done.ratio, "larger")
        ratio = f", {times:.1f}x {how} than the source"
    return (
        f"{counted(done.frames, 'frame')} {done.width}x{done.height}, {whole}{ratio}, "
        f"{bitrate_text(bitrate)}, {bpp:.4f} bpp, "
        f"PSNR-Y {done.psnr_y:.2f} dB, PSNR-YUV {done.psnr_yuv:.2f} dB, {done.fps:.1f} fps"
    )


def _rate_target(values: dict[str, Any]) -> "RateTarget | None":
    """Takes the targets out of the options."""
    from neuralcodec.rate.target import RateKind, RateTarget

    given = {kind: value for kind in RateKind if (value := values.pop(kind.value)) is not None}
    if len(given) > 1:
        names = " and ".join(f"--{kind.value}" for kind in given)
        raise click.UsageError(f"{names} exclude each other; give one of them.")
    return next((RateTarget(kind, value) for kind, value in given.items()), None)


def _source(
    start: Fraction | None,
    duration: Fraction | None,
    frames: int | None,
    scale: tuple[int, int] | None,
    fps: Fraction | None,
    no_audio: bool,
    maps: tuple[str, ...],
    no_deinterlace: bool,
    pix_fmt: str | None,
    video_size: tuple[int, int] | None,
    framerate: Fraction | None,
    start_number: int | None,
) -> "SourceOptions":
    from neuralcodec.media.sources.source_options import NumberedPictures, RawInput, SourceOptions

    raw = pictures = None
    if pix_fmt is not None:
        if video_size is None:
            raise click.UsageError("--pix-fmt needs --video-size, as 640x480.")
        raw = RawInput(pix_fmt, *video_size, framerate or Fraction(25))
    elif video_size:
        raise click.UsageError("--video-size describes raw video: add --pix-fmt.")
    elif framerate is not None or start_number is not None:
        pictures = NumberedPictures(framerate or Fraction(25), start_number)
    return SourceOptions(
        frames, start, duration, scale, fps, not no_deinterlace, not no_audio, maps, raw, pictures
    )


def _rate_figures(outcome: "RateOutcome | None") -> dict[str, Any] | None:
    if outcome is None:
        return None
    return {
        "kind": outcome.target.kind.value,
        "asked": outcome.target.value,
        "achieved": outcome.achieved,
        "met": outcome.met,
    }
