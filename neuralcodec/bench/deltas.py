"""Every codec against the anchor, clip by clip."""

from collections.abc import Iterable, Sequence
from statistics import mean

from neuralcodec.bench.results import BenchResults, Delta, Point
from neuralcodec.metrics import RatePoint, bd_psnr, bd_rate


def deltas_of(points: Sequence[Point], anchor: str) -> list[Delta]:
    """One for each clip and codec other than the anchor; where there is no figure, the reason."""
    curves: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        curves.setdefault((point.clip, point.codec), []).append(point)
    return [
        _delta(clip, codec, curves.get((clip, anchor), []), curve)
        for (clip, codec), curve in curves.items()
        if codec != anchor
    ]


def mean_bd_rate(results: BenchResults, codec: str) -> float | None:
    """In percent, over the clips that have a figure; None if none has."""
    found = [d.bd_rate for d in results.deltas if d.codec == codec and d.bd_rate is not None]
    return mean(found) if found else None


def mean_bd_psnr(results: BenchResults, codec: str) -> float | None:
    """In dB, over the clips that have a figure; None if none has."""
    found = [d.bd_psnr for d in results.deltas if d.codec == codec and d.bd_psnr is not None]
    return mean(found) if found else None


def _delta(clip: str, codec: str, anchor: list[Point], test: list[Point]) -> Delta:
    if not anchor:
        return Delta(clip, codec, None, None, None, "the anchor was not measured on this clip")
    pair = _rate_points(anchor), _rate_points(test)
    rate = psnr = reason = None
    try:
        rate = bd_rate(*pair)
        psnr = bd_psnr(*pair)
    except ValueError as error:
        reason = str(error)
    low = max(min(p.psnr for p in curve) for curve in pair)
    high = min(max(p.psnr for p in curve) for curve in pair)
    return Delta(clip, codec, rate, psnr, (low, high) if low < high else None, reason)


def _rate_points(points: Iterable[Point]) -> list[RatePoint]:
    return [RatePoint(point.bpp, point.psnr_yuv) for point in points]
