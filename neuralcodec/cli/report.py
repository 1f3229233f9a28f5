"""What a verb tells its user: progress, notices, a summary line or JSON."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from tqdm import tqdm

PIPE = "-"


@contextmanager
def progress_bar(label: str, quiet: bool) -> Iterator[Callable[[int, int | None], None] | None]:
    """Frames per second and time left on stderr when it is a terminal, nothing when it is not."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    with tqdm(desc=label, unit=" frames", dynamic_ncols=True, leave=False) as bar:

        def show(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


def tell(message: str) -> None:
    click.echo(f"ncodec: {message}", err=True)


def print_json(figures: dict[str, Any], data_on_stdout: bool) -> None:
    click.echo(json.dumps(figures, allow_nan=False), err=data_on_stdout)


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
