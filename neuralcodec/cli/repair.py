"""`ncodec repair`."""

from dataclasses import asdict

import click

from neuralcodec.cli.completion import complete_file, complete_model, complete_nlc
from neuralcodec.cli.options import check_pixels_option, output_options
from neuralcodec.cli.progress import show_progress
from neuralcodec.cli.report import PIPE, counted, print_json, tell
from neuralcodec.endpoints import output_name


@click.command(short_help="Write what is whole of a damaged .nlc file.")
@click.argument("input", metavar="INPUT", shell_complete=complete_nlc)
@click.argument("output", metavar="OUTPUT", shell_complete=complete_file)
@click.option(
    "-m",
    "--model",
    metavar="FILE",
    shell_complete=complete_model,
    help="The model, when INPUT was made with one not installed.",
)
@check_pixels_option
@output_options
def repair(
    input: str,
    output: str,
    model: str | None,
    max_pixels: int | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write what is whole in INPUT (.nlc) to OUTPUT (.nlc), with a new index.

    What 'ncodec check' finds damaged is left out, everything else is copied without coding it
    again. Time stamps stay, so that sound and pictures stay together. '-' is standard input or
    output. Exit code 0 where OUTPUT was written: what was lost is told.

    \b
    ncodec repair broken.nlc whole.nlc
    """
    from neuralcodec.files.repair import repair as repair_file

    with show_progress("repairing", quiet) as progress:
        done = repair_file(
            input,
            output,
            model=model,
            max_pixels=max_pixels,
            overwrite=overwrite,
            progress=progress,
        )
    for damage in done.damage:
        tell(f"lost: {damage.message}")
    if not quiet:
        for notice in done.notices:
            tell(notice)
        tell(
            f"kept {counted(done.frames, 'frame')} in {counted(done.gops, 'GOP')}, "
            f"{counted(done.packets, 'packet')}"
        )
    if as_json:
        print_json("repair", asdict(done), output_name(output) == PIPE)
