"""Training some parts of a model while all else of it stays as it is."""

from collections.abc import Sequence
from pathlib import Path

import click
import torch
from torch import nn

from neuralcodec.model.video_model import VideoModel
from neuralcodec.model.zoo import load_tensors, model_bytes
from neuralcodec.training.objective import sequence_costs, sequence_loss, source_vectors
from neuralcodec.training.sampling import Sampler
from neuralcodec.training.schedule import Phase

TOLD_EVERY = 50  # steps


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
        y, uv, q = sampler.batch(batch.items, batch.length, batch.size)
        vectors = source_vectors(model.config, y, q)
        costs = sequence_costs(model, y, uv, q, vectors, count_vectors=False)
        loss = sequence_loss(model, costs, q)
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
