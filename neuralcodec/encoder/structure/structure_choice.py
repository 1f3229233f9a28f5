"""How many frames each mini-GOP has: what saves most, as far as small pictures tell.

Up to 16 frames after an anchor are cut in halves, quarters and so on as long as that costs less. A
mini-GOP costs what its frames leave to be coded after prediction from the frames that they would
refer to: forward only for the anchor, the better of both sides or their mean for the others.
"""

from collections.abc import Sequence

import numpy as np

from neuralcodec.encoder.motion.seen_motion import SeenMotion
from neuralcodec.encoder.structure.mini_gops import (
    LARGEST,
    Structure,
    largest_size,
    reference_distances,
)
from neuralcodec.encoder.structure.small_motion import (
    UNITS,
    Motion,
    SmallPicture,
    blended_errors,
    find_motion,
)
from neuralcodec.kernels.compiled import can_run
from neuralcodec.kernels.motion.small_search import BLOCK
from neuralcodec.video import Frame

# By size: what it costs, of what P-frames would; and how much more with each bit that the motion of
# a block of its anchor takes. Added to it: the share SEEN of what its frames seem to cost. Fitted,
# with the numbers below, to clips that were coded with each size
# (docs/decisions/006-size-of-mini-gops.md).
WORTH = {1: 0.5, 2: 0.4, 4: 0.36, 8: 0.345, 16: 0.355}
FAST_MOTION = 0.0185
SEEN = 0.5
MOTION_BITS = 1.0  # that one of a small picture stands for
LEFT = 100.0  # squared error, in 8-bit steps, of which coding is not worth half a bit
NOISE = 0.2  # of what was coded before, in these; in the mean of two references half of it is left
WITHOUT_LOOKING = 4  # frames of a mini-GOP where kernels cannot run


class StructureChoice:
    """Chooses for the frames of one video in turn."""

    def __init__(self, structure: Structure) -> None:
        self.structure = structure
        self._looks = can_run()
        self._window: Window | None = None

    def begin(self, frame: Frame) -> None:
        """The first frame of a GOP."""
        if self._looks:
            self._window = Window([SmallPicture(frame)])

    def sizes(self, frames: Sequence[Frame]) -> list[int]:
        """Of the mini-GOPs that the next frames make, LARGEST at most."""
        most = self.structure.largest
        if not self._looks and not self.structure.is_fixed:
            most = min(most, WITHOUT_LOOKING)
        sizes = largest_sizes(len(frames), most)
        if not self._looks:
            return sizes
        assert self._window is not None and len(frames) <= LARGEST
        self._window = Window([self._window.pictures[-1], *map(SmallPicture, frames)])
        if self.structure.is_fixed:
            return sizes
        chosen, at = [], 0
        for size in sizes:
            chosen += self._window.best(at, at + size)[1]
            at += size
        return chosen

    def seen_motion(self, first: int, size: int, index: int) -> SeenMotion | None:
        """Of a frame among those that `sizes` got last, in the references that its mini-GOP gives
        it. first: of the mini-GOP, counted from 0; size: of it; index: 1..size, of the frame in it.
        """
        if not self._looks:
            return None
        assert self._window is not None
        return self._window.seen_motion(first + index, reference_distances(index, size))


def largest_sizes(frames: int, most: int) -> list[int]:
    """Of the mini-GOPs that so many frames make, `most` at most."""
    sizes: list[int] = []
    while frames:
        sizes.append(largest_size(min(frames, most)))
        frames -= sizes[-1]
    return sizes


