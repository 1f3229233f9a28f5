"""How many frames each mini-GOP has: what saves most, as far as small pictures tell.

Up to 16 frames after an anchor are cut in halves, quarters and so on as long as that costs less. A
mini-GOP costs what its frames leave to be coded after prediction from the frames that they would
refer to: forward only for the anchor, the better of both sides or their mean for the others.
"""

from collections.abc import Sequence

import numpy as np

from neuralcodec.encoder.mini_gops import LARGEST, Structure, largest_size
from neuralcodec.encoder.small_motion import (
    UNITS,
    Motion,
    SmallPicture,
    blended_errors,
    find_motion,
)
from neuralcodec.kernels.compiled import can_run
from neuralcodec.kernels.motion.small_search import BLOCK
from neuralcodec.video import Frame

# By size: what its frames are worth in bits against those of single frames: quality goes where
# others lean on it, and frames of the last level are coded coarsely. Fitted to clips coded with
# each size (scripts/measure_structure.py).
WORTH = {1: 1.0, 2: 0.95, 4: 0.92, 8: 0.90, 16: 0.88}
MOTION_BITS = 0.5  # that one of a small picture stands for
# Squared error, in 8-bit steps, that stays at q 32, and how many q more halve it
LEFT, HALVED_BY = 8.0, 8.6
WITHOUT_LOOKING = 4  # frames of a mini-GOP where kernels cannot run


class StructureChoice:
    """Chooses for the frames of one video in turn."""

    def __init__(self, structure: Structure, quality: int) -> None:
        self.structure = structure
        self._left = _left_at(quality)
        self._looks = structure.largest > 1 and not structure.is_fixed and can_run()
        self._anchor: SmallPicture | None = None  # the last one

    def begin(self, frame: Frame) -> None:
        """The first frame of a GOP."""
        if self._looks:
            self._anchor = SmallPicture(frame)

    def sizes(self, frames: Sequence[Frame]) -> list[int]:
        """Of the mini-GOPs that the next frames make, LARGEST at most."""
        most = self.structure.largest
        if not self._looks:
            if not self.structure.is_fixed:
                most = min(most, WITHOUT_LOOKING)
            return _largest_sizes(len(frames), most)
        assert self._anchor is not None and len(frames) <= LARGEST
        pictures = [self._anchor, *map(SmallPicture, frames)]
        self._anchor = pictures[-1]
        window = _Window(pictures, self._left)
        sizes, at = [], 0
        for size in _largest_sizes(len(frames), most):
            sizes += window.best(at, at + size)[1]
            at += size
        return sizes


def _left_at(quality: int) -> float:
    """Squared error that stays at a quality."""
    return float(LEFT * 2.0 ** ((32 - quality) / HALVED_BY))


def _largest_sizes(frames: int, most: int) -> list[int]:
    sizes: list[int] = []
    while frames:
        sizes.append(largest_size(min(frames, most)))
        frames -= sizes[-1]
    return sizes


class _Window:
    """Some frames and the anchor before them."""

    def __init__(self, pictures: list[SmallPicture], left: float) -> None:
        self._pictures, self._left = pictures, left
        self._found: dict[tuple[int, int], Motion] = {}

    def best(self, first: int, last: int) -> tuple[float, list[int]]:
        """What the frames after `first` up to `last` cost at least, and in which mini-GOPs."""
        size = last - first
        whole = WORTH[size] * self.mini_gop(first, last)
        if size == 1:
            return whole, [1]
        middle = (first + last) // 2
        one, other = self.best(first, middle), self.best(middle, last)
        if one[0] + other[0] < whole:
            return one[0] + other[0], one[1] + other[1]
        return whole, [size]

    def mini_gop(self, first: int, last: int) -> float:
        return self._anchor_cost(first, last) + self._inner(first, last)

    def _inner(self, first: int, last: int) -> float:
        if last - first == 1:
            return 0.0
        middle = (first + last) // 2
        own = self._between(first, middle, last)
        return own + self._inner(first, middle) + self._inner(middle, last)

    def _anchor_cost(self, before: int, number: int) -> float:
        motion = self._motion(number, before)
        return self._cost(number, motion.errors, motion.bits)

    def _between(self, first: int, number: int, last: int) -> float:
        past, future = self._motion(number, first), self._motion(number, last)
        picture = self._pictures[number]
        mean = blended_errors(picture, self._pictures[first], past, self._pictures[last], future)
        errors = np.stack([past.errors, future.errors, mean])
        bits = np.stack([past.bits, future.bits, past.bits + future.bits])
        chosen = errors.argmin(axis=0)[None]
        return self._cost(
            number,
            np.take_along_axis(errors, chosen, 0)[0],
            np.take_along_axis(bits, chosen, 0)[0],
        )

    def _cost(self, number: int, errors: np.ndarray, motion_bits: np.ndarray) -> float:
        """Bits, about, of blocks that are predicted with these errors, or not at all."""
        flat = self._pictures[number].flat_errors
        predicted = self._bits(errors) + MOTION_BITS * motion_bits
        return float(np.minimum(predicted, self._bits(flat)).sum())

    def _bits(self, errors: np.ndarray) -> np.ndarray:
        """Of blocks, from sums of absolute differences."""
        samples = BLOCK * BLOCK
        mean = errors / (samples * UNITS)
        bits: np.ndarray = samples / 2 * np.log2(1 + 1.5 * mean * mean / self._left)
        return bits

    def _motion(self, number: int, reference: int) -> Motion:
        key = (number, reference)
        if key not in self._found:
            start = self._start(number, reference)
            self._found[key] = find_motion(self._pictures[number], self._pictures[reference], start)
        return self._found[key]

    def _start(self, number: int, reference: int) -> np.ndarray | None:
        """Motion over half the distance, twice."""
        distance = number - reference
        if abs(distance) == 1:
            return None
        half: np.ndarray = 2 * self._motion(number, number - distance // 2).field
        return half


def estimated_cost(frames: Sequence[Frame], size: int, quality: int) -> float:
    """What the look-ahead would say of frames in mini-GOPs of one size, before they are weighed by
    WORTH: bits of small pictures."""
    pictures = [SmallPicture(frame) for frame in frames]
    count = (len(pictures) - 1) // size * size
    window = _Window(pictures, _left_at(quality))
    cost = sum(window.mini_gop(first, first + size) for first in range(0, count, size))
    return cost / max(count, 1)
