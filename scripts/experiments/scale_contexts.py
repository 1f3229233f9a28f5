"""Experiment 1: what the scale of a symbol should be predicted from, and in which arithmetic.

    python scripts/experiments/scale_contexts.py CACHE --out results/experiments/scale-contexts

The symbols are those of the shipped model; its transforms stay as they are. Each variant of the
scale prior starts from nothing and trains on the same symbols of the training clips; bits are
counted on the clips held out. Writes one file for intra and one for inter frames.
"""

import argparse
import random
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from curves import HELD_OUT, Experiment
from torch import Tensor, nn

from neuralcodec.model.config import SCALES
from neuralcodec.model.exact import (
    INDEX_CENTRE,
    INDEX_GAIN,
    ExactDepthwise,
    ExactLinear,
    log_magnitude,
    rectify,
    round_through,
    to_index,
)
from neuralcodec.model.priors import GroupNetwork, History, ScalePrior, parity_map
from neuralcodec.model.rate import laplace_bits
from neuralcodec.model.video_model import VideoModel
from neuralcodec.model.zoo import DEFAULT_MODEL, load_model
from neuralcodec.training.models import FAST
from neuralcodec.training.objective import source_vectors
from neuralcodec.training.sampling import Sampler, open_cache

ITEMS, LENGTH, SIDE = 8, 4, 128
PIXELS = ITEMS * SIDE * SIDE
HIDDEN = 64
HYPER_CHANNELS = 16
TESTS = 6  # evaluations along a training

Curve = list[tuple[float, float]]


@dataclass(frozen=True)
class Symbols:
    """Of one frame of a batch: symbols and log magnitudes (B, h, w, N), what the exact networks
    see beside them (B, h, w, S), and for inter frames the float context (B, h, w, C + N)."""

    values: Tensor
    magnitudes: Tensor
    side: Tensor
    context: Tensor | None


@dataclass(frozen=True)
class Variant:
    groups: tuple[int, ...]
    exact: bool = True
    context: bool = False  # also sees the float context: cannot be exact
    halves: bool = False  # each group in two checkerboard halves, the second sees the first
    hyperprior: bool = False
    sees_all: bool = False  # the last layer sees all inputs, and the neighbours of the first half


SIX = FAST.config.groups
VARIANTS = {
    "1 group": Variant(SIX[-1:]),
    "1 group and a hyperprior": Variant(SIX[-1:], hyperprior=True),
    "3 groups": Variant(SIX[1::2]),
    "6 groups": Variant(SIX),
    "6 groups in halves": Variant(SIX, halves=True),
    "6 groups that see all (inter frames as shipped)": Variant(SIX, sees_all=True),
    "6 groups that see all, in halves (intra frames as shipped)": Variant(
        SIX, halves=True, sees_all=True
    ),
    "6 groups and a hyperprior": Variant(SIX, hyperprior=True),
    "6 groups, floats": Variant(SIX, exact=False),
    "6 groups, floats, float context": Variant(SIX, exact=False, context=True),
}


class _FloatLinear(ExactLinear):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class _FloatDepthwise(ExactDepthwise):
    def grid_parameters(self) -> tuple[Tensor, Tensor]:
        return self.weight, self.bias


class _Network(nn.Module):
    """As `priors.GroupNetwork` of the first models, in either arithmetic."""

    def __init__(self, inputs: int, outputs: int, exact: bool) -> None:
        super().__init__()
        self.exact = exact
        linear = ExactLinear if exact else _FloatLinear
        self.read = linear(inputs, HIDDEN)
        self.look = (ExactDepthwise if exact else _FloatDepthwise)(HIDDEN)
        self.mix = linear(HIDDEN, HIDDEN)
        self.write = linear(HIDDEN, outputs, gain=0.3)

    def forward(self, x: Tensor) -> Tensor:
        between = rectify if self.exact else F.relu
        x = between(self.mix(between(self.look(between(self.read(x))))))
        x = self.write(x)
        return to_index(x) if self.exact else (x * INDEX_GAIN + INDEX_CENTRE).clamp(0, SCALES - 1)


def _network(variant: Variant, inputs: int, outputs: int, again: bool) -> nn.Module:
    """again: of second halves, which see the first ones too."""
    if again:
        inputs += outputs
    if variant.sees_all:
        return GroupNetwork(inputs, HIDDEN, outputs, True, own=outputs if again else 0)
    return _Network(inputs, outputs, variant.exact)


class _Hyperprior(nn.Module):
    """A few numbers for each 2x2 latent positions, coded with one scale a channel."""

    def __init__(self, latents: int) -> None:
        super().__init__()
        self.analysis = nn.Sequential(
            nn.Conv2d(latents, HIDDEN, 1), nn.ReLU(), nn.Conv2d(HIDDEN, HYPER_CHANNELS, 2, stride=2)
        )
        self.synthesis = nn.Sequential(
            nn.Conv2d(HYPER_CHANNELS, HIDDEN, 1), nn.ReLU(), nn.Upsample(scale_factor=2)
        )
        self.index = nn.Parameter(torch.full((HYPER_CHANNELS,), 32.0))

    def forward(self, magnitudes: Tensor) -> tuple[Tensor, Tensor]:
        z = 4 * self.analysis(magnitudes.permute(0, 3, 1, 2))
        noisy = z + torch.rand_like(z) - 0.5 if self.training else z.round()
        index = self.index.clamp(0, SCALES - 1)[:, None, None].expand_as(z)
        seen: Tensor = self.synthesis(round_through(z) / 4)
        return seen.permute(0, 2, 3, 1), laplace_bits(noisy, index).sum()


