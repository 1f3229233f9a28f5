"""Structural similarity of two planes: SSIM and its multi-scale form, 1.0 for identical planes.

SSIM: Wang, Bovik, Sheikh, Simoncelli 2004, "Image Quality Assessment: From Error Visibility to
Structural Similarity"; 11×11 Gaussian window with σ = 1.5, windows that lie wholly inside the
plane, no downsampling beforehand. MS-SSIM: Wang, Simoncelli, Bovik 2003, "Multi-scale
Structural Similarity for Image Quality Assessment"; five scales, 2×2 means between them.
Both are computed in float64.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.metrics.planes import peak_of

WINDOW = 11
_SIGMA = 1.5
_K1, _K2 = 0.01, 0.03
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
LEAST_SIDE_MS_SSIM = WINDOW * 2 ** (len(SCALE_WEIGHTS) - 1)
"""176 samples: below, the window would not fit into the coarsest scale."""


def ssim(reference: np.ndarray, shown: np.ndarray) -> float:
    """Mean SSIM of two (H, W) planes of uint8 (8 bit) or uint16 (10 bit), at most 1.

    Raises ValueError for planes that cannot be compared or are smaller than the window.
    """
    a, b, peak = _as_tensors(reference, shown, least_side=WINDOW)
    luminance, contrast_structure = similarity_maps(a, b, peak)
    return float((luminance * contrast_structure).mean())


def ms_ssim(reference: np.ndarray, shown: np.ndarray) -> float:
    """MS-SSIM of two (H, W) planes of uint8 (8 bit) or uint16 (10 bit), in 0..1.

    A scale whose mean similarity is negative counts as 0, for it has no real fractional power.
    Raises ValueError for planes that cannot be compared or have a side under 176, where the
    window would not fit into the coarsest scale.
    """
    a, b, peak = _as_tensors(reference, shown, LEAST_SIDE_MS_SSIM)
    product = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS, start=1):
        luminance, similarity = similarity_maps(a, b, peak)
        if scale == len(SCALE_WEIGHTS):
            similarity = luminance * similarity
        product *= max(0.0, float(similarity.mean())) ** weight
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return product


def _as_tensors(
    reference: np.ndarray, shown: np.ndarray, least_side: int
) -> tuple[Tensor, Tensor, int]:
    """Both planes as (1, 1, H, W) float64, and the peak value."""
    peak = peak_of(reference, shown)
    if min(reference.shape) < least_side:
        raise ValueError(f"a plane of {reference.shape} has a side under {least_side} samples")
    a, b = (torch.from_numpy(p.astype(np.float64))[None, None] for p in (reference, shown))
    return a, b, peak


def similarity_maps(a: Tensor, b: Tensor, peak: int) -> tuple[Tensor, Tensor]:
    """Luminance and contrast-structure terms for each window of planes (B, 1, H, W), each
    (B, 1, H - 10, W - 10)."""
    c1, c2 = (_K1 * peak) ** 2, (_K2 * peak) ** 2
    mean_a, mean_b, mean_aa, mean_bb, mean_ab = (
        _window_mean(x) for x in (a, b, a * a, b * b, a * b)
    )
    variances = mean_aa - mean_a**2 + mean_bb - mean_b**2
    covariance = mean_ab - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return luminance, (2 * covariance + c2) / (variances + c2)


def _window_mean(x: Tensor) -> Tensor:
    """Gaussian-weighted mean over every window inside (B, 1, H, W), as two 1-D passes.

    Sums of shifted copies: on float64 twenty times as fast as a convolution.
    """
    offsets = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    window = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    weights = (window / window.sum()).tolist()
    for axis in (-2, -1):
        count = x.shape[axis] - WINDOW + 1
        total = x.narrow(axis, 0, count) * weights[0]
        for offset, weight in enumerate(weights[1:], start=1):
            total.add_(x.narrow(axis, offset, count), alpha=weight)
        x = total
    return x
