"""`ncodec bench`."""

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from tqdm import tqdm

from neuralcodec.cli.report import tell
from neuralcodec.cli.values import SOURCE


@click.command(short_help="Compare with x264, x265, SVT-AV1 and VP9.")
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True, type=SOURCE)
@click.option(
    "--codecs",
    default="ncodec,x264,x265,svtav1,vp9",
    show_default=True,
    metavar="LIST",
    help="What to compare, with commas between: NAME:PRESET, NAME:PRESET:lowdelay, or NAME for "
    "both of a classical codec's settings at its default preset; ncodec:lowdelay.",
)
@click.option(
    "--presets",
    metavar="LIST",
    help="Presets that a bare NAME stands for: x264=fast,x264=slow,svtav1=8. [default: "
    "x264=medium,x265=medium,svtav1=6,vp9=2, where 2 is cpu-used]",
)
@click.option(
    "--anchor",
    metavar="NAME[:PRESET[:lowdelay]]",
    help="What the others are measured against in BD-rate and BD-PSNR. [default: x265, or "
    "the first classical codec]",
)
@click.option(
    "--points",
    default=5,
    show_default=True,
    type=click.IntRange(1, 54),
    help="Qualities of each codec, spread over its range; BD-rate needs 4.",
)
@click.option("-n", "--frames", type=click.IntRange(2), metavar="N", help="Of each clip, at most.")
@click.option(
    "-g",
    "--gop",
    default=96,
    show_default=True,
    type=click.IntRange(1, 65536),
    metavar="FRAMES",
    help="Most frames from one intra frame to the next, for every codec alike.",
)
@click.option(
    "--metrics",
    metavar="LIST",
    help="Of psnr, ssim, ms-ssim, vmaf; psnr always. [default: all that PyAV can compute]",
)
@click.option(
    "--repeats",
    default=3,
    show_default=True,
    type=click.IntRange(1, 100),
    help="Timings of each encoding and decoding; median and range are given.",
)
@click.option(
    "-m",
    "--model",
    metavar="NAME|FILE",
    help="ncodec's: installed, or a .safetensors file. [default: fast]",
)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="auto|cpu|cuda|cuda:N",
    help="Where ncodec's networks run; auto takes a GPU if there is one.",
)
@click.option(
    "--json", "json_path", type=Path, metavar="F", help="Everything, as docs/bench.md says."
)
@click.option("--csv", "csv_path", type=Path, metavar="F", help="A line for each encoding.")
@click.option("--markdown", "markdown_path", type=Path, metavar="F", help="The tables, for a page.")
@click.option("--plot", "plot_path", type=Path, metavar="F.png", help="Rate-distortion curves.")
@click.option(
    "--html", "html_path", type=Path, metavar="F.html", help="Curves and pictures to look at."
)
@click.option(
    "--cache",
    type=Path,
    metavar="DIR",
    help="Where measurements are kept, so that a bench goes on where it was. [default: the user's "
    "cache folder]",
)
@click.option("--quiet", is_flag=True, help="No progress bar, no table; errors only.")
@click.option("-y", "--yes", "overwrite", is_flag=True, help="Overwrite the outputs.")
def bench(
    inputs: tuple[Path, ...],
    codecs: str,
    presets: str | None,
    anchor: str | None,
    points: int,
    frames: int | None,
    gop: int,
    metrics: str | None,
    repeats: int,
    model: str | None,
    device: str,
    json_path: Path | None,
    csv_path: Path | None,
    markdown_path: Path | None,
    plot_path: Path | None,
    html_path: Path | None,
    cache: Path | None,
    quiet: bool,
    overwrite: bool,
) -> None:
    """Compare ncodec with x264, x265, SVT-AV1 and VP9 on your own clips.

    Every codec gets the same frames and the same GOP length, is driven for PSNR, and is measured
    by the same code: payload bits, PSNR, SSIM, MS-SSIM, frames per second and peak memory, alone
    on the machine. What was measured before is not measured again.

    \b
    ncodec bench holiday.mp4 -n 96 --plot holiday.png
    ncodec bench a.mkv b.mkv --codecs ncodec,x265:slow,svtav1:8:lowdelay --anchor x265
    """
    from neuralcodec.atomic_file import check_target, output_errors
    from neuralcodec.bench.cache import default_folder
    from neuralcodec.bench.clips import find_sources
    from neuralcodec.bench.peers import PEERS
    from neuralcodec.bench.plan import make_plan, parse_metrics
    from neuralcodec.bench.plot import require_matplotlib, write_plot
    from neuralcodec.bench.quality import METRICS
    from neuralcodec.bench.results import write_json
    from neuralcodec.bench.run import run_bench
    from neuralcodec.bench.settings import find_anchor, parse_settings
    from neuralcodec.bench.tables import print_tables, require_rich, to_markdown, write_csv
    from neuralcodec.model.model_file import DEFAULT_MODEL

    outputs = [json_path, csv_path, markdown_path, plot_path, html_path]
    for path in filter(None, outputs):
        check_target(path, overwrite)
    if plot_path:
        require_matplotlib()
    if not quiet:
        require_rich()
    settings = parse_settings(
        codecs, presets, {name: peer.default_preset for name, peer in PEERS.items()}
    )
    plan = make_plan(
        find_sources(inputs),
        settings,
        find_anchor(anchor, settings),
        points=points,
        gop=gop,
        frames=frames,
        repeats=repeats,
        metrics=parse_metrics(metrics or ",".join(METRICS)),
        model=model or DEFAULT_MODEL,
        device=device,
        command=shlex.join(["ncodec", *sys.argv[1:]]),
    )
    if metrics and not quiet:
        for absent in plan.setup.absent_metrics:
            tell(f"{absent.name}: absent, {absent.reason}")
    with _progress_bar(quiet) as progress:
        done = run_bench(plan, cache or default_folder(), progress)
    if not quiet:
        for notice in done.notices:
            tell(notice)
        print_tables(done.results)
    if json_path:
        with output_errors(json_path):
            write_json(done.results.without_pictures(), json_path)
    if csv_path:
        with output_errors(csv_path):
            write_csv(done.results, csv_path)
    if markdown_path:
        with output_errors(markdown_path):
            markdown_path.write_text(to_markdown(done.results))
    if plot_path:
        with output_errors(plot_path):
            write_plot(done.results, plot_path)
    if html_path:
        from neuralcodec.bench.report_html import write_html

        with output_errors(html_path):
            write_html(done.results, html_path)


@contextmanager
def _progress_bar(quiet: bool) -> Iterator[Callable[[int, int, str], None]]:
    """A bar on stderr when it is a terminal, a line for each tenth of the runs when it is not."""
    told = -1

    def tell_tenths(done: int, total: int, what: str) -> None:
        nonlocal told
        if 10 * done // total > told:
            told = 10 * done // total
            tell(f"{done} of {total} runs done" + (f"; now {what}" if what else ""))

    if quiet:
        yield lambda done, total, what: None
    elif sys.stderr is None or not sys.stderr.isatty():
        yield tell_tenths
    else:
        with tqdm(desc="measuring", unit=" runs", dynamic_ncols=True, leave=False) as bar:

            def show(done: int, total: int, what: str) -> None:
                bar.total = total
                bar.set_postfix_str(what, refresh=False)
                bar.update(done - bar.n)

            yield show
