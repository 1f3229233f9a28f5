"""`python -m neuralcodec.training.widen`: more latent channels for a trained model.

The new channels carry what the trained ones leave out: their directions are the principal ones of
what is lost at the finest quality, their coefficients a linear regression of it on the samples. All
else starts as the trained model, which the new one equals as long as the new symbols are zero.
"""

import re
from dataclasses import replace
from pathlib import Path

import click
import torch
from torch import Tensor

from neuralcodec.model.config import QUALITIES
from neuralcodec.model.inter import InterCoder
from neuralcodec.model.intra import IntraCoder
from neuralcodec.model.layers import planes_to_tokens
from neuralcodec.model.state import MIDDLE, State
from neuralcodec.model.video_model import VideoModel
from neuralcodec.model.zoo import load_config, load_tensors, model_bytes
from neuralcodec.training.linear_start import log_steps, patch_gains, weighted_patches
from neuralcodec.training.objective import source_vectors
from neuralcodec.training.sampling import Sampler, open_cache

RIDGE = 1e-6  # of the mean variance
QUIET_INDEX = -1.2  # bias of a new scale: zeros cost next to nothing


def widen(
    model: VideoModel, tensors: dict[str, Tensor], sampler: Sampler, rounds: int = 60
) -> list[str]:
    """Fills `model` from the weights of one with fewer latent channels and groups, the other sizes
    equal. Returns the names of tensors that had to be extended or begun afresh."""
    narrow = tensors["intra.linear.inverse_basis"].shape[1]
    own = model.state_dict()
    filled, changed = {}, []
    for key, new in own.items():
        old = tensors.get(key)
        if old is not None and old.shape == new.shape:
            filled[key] = old
            continue
        changed.append(key)
        filled[key] = new if old is None else _extended(key, new, old, model, narrow)
    model.load_state_dict(filled)
    with torch.no_grad():
        for group, (start, _) in enumerate(model.intra_prior.bounds):
            if start >= narrow:
                for prior in (model.intra_prior, model.inter_prior):
                    prior.networks[group].write.bias.fill_(QUIET_INDEX)  # type: ignore[union-attr, operator]
        for coder in (model.intra, model.inter):
            steps = log_steps(model.config)[:, None]
            coder.log_step.anchors[:, narrow:] = steps
            coder.log_gain.anchors[:, narrow:] = -steps
        _learn_directions(model, narrow, sampler, rounds)
    return changed


def _extended(key: str, new: Tensor, old: Tensor, model: VideoModel, narrow: int) -> Tensor:
    """`old` within the shape of `new`. Weights of new inputs are zero; new outputs are quiet."""
    result = torch.zeros_like(new)
    if old.dim() == 1:
        result[: len(old)] = old
        return result
    if old.shape[0] < new.shape[0] and re.search(r"analysis|means", key):
        result[len(old) :] = 0.03 * new[len(old) :]
    places = torch.arange(old.shape[1])
    if old.shape[1] < new.shape[1]:
        wide = model.config.latents
        # of two sets of latent channels in a row, the second moves
        if key.endswith("summarise.weight"):
            places[narrow:] += wide - narrow
        elif re.search(r"inter\.means\.second\.0", key):
            places[model.config.channels + narrow :] += wide - narrow
    result[: len(old)] = 0
    result[: len(old), places] = old
    return result


def _learn_directions(model: VideoModel, narrow: int, sampler: Sampler, rounds: int) -> None:
    """Sets what the linear transforms do for the new channels."""
    intra, inter = _Regression(), _Regression()
    finest = torch.full((8,), QUALITIES - 1.0)
    for step in range(rounds):
        sampler.start_step(step)
        y, uv, _ = sampler.batch(8, 2, 128)
        tokens = planes_to_tokens(y[:, 0], uv[:, 0])
        latent = model.intra.analyse(y[:, 0], uv[:, 0], finest)
        state = model.intra.synthesise(latent, finest)
        intra.add(tokens - MIDDLE, tokens - _tokens(state))
        vectors = source_vectors(model.config, y, finest[:, None].expand(8, 2))[:, 0]
        prediction = model.inter.predict(state, vectors, finest)
        tokens = planes_to_tokens(y[:, 1], uv[:, 1])
        latent = model.inter.analyse(y[:, 1], uv[:, 1], prediction, finest)
        shown = model.inter.synthesise(latent, prediction, finest)
        inter.add(tokens - prediction.tokens, tokens - _tokens(shown))
    intra.set_basis(model.intra, narrow)
    inter.set_basis(model.inter, narrow)


def _tokens(state: State) -> Tensor:
    return planes_to_tokens(state.y, state.uv)


class _Regression:
    """What is lost of patches, as a linear function of them."""

    def __init__(self) -> None:
        self.seen, self.lost, self.both = (torch.zeros(384, 384).double() for _ in range(3))

    def add(self, seen: Tensor, lost: Tensor) -> None:
        x, r = weighted_patches(seen), weighted_patches(lost)
        self.seen += x.T @ x
        self.lost += r.T @ r
        self.both += r.T @ x

    def set_basis(self, coder: IntraCoder | InterCoder, narrow: int) -> None:
        linear = coder.linear
        count = linear.inverse_basis.shape[1] - narrow
        directions = torch.linalg.eigh(self.lost)[1].flip(1)[:, :count]
        ridge = RIDGE * self.seen.trace() / 384 * torch.eye(384).double()
        regression = torch.linalg.solve(self.seen + ridge, self.both.T).T
        gains = patch_gains()
        forward = directions.T @ regression * gains
        linear.forward_basis[narrow:] = forward.reshape(count, 96, 2, 2).float()
        linear.inverse_basis[:, narrow:, 0, 0] = (directions / gains[:, None]).float()


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("trained", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("cache", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Model file.")
@click.option("--latents", default=320, type=click.IntRange(1, 384), help="Channels of the latent.")
@click.option("--held-out", multiple=True, help="Clip for validation only; may be repeated.")
@click.option("--seed", default=0)
def main(
    trained: Path, cache: Path, out: Path, latents: int, held_out: tuple[str, ...], seed: int
) -> None:
    """Give the model TRAINED one more group of latent channels, learned from the clips in CACHE,
    the six-tap motion filter, and a vector prior that sees q; to be trained further."""
    torch.manual_seed(seed)
    config = load_config(trained)
    model = VideoModel(
        replace(
            config,
            latents=latents,
            groups=(*config.groups, latents),
            motion_taps=6,
            vectors_see_quality=True,
        )
    )
    sampler = Sampler(open_cache(cache, frozenset(held_out)), seed)
    widen(model, load_tensors(trained), sampler)
    out.write_bytes(model_bytes(model, {"started_from": trained.name, "held_out": list(held_out)}))


if __name__ == "__main__":
    main()
