"""`python -m neuralcodec.training.rebase`: cosine transforms for a model that began with the KLT.

The latent changes its meaning, so that whatever touches it starts again: the linear transforms,
quantiser steps and what the networks add to them as `linear_start` has them, the scale priors from
nothing, trained for a while on the new symbols; so does a prior of vectors of another kind, left
to `training.vectors`. All else is kept: what read the old latent reads a linear regression of it on
the new one, the heads are fitted to what the linear synthesis leaves.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click
import torch
from torch import Tensor

from neuralcodec.model.inter import Prediction
from neuralcodec.model.layers import planes_to_tokens
from neuralcodec.model.state import MIDDLE, State
from neuralcodec.model.video_model import VideoModel
from neuralcodec.model.zoo import load_model, model_bytes
from neuralcodec.training.alone import train_alone
from neuralcodec.training.linear_start import (
    energies,
    inter_basis,
    intra_basis,
    quieten,
    set_basis,
    set_steps,
)
from neuralcodec.training.models import FAST
from neuralcodec.training.objective import source_vectors
from neuralcodec.training.sampling import Sampler, open_cache
from neuralcodec.training.schedule import Phase

RIDGE = 1e-5  # of the mean variance
PRIOR_RATE = 2e-3
PRIOR_BATCH = Phase(0.0, items=8, length=3, size=128)
BEGUN_AGAIN = ("linear.", "log_gain.", "log_step.", "intra_prior.", "inter_prior.", "head.")


class _Regression:
    """Of y (n, b) on x (n, a), by least squares; both grow row by row."""

    def __init__(self, inputs: int, outputs: int) -> None:
        self.xx = torch.zeros(inputs, inputs).double()
        self.yx = torch.zeros(outputs, inputs).double()

    def add(self, x: Tensor, y: Tensor) -> None:
        """Maps of the same size, (B, a, h, w) and (B, b, h, w)."""
        rows, wanted = (m.movedim(1, -1).flatten(0, -2).double() for m in (x, y))
        self.xx += rows.T @ rows
        self.yx += wanted.T @ rows

    def matrix(self) -> Tensor:
        """(b, a)."""
        size = len(self.xx)
        ridge = RIDGE * self.xx.trace() / size * torch.eye(size).double()
        return torch.linalg.solve(self.xx + ridge, self.yx.T).T.float()


@dataclass(frozen=True)
class _Batch:
    """Two frames of each sequence, as tokens too, and vectors between them."""

    y: Tensor
    uv: Tensor
    q: Tensor
    vectors: Tensor

    def tokens(self, t: int) -> Tensor:
        return planes_to_tokens(self.y[:, t], self.uv[:, t])


def rebase(old: VideoModel, new: VideoModel, sampler: Sampler, rounds: int = 60) -> None:
    """Fills `new`, whose sizes differ from those of `old` in its latent only."""
    with torch.no_grad():
        _set_linear_paths(old, new, _batches(new, sampler, rounds))
        matrices = _old_from_new(old, new, _batches(new, sampler, rounds))
        new.load_state_dict(_networks(old, new, *matrices))
        for coder in (new.intra, new.inter):
            quieten(coder.analysis[-1])
        _fit_head(new, _batches(new, sampler, rounds), inter=False)
        _fit_head(new, _batches(new, sampler, rounds), inter=True)


def _batches(model: VideoModel, sampler: Sampler, rounds: int) -> Iterator[_Batch]:
    for step in range(rounds):
        sampler.start_step(step)
        y, uv, q = sampler.batch(8, 2, 128)
        yield _Batch(y, uv, q, source_vectors(model.config, y, q)[:, 0])


def _set_linear_paths(old: VideoModel, new: VideoModel, batches: Iterator[_Batch]) -> None:
    intra, inter = torch.zeros(384).double(), torch.zeros(384).double()
    for batch in batches:
        intra += energies(intra_basis(), batch.tokens(0) - MIDDLE)
        inter += energies(inter_basis(), batch.tokens(1) - _predict(old, batch).tokens)
    for coder, basis, energy in (
        (new.intra, intra_basis(), intra),
        (new.inter, inter_basis(), inter),
    ):
        set_basis(coder.linear, basis, energy)
        set_steps(new.config, coder.log_gain, coder.log_step)


def _old_from_new(
    old: VideoModel, new: VideoModel, batches: Iterator[_Batch]
) -> tuple[Tensor, Tensor]:
    """The old latents, dequantised, as linear functions of the new ones: (old N, new N) each."""
    sizes = new.config.latents, old.config.latents
    intra, inter = _Regression(*sizes), _Regression(*sizes)
    for batch in batches:
        q = batch.q[:, 0]
        latent = old.intra.analyse(batch.y[:, 0], batch.uv[:, 0], q)
        seen = new.intra.linear.analyse(batch.tokens(0) - MIDDLE)
        intra.add(seen, latent * old.intra.log_step(q).exp())
        q, prediction = batch.q[:, 1], _predict(old, batch)
        latent = old.inter.analyse(batch.y[:, 1], batch.uv[:, 1], prediction, q)
        seen = new.inter.linear.analyse(batch.tokens(1) - prediction.tokens)
        inter.add(seen, latent * old.inter.log_step(q).exp())
    return intra.matrix(), inter.matrix()


def _networks(old: VideoModel, new: VideoModel, intra: Tensor, inter: Tensor) -> dict[str, Tensor]:
    """The new weights: the old ones, those of the latent's channels by `_old_from_new`."""
    channels, latents = old.config.channels, old.config.latents
    filled = new.state_dict()
    for key, weight in old.state_dict().items():
        if any(part in key for part in BEGUN_AGAIN):
            continue
        matrix = intra if key.startswith("intra.") else inter
        if filled[key].shape == weight.shape:
            filled[key] = weight
        elif key.endswith(("expand.weight", "first.0.weight", "second.0.weight")):
            # channels of the context, then one or two sets of latent channels
            context = weight.shape[1] % latents
            assert context in (0, channels)
            parts = weight[:, context:, 0, 0].split(latents, 1)
            read = torch.cat([weight[:, :context, 0, 0], *(part @ matrix for part in parts)], 1)
            filled[key] = read[:, :, None, None]
    return filled


