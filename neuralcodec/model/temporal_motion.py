"""The motion that a frame would have if what its references saw moving went on as it did.

Whole numbers throughout: a decoder computes the same. A block of a reference and its vector are two
points of a trajectory. Where the frame is shown between those two, the block is moved along to
where it is then; where both lie to one side of it, the trajectory is drawn out and the block stays.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from neuralcodec.kernels.parsing.motion_walk import VECTOR_LIMIT
from neuralcodec.model.config import VECTOR_BLOCK
from neuralcodec.model.motion_values import BOTH, FIRST, SECOND

BLOCK_UNITS = 4 * VECTOR_BLOCK  # quarter samples per side of a block


@dataclass(frozen=True)
class ReferenceMotion:
    """The motion of a frame, as it matters to those that refer to it.

    field: integers (5, h, w); time: when the frame is shown; distances: by how much that is later
    than each of the two frames that it refers to, (0, 0) of an intra frame."""

    field: np.ndarray
    time: int
    distances: tuple[int, int]


@dataclass(frozen=True)
class _Paths:
    """The trajectories of the blocks of a reference that use the same one of its own references.

    used (h, w): whether a block does; which (h, w): what it uses; vectors (2, h, w), over `span` of
    time; ahead: how much later the reference is shown than the present frame."""

    used: np.ndarray
    which: np.ndarray
    vectors: np.ndarray
    span: int
    ahead: int

    @property
    def pass_through(self) -> bool:
        """The present lies between their two points."""
        return self.ahead * self.span > 0 and abs(self.ahead) < abs(self.span)

    @property
    def order(self) -> tuple[bool, int]:
        """Better ones come first."""
        passes = self.pass_through
        return not passes, abs(self.span if passes else self.ahead)


def temporal_motion(time: int, references: tuple[ReferenceMotion, ReferenceMotion]) -> np.ndarray:
    """Of a frame shown at `time`, int32 (5, h, w), with vectors in both references whichever it
    uses; those in the second are 0 where both are the same frame."""
    distances = [time - reference.time for reference in references]
    is_two = distances[0] != distances[1]
    is_between = distances[0] * distances[1] < 0
    motion = np.zeros_like(references[0].field, np.int32)
    motion[0] = BOTH if is_two else FIRST
    empty = np.ones(motion.shape[1:], bool)

    def fill(paths: _Paths, rows: np.ndarray, columns: np.ndarray, source: np.ndarray) -> None:
        """Blocks at (rows, columns) that are empty take the trajectories of those at `source`."""
        chosen = empty[rows, columns]
        at = rows[chosen], columns[chosen]
        vectors = paths.vectors.reshape(2, -1)[:, source[chosen]]
        for k in range(1 + is_two):
            motion[(slice(1 + 2 * k, 3 + 2 * k), *at)] = mirrored(vectors, distances[k], paths.span)
        if is_two and not is_between:
            motion[(0, *at)] = paths.which.reshape(-1)[source[chosen]]
        empty[at] = False

    found = sorted(_all_paths(time, references[: 1 + is_two]), key=lambda paths: paths.order)
    for paths in found:
        if paths.pass_through:
            fill(paths, *_moved(paths))
    for paths in found:
        rows, columns = np.nonzero(paths.used)
        fill(paths, rows, columns, np.flatnonzero(paths.used))
    return motion


def _all_paths(time: int, references: tuple[ReferenceMotion, ...]) -> Iterator[_Paths]:
    for reference in references:
        field = reference.field.astype(np.int64)
        for k, span in enumerate(reference.distances):
            if span:
                used = field[0] != (SECOND, FIRST)[k]
                vectors = field[1 + 2 * k : 3 + 2 * k]
                yield _Paths(used, field[0], vectors, span, reference.time - time)


def _moved(paths: _Paths) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the blocks are at present: rows, columns, and which blocks they were, of those that are
    inside and the first to get there, in row order."""
    height, width = paths.used.shape
    rows, columns = np.nonzero(paths.used)
    source = rows * width + columns
    across, down = scaled(paths.vectors[:, rows, columns], paths.ahead, BLOCK_UNITS * paths.span)
    rows, columns = rows + down, columns + across
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    rows, columns, source = rows[inside], columns[inside], source[inside]
    first = np.unique(rows * width + columns, return_index=True)[1]
    return rows[first], columns[first], source[first]


def scaled(values: np.ndarray, numerator: int, denominator: int) -> np.ndarray:
    """values * numerator / denominator, to the nearest whole number, halves away from zero."""
    products = values.astype(np.int64) * numerator
    quotients = (2 * np.abs(products) + abs(denominator)) // (2 * abs(denominator))
    return np.asarray(np.where((products >= 0) == (denominator >= 0), quotients, -quotients))


def mirrored(values: np.ndarray, numerator: int, denominator: int) -> np.ndarray:
    """The same of vectors, which keep their limit."""
    return scaled(values, numerator, denominator).clip(-VECTOR_LIMIT, VECTOR_LIMIT)
