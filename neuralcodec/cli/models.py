"""`ncodec models`."""

from dataclasses import asdict
from pathlib import Path

import click

from neuralcodec.cli.completion import complete_model
from neuralcodec.cli.report import bytes_text, print_json, print_result, table_text
from neuralcodec.errors import ModelError
from neuralcodec.model.installed import (
    ModelDescription,
    describe_model,
    installed_models,
    model_file,
)


@click.command(short_help="Show the models that are installed.")
@click.argument("model", metavar="[NAME|FILE]", required=False, shell_complete=complete_model)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def models(model: str | None, as_json: bool) -> None:
    """Show the models that are installed, or all that the file of one says of it.

    The first letters of the SHA-256 are those that 'ncodec info' shows for a file.
    """
    found: list[ModelDescription] = []
    damage: list[str] = []
    if model is not None:
        found.append(describe_model(model_file(model)))
    else:
        for name in installed_models():
            try:
                found.append(describe_model(model_file(name)))
            except ModelError as error:
                damage.append(str(error))
    if as_json:
        print_json("models", {"models": [asdict(m) for m in found], "damage": damage})
    elif model is not None:
        print_result(_full_text(found[0]))
    else:
        print_result("\n".join([_list_text(found), *(f"damage   {what}" for what in damage)]))
    if damage:
        click.get_current_context().exit(1)


def _list_text(found: list[ModelDescription]) -> str:
    heads = (
        "name",
        "parameters",
        "size",
        "channels",
        "latents",
        "kMAC/pixel",
        "training",
        "SHA-256",
    )
    rows = [
        (
            Path(m.file).stem,  # as --model takes it; m.name may be that of several
            f"{m.parameters / 1e6:.2f} M",
            bytes_text(m.bytes),
            str(m.channels),
            str(m.latents),
            f"{m.kmac_per_pixel:.1f}",
            _training_text(m),
            f"{m.sha256[:16]}...",
        )
        for m in found
    ]
    return table_text(heads, rows, left=("name", "training", "SHA-256"))


def _training_text(model: ModelDescription) -> str:
    parts = []
    if model.data:
        parts.append(f"{len(model.data)} clips")
    if model.steps is not None:
        parts.append(f"{model.steps:,} steps")
    if model.hours is not None:
        parts.append(f"{model.hours:g} h")
    text = ", ".join(parts) or "not recorded"
    return f"{text} on {model.device}" if model.device else text


def _full_text(model: ModelDescription) -> str:
    lines = [
        f"{model.name}: {model.file}",
        f"size       {bytes_text(model.bytes)}, {model.parameters:,} parameters",
        f"SHA-256    {model.sha256}",
        f"networks   {model.channels} feature channels, {model.latents} latent channels",
        f"decoding   {model.kmac_per_pixel:.1f} kMAC for each luma sample of an inter frame",
        f"training   {_training_text(model)}",
    ]
    if model.note:
        lines.append(f"note       {model.note}")
    for title, clips in (("trained on", model.data), ("held out", model.held_out)):
        if clips:
            lines.append(f"{title:10} {len(clips)} clips:")
            lines += [f"  {clip}" for clip in clips]
    return "\n".join(lines)
