"""Pack training clips, and what else a lent GPU machine lacks, into files of bounded size.

    python scripts/pack_gpu_bundle.py CLIPS... --out runs/bundle --with av-18.1.0-....whl

`scripts/train_on_gpu.py` trains from them there; docs/training-on-a-gpu.md tells the rest.
"""

import sys
from pathlib import Path

import click

from neuralcodec.errors import NcodecError
from neuralcodec.training.clip_shards import MIB, copy_extras, pack
from neuralcodec.training.footage import find_footage

HELD_OUT = ("davis_bus", "gopro_max_walk", "intel_car-detection", "sam3_0001")


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("clips", type=click.Path(exists=True, path_type=Path), nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/bundle"))
@click.option("--shard-mib", default=44.0, help="Largest size of a shard.")
@click.option("--exclude", multiple=True, metavar="NAME", help="Clip to leave out.")
@click.option("--held-out", multiple=True, default=HELD_OUT, help="Clip for validation only.")
@click.option(
    "--with",
    "extras",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Wheel of PyAV, or weights, to go along as they are.",
)
def main(
    clips: tuple[Path, ...],
    out: Path,
    shard_mib: float,
    exclude: tuple[str, ...],
    held_out: tuple[str, ...],
    extras: tuple[Path, ...],
) -> None:
    """Pack CLIPS (files, or folders of files) as they are."""
    try:
        footage = [clip for clip in find_footage(clips) if clip.name not in exclude]
        bundle, notices = pack(footage, out, held_out, int(shard_mib * MIB))
        copies = copy_extras(extras, out)
    except NcodecError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    for notice in notices:
        click.echo(notice, err=True)
    for file in [*(out / shard for shard in bundle.shards), *copies]:
        count = sum(clip.shard == file.name for clip in bundle.clips)
        clips_inside = f", {count} clips" if count else ""
        click.echo(f"{file}: {file.stat().st_size / MIB:.1f} MiB{clips_inside}")


if __name__ == "__main__":
    main()
