"""Symbols in the order of a list <-> in the order in which an entropy coder takes them: by the
index of their table, and for one index in the order of the list.

No place is written down for that: each index has its own stretch of the other array, and both are
gone through once. The symbols of an index without a stretch are all in one cell that is 0. A list
is what is `chosen` of a map (rows, columns), or all of it if that is empty, in row order; the index
-th of two is how far a stretch has been gone through.
"""

import numpy as np

from neuralcodec.kernels.compiled import compiled


@compiled("int64[::1](uint8[:,::1], boolean[:,::1], int64)")
def count_indices(indices: np.ndarray, chosen: np.ndarray, number: int) -> np.ndarray:
    """How often each of 0..number - 1 is listed. Reference: `np.bincount`."""
    counts = np.zeros((4, number), np.int64)  # so that one count does not wait for another
    flat = indices.reshape(-1)
    if chosen.size:
        listed = chosen.reshape(-1)
        for i in range(len(flat)):
            counts[i & 3, flat[i]] += np.int64(listed[i])
    else:
        for i in range(len(flat)):
            counts[i & 3, flat[i]] += 1
    return counts.sum(0)


@compiled(
    "int64(int16[:,:], uint8[:,::1], boolean[:,::1], int64[::1], int64[::1], int32[::1],"
    "int32[::1], int64[::1])"
)
def gather_symbols(
    values: np.ndarray,
    indices: np.ndarray,
    chosen: np.ndarray,
    at: np.ndarray,
    steps: np.ndarray,
    supports: np.ndarray,
    symbols: np.ndarray,
    outside: np.ndarray,
) -> int:
    """symbols[at[index]] = value + support, or 2 * support + 1 where it is outside of its table,
    and at[index] moves by steps[index]. Returns how many are outside, and where, in the order of
    the list. Reference: `entropy.grouping.Groups`."""
    found = 0
    rows, columns = indices.shape
    has_choice = chosen.size > 0
    for i in range(rows):
        row, own = indices[i], values[i]
        for j in range(columns):
            if has_choice and not chosen[i, j]:
                continue
            index = row[j]
            support = supports[index]
            symbol = np.int32(own[j]) + support
            if symbol < 0 or symbol > 2 * support:
                symbol = np.int64(2 * support + 1)
                outside[found] = i * columns + j
                found += 1
            symbols[at[index]] = symbol
            at[index] += steps[index]
    return found


@compiled(
    "int64(int32[::1], uint8[:,::1], boolean[:,::1], int64[::1], int64[::1], int32[::1],"
    "int16[:,:], int64[::1])"
)
def spread_symbols(
    symbols: np.ndarray,
    indices: np.ndarray,
    chosen: np.ndarray,
    at: np.ndarray,
    steps: np.ndarray,
    supports: np.ndarray,
    values: np.ndarray,
    outside: np.ndarray,
) -> int:
    """The other way round."""
    found = 0
    rows, columns = indices.shape
    has_choice = chosen.size > 0
    for i in range(rows):
        row, own = indices[i], values[i]
        for j in range(columns):
            if has_choice and not chosen[i, j]:
                continue
            index = row[j]
            support = supports[index]
            symbol = symbols[at[index]]
            at[index] += steps[index]
            own[j] = symbol - support
            if symbol > 2 * support:
                outside[found] = i * columns + j
                found += 1
    return found
