"""The symbols of a list, grouped by the index of their table: a group is coded at once.

Indices ascend; within a group the symbols keep the order of the list. A value outside of its table
has the symbol after the last of it. Index 0 is of values that are expected to be zero: nothing is
written for them here, and what is not zero is outside.
"""

from collections.abc import Iterator

import numpy as np

from neuralcodec.kernels.compiled import can_run
from neuralcodec.kernels.parsing import symbol_groups

INDICES = 64
ZERO_INDEX = 0
_STEPS = np.ones(INDICES, np.int64)  # of the places of a group in an array of symbols
_STEPS[ZERO_INDEX] = 0


class Groups:
    """A list's places by index. What comes as `symbols` is int32, of all groups but that of index
    0, one after the other."""

    def __init__(self, indices: np.ndarray, chosen: np.ndarray | None = None) -> None:
        """indices: 0..63, a list or a map; chosen: booleans of that shape, for what is listed."""
        self.indices = _as_map(np.ascontiguousarray(indices, np.uint8))
        self._chosen = np.zeros((0, 0), bool)
        if chosen is not None:
            self._chosen = _as_map(np.ascontiguousarray(chosen, bool))
        if can_run():
            counts = symbol_groups.count_indices(self.indices, self._chosen, INDICES)
        else:
            listed = self.indices if chosen is None else self.indices[self._chosen]
            counts = np.bincount(listed.ravel(), minlength=INDICES)
        self.zeros = int(counts[ZERO_INDEX])
        counts[ZERO_INDEX] = 0
        self._counts = counts
        ends = counts.cumsum()
        self._starts = ends - counts
        self.size = int(ends[-1])
        self._starts[ZERO_INDEX] = self.size

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """Every index but 0 that is listed, where its symbols begin, and where they end."""
        start = 0
        for index, count in enumerate(self._counts.tolist()):
            if count:
                yield index, start, start + count
                start += count

    def gather(self, values: np.ndarray, supports: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Symbols, and the places of those outside, index after index. values int16, one for
        each index; supports int32: K of each table -K..K, 0 of the first."""
        values = _as_map(values.astype(np.int16, copy=False))
        if not can_run():
            places, support = self._listed(supports)
            symbols = values[self.at(places)] + support
            is_outside = (symbols < 0) | (symbols > 2 * support)
            symbols = np.where(is_outside, 2 * support + 1, symbols)
            return symbols[self.zeros :], places[is_outside]
        symbols = np.empty(self.size + 1, np.int32)
        outside = np.empty(self.size + self.zeros, np.int64)
        number = symbol_groups.gather_symbols(
            values,
            self.indices,
            self._chosen,
            self._starts.copy(),
            _STEPS,
            supports,
            symbols,
            outside,
        )
        return symbols[: self.size], self._by_index(outside[:number])

    def spread(
        self, symbols: list[np.ndarray], supports: np.ndarray, values: np.ndarray
    ) -> np.ndarray:
        """Puts the symbols of each group back to their places, as values, int16, and 0 where the
        index is 0. Returns the places of those outside, as `gather` does."""
        values = _as_map(values)
        if not can_run():
            places, support = self._listed(supports)
            found = np.concatenate([np.zeros(self.zeros, np.int32), *symbols])
            values[self.at(places)] = found - support
            return places[found > 2 * support]
        outside = np.empty(self.size, np.int64)
        number = symbol_groups.spread_symbols(
            np.concatenate([*symbols, np.zeros(1, np.int32)]),
            self.indices,
            self._chosen,
            self._starts.copy(),
            _STEPS,
            supports,
            values,
            outside,
        )
        return self._by_index(outside[:number])

    def places_of(self, index: int) -> np.ndarray:
        listed = self.indices == index
        return np.flatnonzero(listed & self._chosen if self._chosen.size else listed)

    def at(self, places: np.ndarray) -> tuple[np.ndarray, ...]:
        """Places as what picks them from a map."""
        return np.divmod(places, self.indices.shape[1])

    def _listed(self, supports: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All places in the order of the groups, and the support of each."""
        chosen = self._chosen if self._chosen.size else np.ones(self.indices.shape, bool)
        places = self._by_index(np.flatnonzero(chosen))
        return places, supports[self.indices[self.at(places)]]

    def _by_index(self, places: np.ndarray) -> np.ndarray:
        if not len(places):  # as nearly always
            return places
        return places[np.argsort(self.indices[self.at(places)], kind="stable")]


def _as_map(array: np.ndarray) -> np.ndarray:
    """(rows, columns) of an array of any number of dimensions."""
    return array[None] if array.ndim == 1 else array.reshape(-1, array.shape[-1])
