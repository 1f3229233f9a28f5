"""How a clip's bits and PSNR depend on q, and a q that moves slowly towards what is wanted."""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

from neuralcodec.encoder.structure.gop_structure import HIGHEST, INTRA_BONUS, LOWEST
from neuralcodec.model.config import HIGHEST_Q, LOWEST_Q

# Of a usual clip. Five clips of now lie within a fourth of these.
INTER_OCTAVES = 1 / 14  # of bits, for each q
INTRA_OCTAVES = 1 / 24
DB_PER_Q = 0.17
STEEPEST = 2.0  # times as steep as usual, or as flat, are two points believed beyond them


@dataclass(frozen=True)
class Curve:
    """A rising function of q through known points, straight between and beyond them."""

    points: tuple[tuple[float, float], ...]  # (q, value), sorted
    usual_slope: float  # for a single point; bounds what two points may say beyond them

    @classmethod
    def through(cls, values: dict[int, float], usual_slope: float) -> "Curve":
        return cls(tuple(sorted(values.items())), usual_slope)

    def slope(self, q: float) -> float:
        if len(self.points) == 1:
            return self.usual_slope
        after = bisect_left([p[0] for p in self.points], q)
        after = min(max(after, 1), len(self.points) - 1)
        (q0, v0), (q1, v1) = self.points[after - 1], self.points[after]
        slope = (v1 - v0) / (q1 - q0)
        return min(max(slope, self.usual_slope / STEEPEST), self.usual_slope * STEEPEST)

    def __call__(self, q: float) -> float:
        nearest, value = min(self.points, key=lambda p: abs(p[0] - q))
        return value + (q - nearest) * self.slope(q)


def intra_quality(q: float) -> float:
    """q of the first frame of a GOP where a control gives q; see `frame_quality`."""
    return _within_scale(q + INTRA_BONUS)


def inter_quality(q: float) -> float:
    """q of the frames after it."""
    return _within_scale(q)


def _within_scale(q: float) -> float:
    return min(max(q, float(LOWEST_Q)), float(HIGHEST_Q))


def solve(rising: Callable[[float], float], wanted: float) -> float:
    """The q in LOWEST..HIGHEST at which a rising function is nearest to a value."""
    low, high = float(LOWEST), float(HIGHEST)
    for _ in range(30):
        middle = (low + high) / 2
        if rising(middle) < wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2


class Smoother:
    """A slowly moving real number as whole ones whose mean follows it."""

    def __init__(self, start: float) -> None:
        self.value = start
        self._owed = 0.0

    def approach(self, wanted: float, step: float) -> int:
        """Moves by at most `step`; gives the q for the next frame."""
        wanted = min(max(wanted, LOWEST), HIGHEST)
        self.value += min(max(wanted - self.value, -step), step)
        whole = round(self.value + self._owed)
        self._owed += self.value - whole
        return min(max(whole, LOWEST), HIGHEST)
