"""`python -m neuralcodec.training.half_precision`: a model file of about half the size.

Weights of the float networks are stored in 16 bits. What parsing needs, linear transforms and
quantiser steps stay as they are.
"""

from pathlib import Path

import click
import torch

from neuralcodec.errors import NcodecError
from neuralcodec.model.model_file import load_model, model_bytes


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("trained", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Model file.")
def main(trained: Path, out: Path) -> None:
    """Write the model TRAINED in half precision."""
    try:
        installed = load_model(str(trained))
    except NcodecError as error:
        raise click.ClickException(str(error)) from error
    halved = installed.model.with_fast_networks(torch.float16)
    out.write_bytes(model_bytes(halved, installed.record))


if __name__ == "__main__":
    main()
