"""Experiment 6: what a filter of full resolution makes of decoded pictures, by the kind of filter.

    python scripts/experiments/loop_filter.py CACHE MODEL --out results/experiments/loop-filter

MODEL decodes sequences of the training clips, and of those held out, at four qualities, without
filters of its own. Each filter then learns on the former what is lost, and is judged on the latter
every so often: decibels of luma that it gains, the mean over pictures. The deblocking and smoothing
filters of the package stand beside small convolutional networks at half resolution.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from curves import HELD_OUT, Experiment
from torch import Tensor, nn

from neuralcodec.model.config import ModelConfig
from neuralcodec.model.distortion import distortion
from neuralcodec.model.layers import QualityVector
from neuralcodec.model.loop_filters import LoopFilters
from neuralcodec.model.state import State
from neuralcodec.model.video_model import VideoModel
from neuralcodec.model.zoo import load_model
from neuralcodec.training.objective import inter_cost, intra_cost, source_vectors
from neuralcodec.training.sampling import Sampler, open_cache

QUALITIES = (8.0, 24.0, 40.0, 56.0)
FRAMES, SIDE = 6, 192
STEPS, JUDGED_EVERY = 1200, 200
CHANNELS, ANCHORS = 1, 8  # of a feature map that is zero: strengths stay 1
BALANCE = 0.4  # as in `objective`
LIMIT = 0.5  # dB that a picture counts for at most


@dataclass(frozen=True)
class Decoded:
    """One time step of a batch, a quality each."""

    shown: State
    y: Tensor
    uv: Tensor
    q: Tensor


class Networks(nn.Module):
    """Convolutions of 3x3 at half resolution, `layers` of them between the first and the last."""

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        self.read = nn.Conv2d(6, channels, 3, padding=1)
        self.mix = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(layers))
        self.write = nn.Conv2d(channels, 6, 3, padding=1)
        self.bias = QualityVector(channels, ANCHORS)
        nn.init.zeros_(self.write.weight)
        assert self.write.bias is not None
        nn.init.zeros_(self.write.bias)

    def forward(self, y: Tensor, uv: Tensor, feature: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        seen = torch.cat([F.pixel_unshuffle(y, 2), uv], 1)
        hidden = F.leaky_relu(self.read(4 * seen - 2) + self.bias(q), 0.1)
        for layer in self.mix:
            hidden = hidden + F.leaky_relu(layer(hidden), 0.1)
        change = 0.05 * self.write(hidden)
        return y + F.pixel_shuffle(change[:, :4], 2), uv + change[:, 4:]


KINDS: dict[str, Callable[[], nn.Module]] = {
    "deblocking and smoothing (as shipped)": lambda: LoopFilters(CHANNELS, ANCHORS),
    "network of 16 channels, 3 layers, 1.0 kMAC/pixel": lambda: Networks(16, 1),
    "network of 24 channels, 4 layers, 3.2 kMAC/pixel": lambda: Networks(24, 2),
}


@torch.no_grad()
def decoded(model: VideoModel, sampler: Sampler, batches: int) -> Iterator[Decoded]:
    """The first, fourth and last frame of each sequence."""
    for step in range(batches):
        sampler.start_step(step)
        y, uv, _ = sampler.batch(len(QUALITIES), FRAMES, SIDE)
        q = torch.tensor(QUALITIES)
        vectors = source_vectors(model.config, y, q[:, None].expand(-1, FRAMES))
        cost, history = intra_cost(model, y[:, 0], uv[:, 0], q)
        for t in range(FRAMES):
            if t > 0:
                cost, history = inter_cost(
                    model, y[:, t], uv[:, t], q, cost.shown, history, vectors[:, t - 1],
                    torch.zeros_like(q),
                )  # fmt: skip
            if t in (0, 3, FRAMES - 1):
                yield Decoded(cost.shown, y[:, t], uv[:, t], q)


def filtered(kind: nn.Module, item: Decoded) -> State:
    shown = item.shown
    feature = torch.zeros(len(item.q), CHANNELS, *shown.feature.shape[-2:])
    y, uv = kind(shown.y, shown.uv, feature, item.q)
    return State(y, uv, shown.feature, shown.latent)


@torch.no_grad()
def gain(kind: nn.Module, items: list[Decoded]) -> float:
    """Mean decibels of luma; a drawn picture gains so much that it would stand for all."""
    gains = []
    for item in items:
        before, after = (
            (state.y - item.y).square().mean((1, 2, 3))
            for state in (item.shown, filtered(kind, item))
        )
        gains.append((10 * torch.log10(before / after)).clamp(-LIMIT, LIMIT).mean())
    return float(torch.stack(gains).mean())


def learn(
    kind: nn.Module, config: ModelConfig, trained: list[Decoded], judged: list[Decoded]
) -> list[tuple[float, float]]:
    optimizer = torch.optim.AdamW(kind.parameters(), 3e-3, weight_decay=0)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    curve = [(0.0, gain(kind, judged))]
    order = torch.Generator().manual_seed(0)
    for step in range(STEPS):
        item = trained[int(torch.randint(len(trained), (), generator=order))]
        weight = config.quality_lambdas(item.q)
        error = distortion(filtered(kind, item), item.y, item.uv)
        loss = (weight * (weight / 1000) ** -BALANCE * error).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(kind.parameters(), 1.0)
        optimizer.step()
        decay.step()
        if (step + 1) % JUDGED_EVERY == 0:
            curve.append((float(step + 1), gain(kind, judged)))
    return curve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("model")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    model = load_model(arguments.model).model
    model.intra.filters = model.inter.filters = None
    held_out = [clip for clip in open_cache(arguments.cache) if clip.name in HELD_OUT]
    trained = list(decoded(model, Sampler(open_cache(arguments.cache, frozenset(HELD_OUT)), 0), 24))
    judged = list(decoded(model, Sampler(held_out, 1), 12))
    curves = {}
    for name, make in KINDS.items():
        torch.manual_seed(0)
        curves[name] = learn(make(), model.config, trained, judged)
        print(f"{name}: {curves[name][-1][1]:+.3f} dB", flush=True)
    title = "Filters after the synthesis"
    Experiment(title, "steps", "dB of luma gained, clips held out", __doc__ or "", curves).write(
        arguments.out.with_suffix(".json")
    )


if __name__ == "__main__":
    main()