class _Prior(nn.Module):
    def __init__(self, variant: Variant, side: int, context: int, latents: int) -> None:
        super().__init__()
        self.variant = variant
        self.bounds = list(zip((0, *variant.groups[:-1]), variant.groups, strict=True))
        side += context * variant.context + HIDDEN * variant.hyperprior
        self.hyperprior = _Hyperprior(latents) if variant.hyperprior else None
        self.first, self.second = (
            nn.ModuleList(
                _network(variant, side + start, end - start, again=bool(again))
                for start, end in self.bounds
            )
            for again in (0, 1)
        )

    def forward(self, symbols: Symbols) -> Tensor:
        """Bits of the frame."""
        side, total = symbols.side, torch.zeros(())
        if self.hyperprior is not None:
            seen, total = self.hyperprior(symbols.magnitudes)
            side = torch.cat([side, seen], -1)
        if self.variant.context:
            assert symbols.context is not None
            side = torch.cat([side, symbols.context], -1)
        height, width, channels = symbols.values.shape[1:]
        early = parity_map(height, width, channels, side.device)
        for (start, end), first, second in zip(self.bounds, self.first, self.second, strict=True):
            x = torch.cat([symbols.magnitudes[..., :start], side], -1)
            index = first(x)
            if self.variant.halves:
                half = early[..., start:end]
                known = symbols.magnitudes[..., start:end] * half
                index = torch.where(half > 0, index, second(torch.cat([x, known], -1)))
            total = total + laplace_bits(symbols.values[..., start:end], index).sum()
        return total


@torch.no_grad()
def symbols_of(model: VideoModel, sampler: Sampler, step: int) -> list[Symbols]:
    """Of the frames of one batch, the intra frame first."""
    sampler.start_step(step)
    y, uv, q = sampler.batch(ITEMS, LENGTH, SIDE)
    vectors = source_vectors(model.config, y, q)
    latent = model.intra.analyse(y[:, 0], uv[:, 0], q[:, 0])
    means, rounded = model.intra.means.quantise(latent, None, model.intra.gain(q[:, 0]))
    found = [_symbols(model, model.intra_prior, rounded - means, q[:, 0])]
    state, history = model.intra.synthesise(rounded, q[:, 0]), History.begin(found[0].magnitudes)
    for t in range(1, LENGTH):
        coder, field, at = model.inter, vectors[:, t - 1], q[:, t]
        prediction = coder.predict(state, field, at)
        latent = coder.analyse(y[:, t], uv[:, t], prediction, at)
        means, rounded = coder.means.quantise(latent, prediction.side, coder.gain(at))
        context = prediction.side.permute(0, 2, 3, 1)
        found.append(
            _symbols(model, model.inter_prior, rounded - means, at, history, field, context)
        )
        state = coder.synthesise(rounded, prediction, at)
        history = history.advance(found[-1].magnitudes)
    return found


def _symbols(
    model: VideoModel,
    prior: ScalePrior,
    symbols: Tensor,
    q: Tensor,
    history: History | None = None,
    vectors: Tensor | None = None,
    context: Tensor | None = None,
) -> Symbols:
    values = symbols.round().permute(0, 2, 3, 1).contiguous()
    batch, height, width, _ = values.shape
    side = prior.side_information(q, (batch, height, width), model.log_table, history, vectors)
    return Symbols(values, log_magnitude(values, model.log_table), side, context)


def train(variant: Variant, train_on: list[Symbols], test_on: list[Symbols], steps: int) -> Curve:
    torch.manual_seed(0)
    order = random.Random(0)
    like = train_on[0]
    context = like.context.shape[-1] if like.context is not None else 0
    prior = _Prior(variant, like.side.shape[-1], context, like.values.shape[-1])
    optimizer = torch.optim.Adam(prior.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    curve: Curve = []
    for step in range(1, steps + 1):
        prior.train()
        loss = prior(order.choice(train_on)) / PIXELS
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % (steps // TESTS) == 0:
            prior.eval()
            with torch.no_grad():
                bits = sum(float(prior(symbols)) for symbols in test_on)
            curve.append((step, bits / PIXELS / len(test_on)))
    return curve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batches", type=int, default=48)
    parser.add_argument("--steps", type=int, default=480)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(DEFAULT_MODEL).model.eval()
    clips = open_cache(arguments.cache)
    train_sampler = Sampler([c for c in clips if c.name not in HELD_OUT], 0)
    test_sampler = Sampler([c for c in clips if c.name in HELD_OUT], 1)
    train_on = [symbols_of(model, train_sampler, step) for step in range(arguments.batches)]
    test_on = [symbols_of(model, test_sampler, step) for step in range(arguments.batches // 4)]
    for kind, frames in (("intra", slice(0, 1)), ("inter", slice(1, None))):
        trained, tested = ([s for b in part for s in b[frames]] for part in (train_on, test_on))
        curves = {}
        for name, variant in VARIANTS.items():
            if variant.context and kind == "intra":
                continue  # an intra frame has none
            curves[name] = train(variant, trained, tested, arguments.steps)
            print(f"{kind}, {name}: {curves[name][-1][1]:.4f} bpp", flush=True)
        Experiment(
            f"Scales of {kind} frames: what they are predicted from",
            "steps of the scale prior",
            "bpp, clips held out",
            __doc__ or "",
            curves,
        ).write(arguments.out.with_name(f"{arguments.out.name}-{kind}.json"))


if __name__ == "__main__":
    main()
