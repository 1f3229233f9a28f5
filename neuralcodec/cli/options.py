"""Option groups that several verbs share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from neuralcodec.cli.completion import complete_device
from neuralcodec.decoder.picture_limit import MAX_PIXELS, SMALL_FILE, SMALL_FILE_PIXELS

Command = TypeVar("Command", bound=Callable[..., Any])


def output_options(command: Command) -> Command:
    """--json, --quiet, --yes."""
    for option in (
        click.option("--quiet", is_flag=True, help="No progress bar, no summary; errors only."),
        click.option(
            "--json",
            "as_json",
            is_flag=True,
            help="Print the summary as one JSON object on stdout (on stderr when stdout is the "
            "data).",
        ),
        click.option("-y", "--yes", "overwrite", is_flag=True, help="Overwrite the output."),
    ):
        command = option(command)
    return command


device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="auto|cpu|cuda|cuda:N",
    shell_complete=complete_device,
    help="Where the networks run; auto takes a GPU if there is one.",
)


def device_options(command: Command) -> Command:
    """--device, --batch."""
    for option in (
        click.option(
            "--batch",
            type=click.IntRange(1),
            metavar="GOPS",
            help="GOPs worked on side by side; more is faster on a GPU and takes more memory. "
            "[default: 1 on a CPU, 4 on a GPU]",
        ),
        device_option,
    ):
        command = option(command)
    return command


check_pixels_option = click.option(
    "--max-pixels",
    type=click.IntRange(1),
    default=None,
    show_default=str(MAX_PIXELS),
    metavar="N",
    help="Of pictures of more luma samples check CRCs alone, as memory grows with them.",
)


def max_pixels_option(command: Command) -> Command:
    """--max-pixels."""
    return click.option(
        "--max-pixels",
        type=click.IntRange(1),
        default=None,
        show_default=f"{MAX_PIXELS}; {SMALL_FILE_PIXELS} for files under {SMALL_FILE >> 10} KiB",
        metavar="N",
        help="Refuse pictures of more luma samples, as memory grows with them.",
    )(command)
