"""Experiment 3, the linear path: the KLT of the training clips against cosine transforms.

    python scripts/experiments/transforms.py CACHE --out results/experiments/transforms

Patches of the clips held out (16x16 luma samples with their chroma) are transformed, quantised with
the steps of qualities 0 to 63 and a dead zone, and transformed back; bits are the entropy of each
coefficient over a picture by itself, without any context. Of intra frames the samples, of inter
frames what motion compensation leaves: the reference is a frame as the shipped model codes it.
Writes one file for each; in the names, BD-rate over the KLT.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from curves import HELD_OUT, Experiment, mean_curve
from torch import Tensor

from neuralcodec.metrics.bd_rate import RatePoint, bd_rate
from neuralcodec.model.config import QUALITIES
from neuralcodec.model.layers import planes_to_tokens
from neuralcodec.model.model_file import DEFAULT_MODEL, load_model
from neuralcodec.model.recurrence import MIDDLE
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.crops import crops_of
from neuralcodec.training.linear_start import (
    inter_basis,
    intra_basis,
    log_steps,
    patch_gains,
    weighted_patches,
)
from neuralcodec.training.objective import source_vectors
from neuralcodec.training.sampling import Sampler, open_cache

TRAINED_ON = 60  # batches
ROUNDING = 0.36  # added before rounding down: symbols are zero up to 0.64 of a step
REFERENCE_QUALITY = 36.0
STILL = "intel_car-detection"  # of whose second frame coarse steps leave nothing


@torch.no_grad()
def patches(model: VideoModel, y: Tensor, uv: Tensor, inter: bool) -> Tensor:
    """Of y (B, T, 1, H, W) and uv: of the first frames, or what is left of the second, (n, 384)."""
    tokens = planes_to_tokens(y[:, 0], uv[:, 0])
    if not inter:
        return weighted_patches(tokens - MIDDLE)
    q = torch.full(y.shape[:2], REFERENCE_QUALITY)
    state = model.code_intra(y[:, 0], uv[:, 0], q[:, 0]).recurrence.state
    vectors = source_vectors(model.config, y[:, :2], q[:, :2])[:, 0]
    prediction = model.inter.predict(state, vectors, q[:, 1])
    return weighted_patches(planes_to_tokens(y[:, 1], uv[:, 1]) - prediction.tokens)


def coded(samples: Tensor, basis: Tensor, steps: Sequence[float]) -> list[RatePoint]:
    """basis (384, 384), a row per coefficient. At each step: bits per luma sample, PSNR-YUV."""
    coefficients = samples @ basis.T
    points = []
    for step in steps:
        symbols = coefficients.sign() * (coefficients.abs() / step + ROUNDING).floor()
        error = ((symbols * step) @ basis - samples) / patch_gains()
        mse = error.square().mean(0)
        y, u, v = (-10 * math.log10(float(part.mean())) for part in mse.split((256, 64, 64)))
        bits = sum(_entropy(channel) for channel in symbols.T)
        points.append(RatePoint(bits / 256, (6 * y + u + v) / 8))
    return points


def _entropy(symbols: Tensor) -> float:
    """Bits of each, when the histogram is known."""
    shares = symbols.unique(return_counts=True)[1].double() / len(symbols)
    return float(-(shares * shares.log2()).sum())


def compare(
    model: VideoModel, sampler: Sampler, crops: list[tuple[Tensor, Tensor]], inter: bool
) -> Experiment:
    covariance = torch.zeros(384, 384).double()
    for step in range(TRAINED_ON):
        sampler.start_step(step)
        y, uv, _ = sampler.batch(8, 2, 128)
        drawn = patches(model, y, uv, inter)
        covariance += drawn.T @ drawn
    bases = {
        "KLT": torch.linalg.eigh(covariance)[1].T,
        "DCT 16x16": intra_basis().flatten(1),
        "DCT 8x8, Haar of the means": inter_basis().flatten(1),
    }
    steps = [float(step) for step in log_steps(model.config).exp()]
    samples = [patches(model, y, uv, inter) for y, uv in crops]
    found = {name: [coded(s, basis, steps) for s in samples] for name, basis in bases.items()}
    curves = {}
    for name, by_crop in found.items():
        pairs = zip(found["KLT"], by_crop, strict=True)
        delta = sum(bd_rate(*pair) for pair in pairs) / len(by_crop)
        label = f"{name}: {delta:+.1f} %"
        print("inter" if inter else "intra", label, flush=True)
        curves[label] = mean_curve(by_crop)
    what = "what motion leaves of inter frames" if inter else "intra frames"
    title = f"Transforms of {what}, q 0 to {QUALITIES - 1}"
    axis = "PSNR-YUV, dB, clips held out"
    return Experiment(
        title, "entropy of each coefficient by itself, bpp", axis, __doc__ or "", curves
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(DEFAULT_MODEL).model.eval()
    clips = open_cache(arguments.cache)
    sampler = Sampler([c for c in clips if c.name not in HELD_OUT], 0)
    held_out = crops_of([c for c in clips if c.name in HELD_OUT])
    for inter in (False, True):
        crops = [
            (c.y[None].float() / 255, c.uv[None].float() / 255)
            for c in held_out
            if not inter or c.name != STILL
        ]
        name = f"{arguments.out.name}-{'inter' if inter else 'intra'}.json"
        compare(model, sampler, crops, inter).write(arguments.out.with_name(name))


if __name__ == "__main__":
    main()