class Window:
    """Some frames and the anchor before them."""

    def __init__(self, pictures: list[SmallPicture]) -> None:
        self.pictures = pictures
        self._found: dict[tuple[int, int], Motion] = {}
        self._p_frame_costs: dict[int, float] = {}

    def best(self, first: int, last: int) -> tuple[float, list[int]]:
        """What the frames after `first` up to `last` cost at least, and in which mini-GOPs."""
        size = last - first
        whole = self._weighed(first, last)
        if size == 1:
            return whole, [1]
        middle = (first + last) // 2
        one, other = self.best(first, middle), self.best(middle, last)
        if one[0] + other[0] < whole:
            return one[0] + other[0], one[1] + other[1]
        return whole, [size]

    def _weighed(self, first: int, last: int) -> float:
        size = last - first
        worth = WORTH[size]
        if size > 1:
            worth += FAST_MOTION * float(self._motion(last, first).bits.mean())
        as_p_frames = sum(self._p_frame_cost(n) for n in range(first + 1, last + 1))
        return worth * as_p_frames + SEEN * self.mini_gop(first, last)

    def _p_frame_cost(self, number: int) -> float:
        if number not in self._p_frame_costs:
            self._p_frame_costs[number] = self._anchor_cost(number - 1, number)
        return self._p_frame_costs[number]

    def mini_gop(self, first: int, last: int) -> float:
        return self._anchor_cost(first, last) + self._inner(first, last)

    def seen_motion(self, number: int, distances: Sequence[int]) -> SeenMotion:
        scale = self.pictures[number].scale
        fields = {away: self._motion(number, number - away).field for away in distances}
        return SeenMotion({away: scale * field for away, field in fields.items()}, scale)

    def _inner(self, first: int, last: int) -> float:
        if last - first == 1:
            return 0.0
        middle = (first + last) // 2
        own = self._between(first, middle, last)
        return own + self._inner(first, middle) + self._inner(middle, last)

    def _anchor_cost(self, before: int, number: int) -> float:
        motion = self._motion(number, before)
        return self._cost(number, _bits(motion.errors, NOISE, motion.bits))

    def _between(self, first: int, number: int, last: int) -> float:
        past, future = self._motion(number, first), self._motion(number, last)
        picture = self.pictures[number]
        mean = blended_errors(picture, self.pictures[first], past, self.pictures[last], future)
        return self._cost(
            number,
            _bits(past.errors, NOISE, past.bits),
            _bits(future.errors, NOISE, future.bits),
            _bits(mean, NOISE / 2, past.bits + future.bits),
        )

    def _cost(self, number: int, *ways: np.ndarray) -> float:
        """Of a frame, each block of which is predicted in the cheapest of some ways, or not."""
        flat = self.pictures[number].flat_errors
        return float(np.minimum.reduce([_bits(flat, 0.0, 0), *ways]).sum())

    def _motion(self, number: int, reference: int) -> Motion:
        key = (number, reference)
        if key not in self._found:
            start = self._start(number, reference)
            self._found[key] = find_motion(self.pictures[number], self.pictures[reference], start)
        return self._found[key]

    def _start(self, number: int, reference: int) -> np.ndarray | None:
        """Motion over half the distance, twice."""
        distance = number - reference
        if abs(distance) == 1:
            return None
        half: np.ndarray = 2 * self._motion(number, number - distance // 2).field
        return half


def _bits(errors: np.ndarray, noise: float, motion_bits: np.ndarray | int) -> np.ndarray:
    """About, of blocks, from sums of absolute differences."""
    samples = BLOCK * BLOCK
    mean = errors / (samples * UNITS)
    bits: np.ndarray = samples / 2 * np.log2(1 + 1.5 * mean * mean / LEFT + noise)
    return bits + MOTION_BITS * motion_bits


def estimated_cost(frames: Sequence[Frame], size: int) -> float:
    """What the look-ahead would say of frames in mini-GOPs of one size, before they are weighed by
    WORTH: bits of small pictures. Frames beyond a multiple of LARGEST are left out."""
    pictures = [SmallPicture(frame) for frame in frames]
    count = (len(pictures) - 1) // LARGEST * LARGEST
    window = Window(pictures)
    cost = sum(window.mini_gop(first, first + size) for first in range(0, count, size))
    return cost / max(count, 1)