def _fit_head(model: VideoModel, batches: Iterator[_Batch], inter: bool) -> None:
    """The head of intra or inter frames, by least squares on what the rest leaves of a frame."""
    coder = model.inter if inter else model.intra
    bias = coder.head.bias
    assert bias is not None
    coder.head.weight.zero_()
    bias.zero_()
    fit = _Regression(model.config.channels + 1, 96)
    for batch in batches:
        state = _second(model, batch) if inter else _first(model, batch)
        ones = torch.ones_like(state.feature[:, :1])
        left = batch.tokens(int(inter)) - planes_to_tokens(state.y, state.uv)
        fit.add(torch.cat([state.feature, ones], 1), left)
    weight = fit.matrix()
    coder.head.weight.copy_(weight[:, :-1, None, None])
    bias.copy_(weight[:, -1])


def _first(model: VideoModel, batch: _Batch) -> State:
    coder, q = model.intra, batch.q[:, 0]
    latent = coder.analyse(batch.y[:, 0], batch.uv[:, 0], q)
    rounded = coder.means.quantise(latent, None, coder.gain(q))[1]
    return coder.synthesise(rounded, q)


def _predict(model: VideoModel, batch: _Batch) -> Prediction:
    return model.inter.predict(_first(model, batch), batch.vectors, batch.q[:, 1])


def _second(model: VideoModel, batch: _Batch) -> State:
    coder, q = model.inter, batch.q[:, 1]
    prediction = _predict(model, batch)
    latent = coder.analyse(batch.y[:, 1], batch.uv[:, 1], prediction, q)
    rounded = coder.means.quantise(latent, prediction.side, coder.gain(q))[1]
    return coder.synthesise(rounded, prediction, q)


def _all_but_priors(model: VideoModel) -> dict[str, Tensor]:
    priors = ("intra_prior.", "inter_prior.", "vector_prior.")
    return {k: v for k, v in model.state_dict().items() if not k.startswith(priors)}


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("trained", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("cache", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Model file.")
@click.option("--steps", default=600, type=click.IntRange(1), help="Of the scale priors.")
@click.option("--held-out", multiple=True, help="Clip for validation only; may be repeated.")
@click.option("--seed", default=0)
def main(
    trained: Path, cache: Path, out: Path, steps: int, held_out: tuple[str, ...], seed: int
) -> None:
    """Give the model TRAINED the latent and the priors that new models begin with; to be trained
    further on the clips in CACHE. One that has the latent gets the priors only."""
    torch.manual_seed(seed)
    old = load_model(str(trained)).model
    fresh = FAST.config
    new = VideoModel(
        replace(
            old.config,
            latents=fresh.latents,
            groups=fresh.groups,
            vector_channels=fresh.vector_channels,
            relative_vectors=fresh.relative_vectors,
            priors_see_all=fresh.priors_see_all,
            intra_halves=fresh.intra_halves,
        )
    )
    sampler = Sampler(open_cache(cache, frozenset(held_out)), seed)
    if old.config.latents == fresh.latents:
        new.load_state_dict({**new.state_dict(), **_all_but_priors(old)})
    else:
        rebase(old, new, sampler)
    priors = [new.intra_prior, new.inter_prior]
    train_alone(new, priors, sampler, steps, PRIOR_BATCH, PRIOR_RATE)
    out.write_bytes(model_bytes(new, {"started_from": trained.name, "held_out": list(held_out)}))


if __name__ == "__main__":
    main()
