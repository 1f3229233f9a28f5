"""Training some parts of a model while all else of it stays as it is."""

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click
import torch
from torch import nn

from neuralcodec.errors import NcodecError
from neuralcodec.model.model_file import load_tensors, model_bytes
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.objective import sequence_costs, sequence_loss
from neuralcodec.training.sampling import Sampler
from neuralcodec.training.schedule import Phase
from neuralcodec.training.source_motion import with_source_motion

TOLD_EVERY = 50  # steps
LONG = Phase(0.0, items=2, length=17, size=128)


def alone_command(run: Callable[..., None]) -> click.Command:
    """The command line of what trains parts of a model file: its name, a cache, where to write.
    What is wrong with them is said in one line."""

    @wraps(run)
    def told(**options: Any) -> None:
        try:
            run(**options)
        except NcodecError as error:
            raise click.ClickException(str(error)) from error

    file = click.Path(exists=True, dir_okay=False, path_type=Path)
    folder = click.Path(exists=True, file_okay=False, path_type=Path)
    for parameter in (
        click.option("--seed", default=0),
        click.option("--held-out", multiple=True, help="Clip not to be used; may be repeated."),
        click.option("--steps", default=300, type=click.IntRange(1)),
        click.option(
            "-o", "--out", type=click.Path(path_type=Path), required=True, help="Model file."
        ),
        click.argument("cache", type=folder),
        click.argument("trained", type=file),
    ):
        told = parameter(told)
    settings = {"help_option_names": ["-h", "--help"], "show_default": True}
    return click.command(context_settings=settings)(told)


def train_alone(
    model: VideoModel,
    parts: Sequence[nn.Module],
    sampler: Sampler,
    steps: int,
    batch: Phase,
    rate: float,
) -> None:
    """parts: those of the model that are trained. rate: the highest, from which it falls as a
    cosine."""
    model.eval().requires_grad_(False)
    trained = [parameter for part in parts for parameter in part.parameters()]
    for parameter in trained:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(trained, rate, weight_decay=0)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    for step in range(steps):
        sampler.start_step(step)
        drawn = sampler.batch(batch.items, batch.length, batch.size)
        costs = sequence_costs(model, with_source_motion(model.config, drawn))
        loss = sequence_loss(model, costs)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        decay.step()
        if step % TOLD_EVERY == 0:
            click.echo(f"step {step}: loss {float(loss.detach()):.4f}", err=True)
    model.requires_grad_(True)


def write_as(trained: Path, model: VideoModel, record: dict[str, object], out: Path) -> None:
    """A model file whose networks have the precision that they have in the file `trained`."""
    precision = load_tensors(trained)["intra.head.weight"].dtype
    out.write_bytes(model_bytes(model.with_fast_networks(precision), record))
