"""Bjøntegaard deltas: the mean difference in rate, or in PSNR, between two codecs' curves.

Bjøntegaard 2001, "Calculation of average PSNR differences between RD-curves" (VCEG-M33), with
the piecewise cubic Hermite interpolation that the video coding groups use since HEVC (PCHIP:
Fritsch and Butland 1984): it passes through every point and never overshoots between two.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MIN_POINTS = 4
MIN_OVERLAP_DB = 1.0


@dataclass(frozen=True)
class RatePoint:
    """One encoding: its rate (any unit, the same for all points) and its PSNR in dB."""

    rate: float
    psnr: float


def bd_rate(anchor: Sequence[RatePoint], test: Sequence[RatePoint]) -> float:
    """Mean difference in rate of `test` against `anchor` at equal PSNR, in percent.

    -20 means that `test` needs 20 % fewer bits. Raises ValueError, with the reason, for a curve
    of fewer than 4 points or whose PSNR does not rise with the rate, and for curves whose PSNR
    ranges overlap by less than 1 dB.
    """
    low, high = _psnr_overlap(anchor, test)
    anchor_mean, test_mean = (
        _mean_between(psnr, log_rate, low, high) for log_rate, psnr in map(_curve, (anchor, test))
    )
    return 100 * math.expm1(test_mean - anchor_mean)


def bd_psnr(anchor: Sequence[RatePoint], test: Sequence[RatePoint]) -> float:
    """Mean difference in PSNR of `test` against `anchor` at equal rate, in dB.

    Raises ValueError as `bd_rate` does, and where the curves have no rate in common.
    """
    _psnr_overlap(anchor, test)
    curves = [_curve(points) for points in (anchor, test)]
    low = max(log_rate[0] for log_rate, _ in curves)
    high = min(log_rate[-1] for log_rate, _ in curves)
    if low >= high:
        raise ValueError("the curves have no rate in common")
    anchor_mean, test_mean = (_mean_between(log_rate, psnr, low, high) for log_rate, psnr in curves)
    return test_mean - anchor_mean


def _psnr_overlap(anchor: Sequence[RatePoint], test: Sequence[RatePoint]) -> tuple[float, float]:
    """The PSNR range, low and high, that both curves cover."""
    curves = [_curve(points)[1] for points in (anchor, test)]
    low = max(float(psnr[0]) for psnr in curves)
    high = min(float(psnr[-1]) for psnr in curves)
    if high - low < MIN_OVERLAP_DB:
        ranges = " and ".join(f"{psnr[0]:.2f}..{psnr[-1]:.2f}" for psnr in curves)
        raise ValueError(f"the PSNR ranges {ranges} overlap by less than {MIN_OVERLAP_DB:g} dB")
    return low, high


def _curve(points: Sequence[RatePoint]) -> tuple[np.ndarray, np.ndarray]:
    """(log rate, PSNR), both strictly increasing."""
    if len(points) < MIN_POINTS:
        raise ValueError(f"a curve of {len(points)} points; {MIN_POINTS} are needed")
    if not all(p.rate > 0 and math.isfinite(p.rate) and math.isfinite(p.psnr) for p in points):
        raise ValueError("rates must be above 0, and rates and PSNR finite")
    ordered = sorted(points, key=lambda p: p.rate)
    log_rate = np.log([p.rate for p in ordered])
    psnr = np.array([p.psnr for p in ordered], dtype=np.float64)
    if np.any(np.diff(log_rate) <= 0) or np.any(np.diff(psnr) <= 0):
        raise ValueError("the PSNR of a curve must rise with its rate")
    return log_rate, psnr


def _mean_between(x: np.ndarray, y: np.ndarray, low: float, high: float) -> float:
    """Mean over [low, high] of the PCHIP interpolant through (x, y), exactly."""
    width = np.diff(x)
    slope = np.diff(y) / width
    d = _pchip_derivatives(width, slope)
    # y[i] + d[i] s + c2[i] s² + c3[i] s³ on piece i, with s = x - x[i].
    c2 = (3 * slope - 2 * d[:-1] - d[1:]) / width
    c3 = (d[:-1] + d[1:] - 2 * slope) / width**2

    def integral_to(s: np.ndarray) -> np.ndarray:
        return s * (y[:-1] + s * (d[:-1] / 2 + s * (c2 / 3 + s * c3 / 4)))

    begin = np.clip(low - x[:-1], 0, width)
    end = np.clip(high - x[:-1], 0, width)
    return float((integral_to(end) - integral_to(begin)).sum() / (high - low))


def _pchip_derivatives(width: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Derivatives at the n points of n - 1 pieces of strictly increasing data (all slopes > 0).

    Inside, the harmonic mean of both slopes, weighted by the pieces' widths; at the ends, the
    three-point formula, held at 0 or above so as not to overshoot.
    """
    w1 = 2 * width[1:] + width[:-1]
    w2 = width[1:] + 2 * width[:-1]
    inner = (w1 + w2) / (w1 / slope[:-1] + w2 / slope[1:])

    def at_end(h0: float, h1: float, s0: float, s1: float) -> float:
        return max(0.0, ((2 * h0 + h1) * s0 - h0 * s1) / (h0 + h1))

    first = at_end(width[0], width[1], slope[0], slope[1])
    last = at_end(width[-1], width[-2], slope[-1], slope[-2])
    return np.concatenate([[first], inner, [last]])
