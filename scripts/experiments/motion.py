"""Experiment 2: block vectors against learned flow and against none; search effort against bits.

    python scripts/experiments/motion.py CACHE --out results/experiments/motion

Writes two files. `motion-effort`: the shipped model codes the clips held out (12 frames as one GOP,
references as a decoder has them) with vectors found in different ways; rate over PSNR-YUV, and in
each name the BD-rate over what the encoder does. `motion-flow`: a flow network (coarse to fine, as
SpyNet, Ranjan and Black 2017) learns to predict frames from the source's last ones, unhindered by
the cost of its field; the luma PSNR of the prediction, next to that of block vectors and of none.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from curves import HELD_OUT, Experiment, mean_curve
from torch import Tensor, nn

from neuralcodec.encoder.motion_choice import choose_vectors
from neuralcodec.encoder.motion_search import (
    NORMAL_SEARCH,
    THOROUGH_SEARCH,
    SearchEffort,
    padded_planes,
    search_vectors,
)
from neuralcodec.metrics.bd_rate import RatePoint, bd_rate
from neuralcodec.model.code_length import vector_field_bits
from neuralcodec.model.exact import exact_float32
from neuralcodec.model.model_file import DEFAULT_MODEL, load_model
from neuralcodec.model.motion_compensation import warp_planes
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.crops import crops_of
from neuralcodec.training.objective import costs_of, source_vectors
from neuralcodec.training.sampling import Sampler, open_cache
from neuralcodec.training.validation import QUALITIES, psnr_yuv

# current and reference luma, last field, q, λ -> field
Search = Callable[[VideoModel, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
QUICK = SearchEffort(quarter_samples=False, every_offer=False, bit_price=0.5)
LEVELS, FLOW_CHANNELS = 5, 32


def _none(
    model: VideoModel, now: Tensor, before: Tensor, last: Tensor, q: Tensor, weight: Tensor
) -> Tensor:
    return torch.zeros_like(last)


def _by(effort: SearchEffort, choose: bool) -> Search:
    def search(
        model: VideoModel, now: Tensor, before: Tensor, last: Tensor, q: Tensor, weight: Tensor
    ) -> Tensor:
        found = search_vectors(now, before, last, weight, effort)
        if not choose:
            return found
        prior, table = model.vector_prior, model.log_table
        return choose_vectors(prior, table, now, padded_planes(before), found, last, q, weight)

    return search


def _one_for_16x16(
    model: VideoModel, now: Tensor, before: Tensor, last: Tensor, q: Tensor, weight: Tensor
) -> Tensor:
    found = search_vectors(now, before, last, weight)
    return found[..., ::2, ::2].repeat_interleave(2, -1).repeat_interleave(2, -2)


OURS = "thorough search, then choice by the prior (as shipped)"
SEARCHES: dict[str, Search] = {
    "no motion": _none,
    "16x16 blocks, no choice": _one_for_16x16,
    "half samples, few candidates, no choice": _by(QUICK, False),
    "half samples, few candidates": _by(QUICK, True),
    "every second row, no diagonal moves (preset fast), no choice": _by(NORMAL_SEARCH, False),
    "every second row, no diagonal moves": _by(replace(NORMAL_SEARCH, bit_price=0.5), True),
    "thorough search, no choice": _by(THOROUGH_SEARCH, False),
    OURS: _by(replace(THOROUGH_SEARCH, bit_price=0.5), True),
}


@torch.no_grad()
def coded(model: VideoModel, y: Tensor, uv: Tensor, q: int, search: Search) -> RatePoint:
    """y (1, T, 1, H, W): one GOP."""
    quality = torch.full((1,), float(q))
    weight = model.config.quality_lambdas(quality)
    steps = [model.code_intra(y[:, 0], uv[:, 0], quality)]
    bits = [torch.zeros(1)]
    for t in range(1, y.shape[1]):
        before = steps[-1].recurrence
        last = before.vectors
        field = search(model, y[:, t], before.state.y, last, quality, weight)
        with exact_float32("cpu"):
            bits.append(
                vector_field_bits(model.vector_prior, field, last, quality, model.log_table)
            )
        steps.append(model.code_inter(y[:, t], uv[:, t], quality, field, before))
    costs = costs_of(steps, y, uv, torch.stack(bits, 1), training=False)
    bpp = [float(cost.latent_bpp + cost.vector_bpp) for cost in costs]
    psnr = [float(psnr_yuv(cost.shown, y[:, t], uv[:, t])) for t, cost in enumerate(costs)]
    return RatePoint(sum(bpp) / len(bpp), sum(psnr) / len(psnr))


def efforts(model: VideoModel, crops: list[tuple[Tensor, Tensor]]) -> Experiment:
    points: dict[str, list[list[RatePoint]]] = {}
    seconds: dict[str, float] = {}
    for name, search in SEARCHES.items():
        started = time.process_time()
        points[name] = [[coded(model, *crop, q, search) for q in QUALITIES] for crop in crops]
        seconds[name] = time.process_time() - started
    curves = {}
    for name, by_crop in points.items():
        anchors = zip(points[OURS], by_crop, strict=True)
        delta = sum(bd_rate(anchor, curve) for anchor, curve in anchors) / len(by_crop)
        label = f"{name}: {delta:+.1f} %, time x{seconds[name] / seconds[OURS]:.2f}"
        print(label, flush=True)
        curves[label] = mean_curve(by_crop)
    return Experiment(
        "How vectors are found", "bpp", "PSNR-YUV, dB, clips held out", __doc__ or "", curves
    )


class FlowNetwork(nn.Module):
    """From two frames the displacement (B, 2, H, W) in samples, refined level by level."""

    def __init__(self) -> None:
        super().__init__()
        c = FLOW_CHANNELS
        self.levels = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(4, c, 5, padding=2), nn.ReLU(),
                nn.Conv2d(c, c, 5, padding=2), nn.ReLU(),
                nn.Conv2d(c, c, 3, padding=1), nn.ReLU(),
                nn.Conv2d(c, 2, 3, padding=1),
            )
            for _ in range(LEVELS)
        )  # fmt: skip

    def forward(self, now: Tensor, before: Tensor) -> Tensor:
        pyramid = [(now, before)]
        for _ in range(LEVELS - 1):
            pyramid.append(tuple(F.avg_pool2d(x, 2) for x in pyramid[-1]))  # type: ignore[arg-type]
        flow = torch.zeros_like(pyramid[-1][0]).expand(-1, 2, -1, -1)
        for level, (a, b) in zip(self.levels, reversed(pyramid), strict=True):
            if flow.shape[-1] != a.shape[-1]:
                flow = 2 * F.interpolate(flow, scale_factor=2, mode="bilinear")
            flow = flow + level(torch.cat([a, sampled(b, flow), flow], 1))
        return flow


def sampled(picture: Tensor, flow: Tensor, mode: str = "bilinear") -> Tensor:
    height, width = picture.shape[-2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    x = (columns + flow[:, 0]) * (2 / (width - 1)) - 1
    y = (rows + flow[:, 1]) * (2 / (height - 1)) - 1
    grid = torch.stack([x, y], -1)
    return F.grid_sample(picture, grid, mode, padding_mode="border", align_corners=True)


def _psnr(predicted: Tensor, source: Tensor) -> float:
    mse = (predicted - source).square().mean((1, 2, 3))
    return float((-10 * torch.log10(mse)).mean())


def flows(sampler: Sampler, model: VideoModel, y: Tensor, uv: Tensor, steps: int) -> Experiment:
    """y (n, T, 1, H, W): frames held out."""
    now, before = y[:, 1:].flatten(0, 1), y[:, :-1].flatten(0, 1)
    vectors = source_vectors(model.config, y, torch.full(y.shape[:2], 32.0)).flatten(0, 1)
    blocks = warp_planes(before, uv[:, :-1].flatten(0, 1), vectors)[0]
    torch.manual_seed(0)
    network = FlowNetwork()
    optimizer = torch.optim.AdamW(network.parameters(), 5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    curve = []
    for step in range(steps + 1):
        if step % (steps // 8) == 0:
            with torch.no_grad():
                flow = torch.cat(
                    [network(*p) for p in zip(now.split(4), before.split(4), strict=True)]
                )
                curve.append((float(step), _psnr(sampled(before, flow, "bicubic"), now)))
                print(curve[-1], flush=True)
        sampler.start_step(step)
        luma, _, _ = sampler.batch(6, 2, 192)
        found = sampled(luma[:, 0], network(luma[:, 1], luma[:, 0]), "bicubic")
        loss = (found - luma[:, 1]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    ends = (0.0, float(steps))
    return Experiment(
        "Predicting a frame from the source's last one",
        "steps of the flow network (6 pairs, 192x192)",
        "luma PSNR, dB, clips held out",
        __doc__ or "",
        {
            "learned flow, no cost of its field": curve,
            "block vectors at q 32": [(x, _psnr(blocks, now)) for x in ends],
            "no motion": [(x, _psnr(before, now)) for x in ends],
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1200, help="of the flow network")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(DEFAULT_MODEL).model.eval()
    clips = open_cache(arguments.cache)
    held_out = crops_of([c for c in clips if c.name in HELD_OUT])
    crops = [(c.y[None].float() / 255, c.uv[None].float() / 255) for c in held_out]
    efforts(model, crops).write(arguments.out.with_name(arguments.out.name + "-effort.json"))
    sampler = Sampler([c for c in clips if c.name not in HELD_OUT], 0)
    y, uv = (torch.cat([crop[i] for crop in crops]) for i in (0, 1))
    found = flows(sampler, model, y, uv, arguments.steps)
    found.write(arguments.out.with_name(arguments.out.name + "-flow.json"))


if __name__ == "__main__":
    main()
