"""What a verb tells its user: progress, notices, a summary line or JSON."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from tqdm import tqdm

from neuralcodec.atomic_file import output_errors

PIPE = "-"


@contextmanager
def progress_bar(label: str, quiet: bool) -> Iterator[Callable[[int, int | None], None] | None]:
    """Frames per second and time left on stderr when it is a terminal, nothing when it is not."""
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    with tqdm(desc=label, unit=" frames", dynamic_ncols=True, leave=False) as bar:

        def show(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


def tell(message: str) -> None:
    click.echo(f"ncodec: {message}", err=True)


def print_json(figures: dict[str, Any], data_on_stdout: bool = False) -> None:
    print_result(json.dumps(figures, allow_nan=False), on_stderr=data_on_stdout)


def print_result(text: str, on_stderr: bool = False) -> None:
    """Raises OutputError when the disk is full, ..."""
    with output_errors("standard error" if on_stderr else "standard output"):
        click.echo(text, err=on_stderr)


def bytes_text(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.2f} GiB"


def bitrate_text(bits_per_second: float) -> str:
    if bits_per_second < 1e6:
        return f"{bits_per_second / 1e3:.0f} kbit/s"
    return f"{bits_per_second / 1e6:.2f} Mbit/s"
