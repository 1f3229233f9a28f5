"""`python -m neuralcodec.training`: train a model from a folder of clips."""

from dataclasses import replace
from pathlib import Path

import click
import torch

from neuralcodec.model.config import ModelConfig
from neuralcodec.model.video_model import VideoModel
from neuralcodec.model.zoo import load_config, load_tensors
from neuralcodec.training.klt import initialise
from neuralcodec.training.sampling import Sampler, open_cache
from neuralcodec.training.schedule import Schedule
from neuralcodec.training.trainer import RunOptions, Trainer

WARM_PHASE = 0.3  # sequences of four frames and more


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("cache", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the run; a checkpoint found there is resumed.",
)
@click.option("--name", default="fast", help="Name of the model.")
@click.option(
    "--start-from",
    type=click.Path(exists=True, path_type=Path),
    help="Start from a trained model (.safetensors), of its sizes.",
)
@click.option("--steps", default=20000, type=click.IntRange(1), help="Length of the schedule.")
@click.option("--minutes", type=float, help="Stop after this long, resumable.")
@click.option("--rate", default=6e-4, help="Highest learning rate.")
@click.option("--held-out", multiple=True, help="Clip for validation only; may be repeated.")
@click.option("--seed", default=0)
@click.option("--threads", type=int, help="CPU threads of the networks [default: all cores].")
@click.option(
    "--vectors/--no-vectors",
    default=True,
    help="Train the prior of the motion vectors too, on vectors between the source's frames.",
)
@click.option("--device", default="cuda" if torch.cuda.is_available() else "cpu")
def main(
    cache: Path,
    out: Path,
    name: str,
    start_from: Path | None,
    steps: int,
    minutes: float | None,
    rate: float,
    held_out: tuple[str, ...],
    seed: int,
    threads: int | None,
    vectors: bool,
    device: str,
) -> None:
    """Train on the clips in CACHE (made by `python -m neuralcodec.training.frame_cache`)."""
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(seed)
    config = replace(load_config(start_from), name=name) if start_from else ModelConfig(name)
    model = VideoModel(config)
    schedule = Schedule(steps, rate, first_phase=WARM_PHASE if start_from else 0.0)
    options = RunOptions(
        cache,
        out,
        seed,
        held_out,
        minutes=minutes,
        count_vectors=vectors,
        started_from=start_from.name if start_from else None,
    )
    if not start_from and not (out / "checkpoint.pt").exists():
        initialise(model, Sampler(open_cache(cache, frozenset(held_out)), seed))
    if start_from:
        model.load_state_dict(load_tensors(start_from))
    trainer = Trainer(model, schedule, options, torch.device(device))
    trainer.resume()
    trainer.run()


main()
