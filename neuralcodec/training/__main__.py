"""`python -m neuralcodec.training`: train a model from a cache of clips, with all the options."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch
from torch.distributed.run import main as launch

from neuralcodec.codec.device import find_device
from neuralcodec.errors import NcodecError
from neuralcodec.training.beginning import STEPS_FROM_NOTHING, Beginning, begin_run, beginning_of
from neuralcodec.training.interruption import stop_requests
from neuralcodec.training.models import MODELS
from neuralcodec.training.run_log import Observer
from neuralcodec.training.run_options import RunOptions
from neuralcodec.training.team import team_of

MODULE = "neuralcodec.training"


class JsonLines(Observer):
    """The log on stdout too, notices on stderr."""

    def logged(self, entry: dict[str, Any]) -> None:
        click.echo(json.dumps(entry))

    def noticed(self, text: str) -> None:
        click.echo(text, err=True)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("cache", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the run; a checkpoint found there is resumed.",
)
@click.option(
    "--model", default="fast", type=click.Choice(list(MODELS)), help="Its name; its sizes."
)
@click.option(
    "--start-from",
    type=click.Path(exists=True, path_type=Path),
    help="Start from a trained model (.safetensors), of its sizes.",
)
@click.option("--steps", type=click.IntRange(1), help="Length of the schedule.  [default: 20000]")
@click.option("--minutes", type=float, help="Stop after this long, resumable.")
@click.option("--rate", type=float, help="Highest learning rate.  [default: the model's]")
@click.option("--held-out", multiple=True, help="Clip for validation only; may be repeated.")
@click.option("--validate-every", default=2000, type=click.IntRange(1), help="Steps.")
@click.option(
    "--patience",
    default=10,
    type=click.IntRange(0),
    help="End after so many validations that were worse on the clips held out while the training "
    "clips got better; 0: never.",
)
@click.option("--seed", default=0, type=click.IntRange(0))
@click.option(
    "--processes",
    type=click.IntRange(1),
    help="That train together, each on batches of its own, of which the gradients are averaged.  "
    "[default: one for each core of a CPU]",
)
@click.option("--threads", type=click.IntRange(1), default=1, help="CPU threads of each process.")
@click.option("--device", default="auto", help="auto, cpu, cuda or cuda:N.")
@click.option("--compile", "compiled", is_flag=True, help="Compile the networks' blocks.")
def main(
    cache: Path,
    out: Path,
    model: str,
    start_from: Path | None,
    steps: int | None,
    minutes: float | None,
    rate: float | None,
    held_out: tuple[str, ...],
    validate_every: int,
    patience: int,
    seed: int,
    processes: int | None,
    threads: int,
    device: str,
    compiled: bool,
) -> None:
    """Train on the clips in CACHE (made by `python -m neuralcodec.training.frame_cache`).

    On several GPUs: torchrun --nproc-per-node 8 -m neuralcodec.training CACHE ..."""
    on_cpu = find_device(device).type == "cpu"
    if processes is None:
        processes = max(1, (os.cpu_count() or 1) // threads) if on_cpu else 1
    if processes > 1 and "WORLD_SIZE" not in os.environ:
        launch(["--standalone", "--nproc-per-node", str(processes), "-m", MODULE, *sys.argv[1:]])
        return
    torch.set_num_threads(threads)
    options = RunOptions(
        cache,
        out,
        seed,
        held_out,
        validate_every=validate_every,
        minutes=minutes,
        patience=patience,
        compile=compiled,
    )
    try:
        beginning = Beginning(MODELS[model].config)
        if start_from:
            config = beginning_of(str(start_from)).config
            beginning = Beginning(replace(config, name=model), start_from)
        schedule = beginning.schedule(steps or STEPS_FROM_NOTHING, rate)
        with team_of(find_device(device)) as team, stop_requests() as stop:
            trainer = begin_run(beginning, schedule, options, team, [JsonLines()], stop)
            ending = trainer.run()
    except NcodecError as error:
        click.echo(error, err=True)
        sys.exit(error.exit_code)
    if team.leads and ending is not None:
        click.echo(f"ended at step {trainer.state.position.step}: {ending.value}", err=True)
    if stop.number is not None:
        sys.exit(128 + stop.number)


if __name__ == "__main__":
    main()
