"""Symbols in the order of a list <-> in the order in which an entropy coder takes them: by the
index of their table, and for one index in the order of the list.

No place is written down for that: each index has its own stretch of the other array, and both are
gone through once.
"""

import numpy as np

from neuralcodec.kernels.compiled import compiled


@compiled("int64[::1](uint8[::1], boolean[::1], int64)")
def count_indices(indices: np.ndarray, chosen: np.ndarray, number: int) -> np.ndarray:
    """How often each of 0..number - 1 occurs where `chosen`, or anywhere if that is empty.
    Reference: `np.bincount`."""
    counts = np.zeros((4, number), np.int64)  # so that one count does not wait for another
    if len(chosen):
        for i in range(len(indices)):
            counts[i & 3, indices[i]] += np.int64(chosen[i])
    else:
        for i in range(len(indices)):
            counts[i & 3, indices[i]] += 1
    return counts.sum(0)


@compiled(
    "int64(int16[::1], uint8[::1], boolean[::1], int64[::1], int32[::1], int32[::1], int64[::1])"
)
def gather_symbols(
    values: np.ndarray,
    indices: np.ndarray,
    chosen: np.ndarray,
    starts: np.ndarray,
    supports: np.ndarray,
    symbols: np.ndarray,
    places: np.ndarray,
) -> int:
    """symbols[starts[index]...] = value + support, or 2 * support + 1 where it is outside of its
    table. starts is moved along. The places of those outside, and their number, in the order of
    the list. Those of support < 0 are left out. Reference: `entropy.grouping.Groups`."""
    found = 0
    has_choice = len(chosen) > 0
    for i in range(len(indices)):
        index = indices[i]
        support = supports[index]
        if has_choice and not chosen[i]:
            continue
        symbol = np.int32(values[i]) + support
        if symbol < 0 or symbol > 2 * support:
            symbol = np.int64(2 * support + 1)
            places[found] = i
            found += 1
        symbols[starts[index]] = symbol
        starts[index] += 1
    return found


@compiled(
    "int64(int32[::1], uint8[::1], boolean[::1], int64[::1], int32[::1], int16[::1], int64[::1])"
)
def spread_symbols(
    symbols: np.ndarray,
    indices: np.ndarray,
    chosen: np.ndarray,
    starts: np.ndarray,
    supports: np.ndarray,
    values: np.ndarray,
    places: np.ndarray,
) -> int:
    """The other way round."""
    found = 0
    has_choice = len(chosen) > 0
    for i in range(len(indices)):
        index = indices[i]
        support = supports[index]
        if has_choice and not chosen[i]:
            continue
        symbol = symbols[starts[index]]
        starts[index] += 1
        values[i] = symbol - support
        if symbol > 2 * support:
            if found < len(places):
                places[found] = i
            found += 1
    return found
