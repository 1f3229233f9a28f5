"""Scene cuts: where a frame is better coded afresh than predicted from the one before it.

In the manner of x264's: on small pictures the cost of motion-compensated prediction is compared
with that of coding each block by itself. A cut must last, so that a flash is none. Of 220 joints
of real clips, 98 % cost more than 0.74 of coding afresh; of frames within one, 99 % less than 0.58.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from statistics import median

import numpy as np

from neuralcodec.video import Frame

LOOKAHEAD = 2  # frames; a flash that lasts longer is taken for a scene
SMALL_SIDE = 48  # samples of the shorter side of the pictures compared
BLOCK = 4  # samples of these
REACH = 8  # of the motion search, in samples: a sixth of the picture's shorter side
SHARE_SOON, SHARE_LATE = 0.75, 0.65  # cost of prediction / of coding afresh: above it is a cut
SPIKE = 1.15  # times the usual share, at least: noise that nothing predicts is no row of cuts
LEAST_COST = 1.0  # below it nothing is to be gained
MEMORY = 8  # frames whose share is the usual one
GREATEST_GAIN = 2.0  # of contrast from one frame to the next in a fade


@dataclass(frozen=True)
class JudgedFrame:
    frame: Frame
    is_cut: bool
    intra_cost: float  # of coding it afresh; see `Picture`
    inter_cost: float  # of predicting it, as far as it was tried; the first frame: `intra_cost`


class Picture:
    """A small copy of a frame's luma, and what coding it afresh costs.

    Costs are absolute differences, in 8-bit steps a sample.
    """

    def __init__(self, frame: Frame) -> None:
        self.samples = _shrink(frame.y)
        rows, columns = (n // BLOCK for n in self.samples.shape)
        blocks = self.samples.reshape(rows, BLOCK, columns, BLOCK)
        means = blocks.mean(axis=(1, 3), keepdims=True)
        self.intra = np.abs(blocks - means).sum(axis=(1, 3))  # of each block
        self.mean, self.deviation = float(self.samples.mean()), float(self.samples.std())

    @property
    def intra_cost(self) -> float:
        return float(self.intra.sum()) / self.samples.size

    def still_cost(self, before: "Picture") -> float:
        """Of predicting this one, each block the cheaper way, where nothing moves."""
        return self._cost(np.abs(self.samples - before.samples)[None])

    def moved_cost(self, before: "Picture") -> float:
        """The same after a motion search."""
        return self._search(before.samples)

    def faded_cost(self, before: "Picture") -> float:
        """The same after a change of brightness and contrast and a motion search."""
        return self._search(self._faded(before))

    def _faded(self, before: "Picture") -> np.ndarray:
        """The other with this one's brightness and contrast."""
        gain = self.deviation / max(before.deviation, 1e-3)
        gain = min(max(gain, 1 / GREATEST_GAIN), GREATEST_GAIN)
        return (before.samples - before.mean) * gain + self.mean

    def _search(self, other: np.ndarray) -> float:
        height, width = self.samples.shape
        padded = np.pad(other, REACH, mode="edge")
        shifted = np.lib.stride_tricks.sliding_window_view(padded, (height, width))
        side = 2 * REACH + 1
        differences = np.abs(shifted - self.samples).reshape(side * side, height, width)
        return self._cost(differences)

    def _cost(self, differences: np.ndarray) -> float:
        """Of the best of n ways to predict each block, (n, height, width)."""
        n, height, width = differences.shape
        shape = (n, height // BLOCK, BLOCK, width // BLOCK, BLOCK)
        blocks = np.add.reduce(np.add.reduce(differences.reshape(shape), 4), 2)
        return float(np.minimum(blocks.min(axis=0), self.intra).sum()) / self.samples.size


class CutWatch:
    """Judges the pictures of one video in turn."""

    def __init__(self, gop: int) -> None:
        """gop: most frames of a GOP. Late in one a cut is believed more readily, as a new GOP must
        begin soon anyway."""
        self._gop = gop
        self._usual: deque[float] = deque(maxlen=MEMORY)

    def judge(
        self, before: Picture, picture: Picture, later: list[Picture], age: int
    ) -> tuple[bool, float]:
        """Whether a scene begins with `picture`, and what predicting it costs.

        later: those that follow, as far as they are known; age: frames since the GOP began."""
        share = SHARE_SOON + (SHARE_LATE - SHARE_SOON) * min(age / self._gop, 1.0)
        if self._usual:
            share = max(share, SPIKE * median(self._usual))
        cost = _cost_up_to(share, before, picture)
        self._usual.append(cost / max(picture.intra_cost, LEAST_COST))
        is_cut = all(
            c > max(LEAST_COST, share * p.intra_cost)
            for p, c in chain(
                [(picture, cost)], ((p, _cost_up_to(share, before, p)) for p in later)
            )
        )
        return is_cut, cost


def _cost_up_to(share: float, before: Picture, picture: Picture) -> float:
    """Of prediction; no dearer way is tried, as each takes longer, once one costs no more than this
    share of coding afresh."""
    enough = max(LEAST_COST, share * picture.intra_cost)
    cost = picture.still_cost(before)
    for way in (picture.moved_cost, picture.faded_cost):
        if cost > enough:
            cost = min(cost, way(before))
    return cost


def judge_frames(
    frames: Iterable[Frame], gop: int, lookahead: int = LOOKAHEAD
) -> Iterator[JudgedFrame]:
    """The same frames, `lookahead` behind the source: without any, flashes are cuts too. Depends on
    nothing but the pictures, `gop` and it: reading a source again gives the same cuts."""
    waiting: deque[tuple[Frame, Picture]] = deque()
    watch = CutWatch(gop)
    before: Picture | None = None
    age = 0

    def judge() -> JudgedFrame:
        nonlocal before, age
        frame, picture = waiting.popleft()
        later = [other for _, other in waiting]
        is_cut, cost = False, picture.intra_cost
        if before is not None:
            is_cut, cost = watch.judge(before, picture, later, age)
        age = 0 if is_cut or age == gop else age
        before, age = picture, age + 1
        return JudgedFrame(frame, is_cut, picture.intra_cost, cost)

    for frame in frames:
        waiting.append((frame, Picture(frame)))
        if len(waiting) > lookahead:
            yield judge()
    while waiting:
        yield judge()


def _shrink(luma: np.ndarray) -> np.ndarray:
    """Means of cells of the plane, at 8-bit scale, in whole blocks; of a large cell every so many
    rows and columns only."""
    cell = max(1, round(min(luma.shape) / SMALL_SIDE))
    stride = max(1, cell // 4)
    used = luma[::stride, ::stride]
    cell //= stride
    rows, columns = (n // cell // BLOCK * BLOCK for n in used.shape)
    cells = used[: rows * cell, : columns * cell].reshape(rows * cell, columns, cell)
    sums = np.add.reduce(cells, 2, dtype=np.int32).reshape(rows, cell, columns).sum(axis=1)
    peak = 255 if luma.dtype == np.uint8 else 1023
    scaled: np.ndarray = sums.astype(np.float32) * np.float32(255 / (peak * cell * cell))
    return scaled
