"""What a verb tells its user: notices, a summary line or JSON."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click

from neuralcodec.atomic_file import output_errors

PIPE = "-"
SCHEMA = "neuralcodec"
SCHEMA_VERSION = 1  # of the JSON; docs/json.md says what changes it


def tell(message: str) -> None:
    click.echo(f"ncodec: {on_one_line(message)}", err=True)


def on_one_line(text: str) -> str:
    """What a terminal would act on, in names and tags, is written as Python does: \\n, \\x1b."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def print_json(verb: str, figures: dict[str, Any], data_on_stdout: bool = False) -> None:
    """One object on one line, as docs/json.md specifies it."""
    marked = {"schema": SCHEMA, "version": SCHEMA_VERSION, "verb": verb, **figures}
    print_result(json.dumps(marked, allow_nan=False), on_stderr=data_on_stdout)


def print_result(text: str, on_stderr: bool = False) -> None:
    """Raises OutputError when the disk is full, ..."""
    with output_errors("standard error" if on_stderr else "standard output"):
        try:
            click.echo(text, err=on_stderr)
        except UnicodeEncodeError as error:  # a name in letters that the terminal does not have
            known = text.encode(error.encoding, "backslashreplace").decode(error.encoding)
            click.echo(known, err=on_stderr)


def counted(count: int, noun: str) -> str:
    """'1 frame', '2 frames'."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


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


def table_text(
    heads: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[str] = ()
) -> str:
    """Columns under their heads, flush right but for those in `left`."""
    lines = [heads, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    flush = ["<" if head in left else ">" for head in heads]
    return "\n".join(
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(line, flush, widths, strict=True)
        ).rstrip()
        for line in lines
    )
