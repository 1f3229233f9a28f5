"""`python -m neuralcodec.training.vectors`: the prior of the vectors, trained on those that the
encoder chooses.

The fields that training sequences are made with come from a plain search between the source's own
frames. The encoder's differ: it searches in decoded pictures, and takes what the prior charges
little for. So the two are brought into agreement by turns: code sequences with the present prior,
train it on their vectors. Nothing else of the model changes.
"""

import copy
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

from neuralcodec.encoder.frame_encoder import FrameEncoder, FrameTask
from neuralcodec.encoder.gop_structure import INTRA_BONUS, frame_quality
from neuralcodec.model.code_length import vector_field_bits
from neuralcodec.model.config import QUALITIES
from neuralcodec.model.exact import exact_float32
from neuralcodec.model.model_file import load_model, model_bytes
from neuralcodec.model.recurrence import Recurrence
from neuralcodec.model.video_model import VideoModel
from neuralcodec.references import chain
from neuralcodec.training.sampling import Sampler, open_cache
from neuralcodec.video import Frame, VideoFormat

SIZE = 240  # luma samples per side of a sequence; no clip of a cache is smaller
LENGTH = 8  # frames
BATCH = 12  # fields
LEARNING_RATE = 2e-3
CHECKED_SHARE = 10  # one field in so many is not trained on, and says what was gained


@dataclass(frozen=True)
class Fields:
    """n inter frames: vectors (n, 2, h, w), those of the frame before, q (n,)."""

    vectors: Tensor
    last: Tensor
    q: Tensor

    def part(self, chosen: Tensor) -> "Fields":
        return Fields(self.vectors[chosen], self.last[chosen], self.q[chosen])


def encoded_fields(model: VideoModel, sampler: Sampler, sequences: int, first: int) -> Fields:
    """Codes sequences `first`, `first` + 1, ... of the sampler as `ncodec encode` would."""
    fmt = VideoFormat(SIZE, SIZE, Fraction(1, 25))
    encoder = FrameEncoder(model, fmt, torch.device("cpu"), torch.float32)
    vectors, before, qualities = [], [], []
    for number in range(first, first + sequences):
        sampler.start_step(number)
        drawn = sampler.batch(1, LENGTH, SIZE)
        y, uv = drawn.y, drawn.uv
        quality = int(sampler.random.integers(-INTRA_BONUS, QUALITIES))
        left: Recurrence | None = None
        last = np.zeros((2, SIZE // 8, SIZE // 8), np.int16)
        for position in range(LENGTH):
            q = frame_quality(quality, 0 if position else INTRA_BONUS)
            frame = _frame(y[0, position], uv[0, position])
            references = None if left is None else (left, left)
            task = FrameTask(frame=frame, q=q, place=chain(position), references=references)
            [coded] = encoder.encode([task])
            symbols, left = coded.symbols, coded.recurrence
            if symbols.vectors is not None:
                vectors.append(symbols.vectors)
                before.append(last)
                qualities.append(q)
                last = symbols.vectors
    return Fields(_stack(vectors), _stack(before), torch.tensor(qualities))


def train_prior(model: VideoModel, fields: Fields, steps: int, seed: int) -> tuple[float, float]:
    """Trains the prior of the vectors. Returns bits per block of fields that were not trained on,
    before and after."""
    number = torch.arange(len(fields.q))
    checked = fields.part(number % CHECKED_SHARE == 0)
    trained = fields.part(number % CHECKED_SHARE != 0)
    before = _bits_per_block(model, checked)
    prior = model.vector_prior.requires_grad_(True)
    optimizer = torch.optim.AdamW(prior.parameters(), LEARNING_RATE, weight_decay=0)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    draw = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        batch = trained.part(torch.randint(len(trained.q), (BATCH,), generator=draw))
        optimizer.zero_grad(set_to_none=True)
        _bits(model, batch).mean().backward()
        torch.nn.utils.clip_grad_norm_(prior.parameters(), 1000.0)
        optimizer.step()
        decay.step()
    prior.requires_grad_(False)
    return before, _bits_per_block(model, checked)


def _bits(model: VideoModel, fields: Fields) -> Tensor:
    with exact_float32("cpu"):
        return vector_field_bits(
            model.vector_prior, fields.vectors, fields.last, fields.q, model.log_table
        )


@torch.no_grad()
def _bits_per_block(model: VideoModel, fields: Fields) -> float:
    return float(_bits(model, fields).mean()) / fields.vectors[0, 0].numel()


def _frame(y: Tensor, uv: Tensor) -> Frame:
    """y (1, S, S), uv (2, S/2, S/2) in [0, 1]."""
    luma, u, v = ((255 * p).round().to(torch.uint8).numpy() for p in (y[0], uv[0], uv[1]))
    return Frame(luma, u, v, 0)


def _stack(fields: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(fields)).float()


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("trained", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("cache", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Model file.")
@click.option("--rounds", default=3, type=click.IntRange(1), help="Turns of coding and training.")
@click.option("--sequences", default=150, type=click.IntRange(2), help="Coded in each round.")
@click.option("--steps", default=800, type=click.IntRange(1), help="Trained in each round.")
@click.option(
    "--prior-from",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Begin with the prior of this model.",
)
@click.option("--held-out", multiple=True, help="Clip not to be used; may be repeated.")
@click.option("--seed", default=0)
def main(
    trained: Path,
    cache: Path,
    out: Path,
    rounds: int,
    sequences: int,
    steps: int,
    prior_from: Path | None,
    held_out: tuple[str, ...],
    seed: int,
) -> None:
    """Train the vector prior of the model TRAINED on what the encoder makes of clips in CACHE."""
    installed = load_model(str(trained))
    model = copy.deepcopy(installed.model)
    if prior_from:
        model.vector_prior.load_state_dict(
            load_model(str(prior_from)).model.vector_prior.state_dict()
        )
    sampler = Sampler(open_cache(cache, frozenset(held_out)), seed)
    for number in range(rounds):
        fields = encoded_fields(model, sampler, sequences, number * sequences)
        before, after = train_prior(model, fields, steps, seed + number)
        click.echo(f"round {number + 1}: {before:.3f} -> {after:.3f} bits a block", err=True)
        record = {**installed.record, "vector_rounds": number + 1}
        out.write_bytes(model_bytes(model, record))


if __name__ == "__main__":
    main()
