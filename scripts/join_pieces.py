"""Join what came back from a lent machine in pieces: weights.safetensors and checkpoint.pt.

python scripts/join_pieces.py results
"""

import sys
from pathlib import Path

import click

from neuralcodec.errors import NcodecError
from neuralcodec.training.gpu_beginning import join_pieces


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Join the pieces in FOLDER, which stay."""
    try:
        join_pieces(folder, click.echo)
    except NcodecError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
