"""The symbols of a list, grouped by the index of their table: a group is coded at once.

Indices ascend; within a group the symbols keep the order of the list. A value outside of its table
has the symbol after the last of it.
"""

from collections.abc import Iterator

import numpy as np

from neuralcodec.kernels import symbol_groups
from neuralcodec.kernels.compiled import can_run

INDICES = 64


class Groups:
    """A list's places by index."""

    def __init__(self, indices: np.ndarray, chosen: np.ndarray | None = None) -> None:
        """indices 0..63, of any shape; chosen: booleans of that shape, for what is listed."""
        self.indices = np.ascontiguousarray(indices, np.uint8).ravel()
        self.chosen = None if chosen is None else np.ascontiguousarray(chosen, bool).ravel()
        self._choice = np.zeros(0, bool) if self.chosen is None else self.chosen
        if can_run():
            self.counts = symbol_groups.count_indices(self.indices, self._choice, INDICES)
        else:
            listed = self.indices if self.chosen is None else self.indices[self.chosen]
            self.counts = np.bincount(listed, minlength=INDICES)
        self.starts = np.cumsum(self.counts) - self.counts

    def __iter__(self) -> Iterator[tuple[int, slice]]:
        """Every index that occurs, and where its symbols are among all."""
        ends = (self.starts + self.counts).tolist()
        for index, (start, end) in enumerate(zip(self.starts.tolist(), ends, strict=True)):
            if end > start:
                yield index, slice(start, end)

    def gather(self, values: np.ndarray, supports: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All symbols, int32, group after group, and the places in the array of those outside, in
        the same order. values int16, one for each index; supports int32: K of each table -K..K."""
        values = np.ascontiguousarray(values, np.int16).ravel()
        if not can_run():
            places = self._places()
            support = supports[self.indices[places]]
            symbols = values[places] + support
            outside = (symbols < 0) | (symbols > 2 * support)
            return np.where(outside, 2 * support + 1, symbols), places[outside]
        symbols = np.empty(int(self.counts.sum()), np.int32)
        outside = np.empty(len(symbols), np.int64)
        number = symbol_groups.gather_symbols(
            values, self.indices, self._choice, self.starts.copy(), supports, symbols, outside
        )
        return symbols, self._by_index(outside[:number])

    def spread(self, symbols: np.ndarray, supports: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Puts symbols back to their places, as values, int16; returns the places of those outside,
        as `gather` does."""
        if not can_run():
            places = self._places()
            support = supports[self.indices[places]]
            values[places] = symbols - support
            return places[symbols > 2 * support]
        outside = np.empty(len(symbols), np.int64)
        number = symbol_groups.spread_symbols(
            symbols, self.indices, self._choice, self.starts.copy(), supports, values, outside
        )
        return self._by_index(outside[:number])

    def places_of(self, index: int) -> np.ndarray:
        listed = self.indices == index
        return np.flatnonzero(listed if self.chosen is None else listed & self.chosen)

    def _places(self) -> np.ndarray:
        if self.chosen is None:
            return np.argsort(self.indices, kind="stable")
        return self._by_index(np.flatnonzero(self.chosen))

    def _by_index(self, places: np.ndarray) -> np.ndarray:
        return places[np.argsort(self.indices[places], kind="stable")]
