"""`python -m neuralcodec.training.scale_priors`: the scale prior of inter frames by itself.

On long sequences: inter frames see a running mean of magnitudes, in which the intra frame stays
visible for some ten frames. They cost little here, since nothing goes back through the networks.
The prior of intra frames, of which so few come by, stays as it is: it would get worse.
"""

import copy
from collections.abc import Sequence
from pathlib import Path

import click
import torch

from neuralcodec.model.priors import ScalePrior
from neuralcodec.model.video_model import VideoModel
from neuralcodec.model.zoo import load_model, model_bytes
from neuralcodec.training.objective import sequence_costs, sequence_loss, source_vectors
from neuralcodec.training.sampling import Sampler, open_cache
from neuralcodec.training.schedule import Phase

LONG = Phase(0.0, items=2, length=20, size=128)
LEARNING_RATE = 7e-4
TOLD_EVERY = 50  # steps


def train_scale_priors(
    model: VideoModel,
    trained: Sequence[ScalePrior],
    sampler: Sampler,
    steps: int,
    batch: Phase,
    rate: float,
) -> None:
    """trained: those of the model that are; nothing else of it changes. rate: the highest, from
    which it falls as a cosine."""
    model.eval().requires_grad_(False)
    priors = [parameter for prior in trained for parameter in prior.parameters()]
    for parameter in priors:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(priors, rate, weight_decay=0)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        sampler.start_step(step)
        y, uv, q = sampler.batch(batch.items, batch.length, batch.size)
        vectors = source_vectors(model.config, y, q)
        costs = sequence_costs(model, y, uv, q, vectors, count_vectors=False)
        loss = sequence_loss(model, costs, q)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(priors, 1.0)
        optimizer.step()
        decay.step()
        if step % TOLD_EVERY == 0:
            click.echo(f"step {step}: loss {float(loss.detach()):.4f}", err=True)
    model.requires_grad_(True)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("trained", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("cache", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Model file.")
@click.option("--steps", default=300, type=click.IntRange(1))
@click.option("--held-out", multiple=True, help="Clip not to be used; may be repeated.")
@click.option("--seed", default=0)
def main(
    trained: Path, cache: Path, out: Path, steps: int, held_out: tuple[str, ...], seed: int
) -> None:
    """Train the scale prior of inter frames of the model TRAINED, on long sequences of the clips in
    CACHE."""
    installed = load_model(str(trained))
    model = copy.deepcopy(installed.model)
    sampler = Sampler(open_cache(cache, frozenset(held_out)), seed)
    train_scale_priors(model, [model.inter_prior], sampler, steps, LONG, LEARNING_RATE)
    out.write_bytes(model_bytes(model, {**installed.record, "scale_prior_steps": steps}))


if __name__ == "__main__":
    main()
