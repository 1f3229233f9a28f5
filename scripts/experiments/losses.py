"""Experiment 4: squared error alone against squared error and MS-SSIM.

    python scripts/experiments/losses.py CACHE --out results/experiments/losses --pictures DIR

The shipped model is trained on with either loss, from the same weights with the same batches; then
each codes the clips held out. Writes MS-SSIM (of luma, as -10 log10(1 - MS-SSIM)) and PSNR-YUV over
the bits, and, for the eyes, the last frame of each clip at the lowest quality.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from curves import HELD_OUT, Experiment, mean_curve
from matplotlib import pyplot as plt
from torch import Tensor

from neuralcodec.metrics.bd_rate import RatePoint, bd_rate
from neuralcodec.metrics.ssim import SCALE_WEIGHTS, similarity_maps
from neuralcodec.model.model_file import DEFAULT_MODEL, load_model
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.crops import Crop, crops_of
from neuralcodec.training.objective import BALANCE, sequence_costs, source_vectors
from neuralcodec.training.sampling import Sampler, open_cache
from neuralcodec.training.validation import QUALITIES, psnr_yuv

# On the clips held out 1 - MS-SSIM is about 50 times the squared error: so both count alike.
SQUARED_ERROR_OF_DISSIMILARITY = 0.02
SHARES = {"squared error": 0.0, "half squared error, half MS-SSIM": 0.5, "MS-SSIM alone": 1.0}
BATCH = (2, 4, 192)  # sequences, frames, samples: MS-SSIM needs 176


def dissimilarity(a: Tensor, b: Tensor) -> Tensor:
    """1 - MS-SSIM of planes (B, 1, H, W) in [0, 1], (B,)."""
    product = torch.ones(a.shape[0])
    for scale, weight in enumerate(SCALE_WEIGHTS, start=1):
        luminance, similarity = similarity_maps(a, b, peak=1)
        if scale == len(SCALE_WEIGHTS):
            similarity = luminance * similarity
        product = product * similarity.mean((1, 2, 3)).clamp(min=1e-3) ** weight
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return 1 - product


def train(model: VideoModel, sampler: Sampler, share: float, steps: int) -> None:
    model.train()
    parameters = [p for n, p in model.named_parameters() if not n.startswith("motion_prior.")]
    optimizer = torch.optim.AdamW(parameters, 2e-4, weight_decay=0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        torch.manual_seed(step)
        sampler.start_step(step)
        y, uv, q = sampler.batch(*BATCH)
        vectors = source_vectors(model.config, y, q)
        with torch.autocast("cpu", torch.bfloat16):
            costs = sequence_costs(model, y, uv, q, vectors, count_vectors=False)
        total = torch.zeros(())
        for t, cost in enumerate(costs):
            error = cost.distortion
            if share:
                unlike = dissimilarity(cost.shown.y.float(), y[:, t])
                error = (1 - share) * error + share * SQUARED_ERROR_OF_DISSIMILARITY * unlike
            weight = model.config.quality_lambdas(q[:, t])
            loss = (cost.latent_bpp + weight * error) * (weight / 1000) ** -BALANCE
            total = total + loss.mean()
        optimizer.zero_grad()
        (total / len(costs)).backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        if torch.isfinite(norm):
            optimizer.step()
        schedule.step()


@dataclass(frozen=True)
class Judged:
    """A crop at one quality; points: over bpp, by judge. last: the luma of the last frame."""

    points: dict[str, RatePoint]
    last: Tensor


@torch.no_grad()
def judged(model: VideoModel, crop: Crop) -> Iterator[Judged]:
    """At each quality."""
    model.eval()
    y, uv = crop.y[None].float() / 255, crop.uv[None].float() / 255
    for quality in QUALITIES:
        q = torch.full(y.shape[:2], float(quality))
        costs = sequence_costs(model, y, uv, q, source_vectors(model.config, y, q))
        bpp = float(torch.stack([c.latent_bpp + c.vector_bpp for c in costs]).mean())
        unlike = torch.stack([dissimilarity(c.shown.y, y[:, t]) for t, c in enumerate(costs)])
        psnr = torch.stack([psnr_yuv(c.shown, y[:, t], uv[:, t]) for t, c in enumerate(costs)])
        decibels = -10 * math.log10(float(unlike.mean()))
        points = {"MS-SSIM": RatePoint(bpp, decibels), "PSNR": RatePoint(bpp, float(psnr.mean()))}
        yield Judged(points, costs[-1].shown.y[0, 0].clamp(0, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.pictures.mkdir(parents=True, exist_ok=True)
    clips = open_cache(arguments.cache)
    crops = crops_of([c for c in clips if c.name in HELD_OUT])
    sampler = Sampler([c for c in clips if c.name not in HELD_OUT], 0)
    found: dict[str, list[list[Judged]]] = {}
    for name, share in SHARES.items():
        model = load_model(DEFAULT_MODEL).model.requires_grad_(True)
        train(model, sampler, share, arguments.steps)
        found[name] = [list(judged(model, crop)) for crop in crops]
        for crop, points in zip(crops, found[name], strict=True):
            path = arguments.pictures / f"{crop.name} {name}.png"
            plt.imsave(path, points[0].last.numpy(), cmap="gray", vmin=0, vmax=1)
    for judge, axis in (("MS-SSIM", "luma MS-SSIM, dB"), ("PSNR", "PSNR-YUV, dB")):
        curves = {}
        for name, share_found in found.items():
            by_crop = [[at.points[judge] for at in points] for points in share_found]
            anchors = [[at.points[judge] for at in points] for points in found["squared error"]]
            deltas = [bd_rate(*pair) for pair in zip(anchors, by_crop, strict=True)]
            label = f"{name}: {sum(deltas) / len(deltas):+.1f} %"
            print(f"by {judge}, {label}", flush=True)
            curves[label] = mean_curve(by_crop)
        Experiment(
            f"What is trained for, judged by {judge}", "bpp", axis, __doc__ or "", curves
        ).write(arguments.out.with_name(f"{arguments.out.name}-{judge.lower()}.json"))


if __name__ == "__main__":
    main()
