"""`ncodec check`."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from neuralcodec.cli.completion import complete_model, complete_nlc
from neuralcodec.cli.options import check_pixels_option
from neuralcodec.cli.progress import show_progress
from neuralcodec.cli.report import bytes_text, counted, on_one_line, print_json, print_result, tell

if TYPE_CHECKING:
    from neuralcodec.files.check import CheckReport


@click.command(short_help="Tell whether .nlc files are whole.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, shell_complete=complete_nlc)
@click.option(
    "-m",
    "--model",
    metavar="FILE",
    shell_complete=complete_model,
    help="The model, when the files were made with one not installed.",
)
@check_pixels_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.option("--quiet", is_flag=True, help="No progress bar, no report; errors only.")
def check(
    files: tuple[str, ...], model: str | None, max_pixels: int | None, as_json: bool, quiet: bool
) -> None:
    """Tell whether each FILE (.nlc) is whole, without computing pictures.

    All CRCs are checked, and the checksums of the symbols that pictures are made of; the latter
    needs the model that the file was made with. '-' is standard input. Exit code 1 where anything
    is damaged: chunk, GOP, bytes, frames and time are named.

    \b
    ncodec check archive/*.nlc
    """
    from neuralcodec.files.check import check_all

    reports = []
    with show_progress("checking", quiet) as progress:
        for report in check_all(list(files), model, max_pixels, progress):
            reports.append(report)
            if not quiet:
                for notice in report.notices:
                    tell(f"{report.file}: {notice}")
            if not as_json and (report.damage or not quiet):
                print_result(_text(report))
    if as_json:
        print_json("check", {"files": [asdict(report) for report in reports]})
    if any(report.damage for report in reports):
        click.get_current_context().exit(1)


def _text(report: "CheckReport") -> str:
    name = on_one_line(report.file)
    if report.damage:
        return "\n".join(f"{name}: {on_one_line(damage.message)}" for damage in report.damage)
    packets = f", {counted(report.packets, 'packet')}" if report.packets else ""
    return (
        f"{name}: whole; {bytes_text(report.bytes)}, {counted(report.gops, 'GOP')}, "
        f"{counted(report.frames, 'frame')}{packets}"
    )
