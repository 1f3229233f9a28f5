"""`ncodec completion`, and what shells offer for arguments that Click knows nothing of."""

import re
from pathlib import Path

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

from neuralcodec.cli.report import print_result
from neuralcodec.model.installed import SUFFIX, installed_models

# Click's scripts hand names to the shell unquoted.
_PLAIN_NAME = re.compile(r"[\w./+-]+")


@click.command(short_help="Print a script that completes commands.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script by which a SHELL completes verbs, options and file names of ncodec.

    \b
    bash: echo 'eval "$(ncodec completion bash)"' >> ~/.bashrc
    zsh:  echo 'eval "$(ncodec completion zsh)"' >> ~/.zshrc
    fish: ncodec completion fish > ~/.config/fish/completions/ncodec.fish
    """
    maker = get_completion_class(shell)
    assert maker is not None  # Click has all three
    script = maker(context.find_root().command, {}, "ncodec", "_NCODEC_COMPLETE")
    # As the base class does it: that of bash would start a bash to ask for its version.
    print_result(ShellComplete.source(script))


def complete_file(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Any file, as the shell itself completes names."""
    return [CompletionItem(incomplete, type="file")]


def complete_nlc(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    return _files(incomplete, ".nlc")


def complete_model(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    names = [CompletionItem(n) for n in installed_models() if n.startswith(incomplete)]
    return names or _files(incomplete, SUFFIX)


def complete_device(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    return [CompletionItem(d) for d in ("auto", "cpu", "cuda") if d.startswith(incomplete)]


def _files(incomplete: str, suffix: str) -> list[CompletionItem]:
    """Files of one kind; where there are none, or a folder may be meant, the shell's own choice."""
    _, _, start = incomplete.rpartition("/")
    prefix = incomplete.removesuffix(start)
    try:
        found = [p for p in Path(prefix or ".").iterdir() if p.name.startswith(start)]
    except OSError:
        found = []
    if not start:
        found = [p for p in found if not p.name.startswith(".")]
    names = sorted(prefix + p.name for p in found if p.name.endswith(suffix))
    unclear = any(p.is_dir() for p in found) or not all(map(_PLAIN_NAME.fullmatch, names))
    if unclear or not names:
        return [CompletionItem(incomplete, type="file")]
    return [CompletionItem(name) for name in names]
