"""Writes docs/cli.md from the commands themselves: python scripts/make_cli_reference.py"""

import inspect
from pathlib import Path

import click

from neuralcodec.cli import main

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
START = """# The command line

Made by `make docs` from what `ncodec --help` and `ncodec VERB --help` say; do not edit.
What `--json` prints is described in [json.md](json.md).
"""


def reference_text() -> str:
    root = click.Context(main, info_name="ncodec", **main.context_settings)
    sections = [START, _command_text(main, root)]
    for name in main.list_commands(root):
        command = main.get_command(root, name)
        assert command is not None
        sections.append(_command_text(command, click.Context(command, root, info_name=name)))
    return "\n".join(sections)


def _command_text(command: click.Command, context: click.Context) -> str:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    lines = [f"## {context.command_path}", "", "```", usage, "```", "", *_help_lines(command)]
    lines += ["| Option | Meaning |", "| --- | --- |"]
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if isinstance(parameter, click.Option) and record is not None:
            names, meaning = (text.replace("|", r"\|") for text in record)
            lines.append(f"| `{names}` | {meaning} |")
    return "\n".join([*lines, ""])


def _help_lines(command: click.Command) -> list[str]:
    """The paragraphs of the help text; those that Click leaves as they are become code."""
    lines = []
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b\n"):
            lines += ["```", *paragraph.splitlines()[1:], "```", ""]
        else:
            lines += [paragraph, ""]
    return lines


if __name__ == "__main__":
    PAGE.write_text(reference_text())
    print(f"wrote {PAGE}")
