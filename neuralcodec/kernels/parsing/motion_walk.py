"""One step of the walk over the motion of a frame: what its blocks have around them, and who takes
what.

A motion is five whole numbers: which references predict a block (0 the first, 1 the second, 2
both), dx and dy in the first, dx and dy in the second; those of a reference that is not used are 0.
Maps are flat and padded on all sides, so far that no block looks beyond. Reference:
`neuralcodec.model.motion_prior`.
"""

from typing import Any

import numpy as np

from neuralcodec.kernels.compiled import compiled, inlined
from neuralcodec.kernels.parsing.exact_layers import ACTIVATION_UNITS

CANDIDATES = 6  # zero, temporal, four neighbours
VECTOR_LIMIT = 1023  # of |component|, in quarter samples
# Of each reference: a 3x3 of vectors known or not, one of the temporal motion, the prediction, a
# 3x3 of what differs from the temporal motion.
REFERENCE_INPUTS = 9 * 3 + 9 * 2 + 2 + 9 * 2
# Then the candidates, what the temporal motion uses, whether there are two references, both
# distances, level, q: see `motion_prior._Surroundings.inputs`.
INPUTS = 2 * REFERENCE_INPUTS + CANDIDATES + 2 + 1 + 2 + 1 + 1
BOTH_USED, SECOND_USED, SCALES_AT = CANDIDATES, CANDIDATES + 1, CANDIDATES + 2  # outputs
OUTPUTS = SCALES_AT + 4


@inlined()
def scaled(value: Any, numerator: Any, denominator: Any) -> Any:
    """value * numerator / denominator, to the nearest whole number, halves away from zero."""
    product = np.int64(value) * numerator
    quotient = (2 * abs(product) + abs(denominator)) // (2 * abs(denominator))
    return quotient if (product >= 0) == (denominator >= 0) else -quotient


@inlined()
def mirrored(value: Any, numerator: Any, denominator: Any) -> Any:
    """`scaled`, within VECTOR_LIMIT."""
    return min(max(scaled(value, numerator, denominator), -VECTOR_LIMIT), VECTOR_LIMIT)


@compiled("void(float32[:,::1], int64[::1], int64, int64, int32[:,::1], int8[:,::1])")
def fill_blocks(
    motion: np.ndarray,
    blocks: np.ndarray,
    width: int,
    margin: int,
    padded: np.ndarray,
    known: np.ndarray,
) -> None:
    """Motion (5, h w) of these blocks into the padded map of vectors (4, ...); known (2, ...):
    where a block is known from then on and uses each reference."""
    for block in blocks:
        at = (block // width + margin) * (width + 2 * margin) + block % width + margin
        for k in range(4):
            padded[k, at] = np.int32(motion[1 + k, block])
        which = motion[0, block]
        known[0, at] = which != np.float32(1)
        known[1, at] = which != np.float32(0)


@inlined()
def _signed_log(difference: Any, table: np.ndarray) -> Any:
    magnitude = table[min(abs(difference), np.int32(len(table) - 1))]
    return np.int8(magnitude if difference >= 0 else -magnitude)


@compiled(
    "void(int32[:,::1], int8[:,::1], int32[:,::1], int8[::1], int64[::1], int64, int64, int64,"
    "int64, boolean, int8[::1], int64[::1], int64, int64, int32[:,:,::1], boolean[:,::1],"
    "int32[:,::1], int8[:,::1], int64)"
)
def describe_blocks(
    now: np.ndarray,
    known: np.ndarray,
    temporal: np.ndarray,
    temporal_which: np.ndarray,
    blocks: np.ndarray,
    width: int,
    margin: int,
    spacing: int,
    look: int,
    is_centre: bool,
    table: np.ndarray,
    distances: np.ndarray,
    level: int,
    quality: int,
    candidates: np.ndarray,
    usable: np.ndarray,
    prediction: np.ndarray,
    inputs: np.ndarray,
    column: int,
) -> None:
    """Candidates (n, 6, 5), which of them can be named, prediction (n, 4), and what the networks of
    the step see: inputs[:, column...]. now and temporal: padded vectors (4, ...), the first zero
    where not known; temporal_which (h w). look: distance of the 3x3 that is seen."""
    stride = width + 2 * margin
    is_two = distances[0] != distances[1]
    offsets = np.empty(4, np.int64)
    counts = np.empty(2, np.int64)
    for k in range(4):
        if is_centre:
            offsets[k] = (k // 2 * 2 - 1) * spacing * stride + (k % 2 * 2 - 1) * spacing
        else:
            offsets[k] = (k % 2 * 2 - 1) * spacing * (stride if k < 2 else 1)
    for i in range(len(blocks)):
        block = blocks[i]
        at = (block // width + margin) * stride + block % width + margin
        own, can, base = candidates[i], usable[i], prediction[i]
        own[:] = 0
        which = np.int64(temporal_which[block])
        own[0, 0] = 2 if is_two else 0
        own[1, 0] = which
        for k in range(4):
            own[1, 1 + k] = temporal[k, at] if which != 1 - k // 2 else 0
            place = at + offsets[k]
            first, second = known[0, place], known[1, place]
            own[2 + k, 0] = (2 if first else 1) * second if first | second else -1
            for j in range(4):
                own[2 + k, 1 + j] = now[j, place]
        for j in range(CANDIDATES):
            is_new = own[j, 0] >= 0
            for earlier in range(j):
                same = True
                for part in range(5):
                    same &= own[earlier, part] == own[j, part]
                is_new &= not same
            can[j] = is_new

        for k in range(2 if is_two else 1):
            count, dx, dy = 0, 0, 0
            for j in range(2, CANDIDATES):
                if own[j, 0] >= 0 and own[j, 0] != 1 - k:
                    count += 1
                    dx += own[j, 1 + 2 * k]
                    dy += own[j, 2 + 2 * k]
            counts[k] = count
            base[2 * k], base[2 * k + 1] = temporal[2 * k, at], temporal[2 * k + 1, at]
            if count:
                base[2 * k] = np.int32(np.rint(np.float32(dx) / np.float32(count)))
                base[2 * k + 1] = np.int32(np.rint(np.float32(dy) / np.float32(count)))
        if is_two:
            for k in range(2):
                if counts[k] == 0 and counts[1 - k] > 0:
                    for j in range(2):
                        of_other = base[2 * (1 - k) + j]
                        base[2 * k + j] = mirrored(of_other, distances[k], distances[1 - k])
        else:
            base[2], base[3] = 0, 0

        x_in = inputs[i]
        x_in[column : column + INPUTS] = 0
        for k in range(2 if is_two else 1):
            start = column + k * REFERENCE_INPUTS
            px, py = base[2 * k], base[2 * k + 1]
            for place in range(9):
                there = at + (place // 3 - 1) * look * stride + (place % 3 - 1) * look
                if known[k, there]:
                    x, y = now[2 * k, there], now[2 * k + 1, there]
                    x_in[start + 3 * place] = _signed_log(np.int32(x - px), table)
                    x_in[start + 3 * place + 1] = _signed_log(np.int32(y - py), table)
                    x_in[start + 3 * place + 2] = ACTIVATION_UNITS
                    dx, dy = x - temporal[2 * k, there], y - temporal[2 * k + 1, there]
                    x_in[start + 47 + 2 * place] = _signed_log(np.int32(dx), table)
                    x_in[start + 48 + 2 * place] = _signed_log(np.int32(dy), table)
                there = at + (place // 3 - 1) * stride + place % 3 - 1
                dx, dy = temporal[2 * k, there] - px, temporal[2 * k + 1, there] - py
                x_in[start + 27 + 2 * place] = _signed_log(np.int32(dx), table)
                x_in[start + 28 + 2 * place] = _signed_log(np.int32(dy), table)
            x_in[start + 45] = _signed_log(px, table)
            x_in[start + 46] = _signed_log(py, table)
        k = column + 2 * REFERENCE_INPUTS
        for j in range(CANDIDATES):
            x_in[k + j] = ACTIVATION_UNITS if can[j] else 0
        k += CANDIDATES
        x_in[k] = ACTIVATION_UNITS if which != 1 else 0
        x_in[k + 1] = ACTIVATION_UNITS if which != 0 else 0
        x_in[k + 2] = ACTIVATION_UNITS if is_two else 0
        x_in[k + 3] = _signed_log(distances[0], table)
        x_in[k + 4] = _signed_log(distances[1], table) if is_two else 0
        x_in[k + 5] = level * ACTIVATION_UNITS
        x_in[k + 6] = quality


@compiled("int64(boolean[:,::1], uint8[:,::1], int64, boolean[::1], int64[::1], uint8[::1])")
def ask_blocks(
    usable: np.ndarray,
    indices: np.ndarray,
    candidate: int,
    is_open: np.ndarray,
    asked: np.ndarray,
    chances: np.ndarray,
) -> int:
    """Which blocks, that have no motion yet, may take this candidate, the indices of their chances,
    and how many they are."""
    found = 0
    for i in range(len(usable)):
        asked[found] = i
        chances[found] = indices[i, candidate]
        found += int(is_open[i] and usable[i, candidate])
    return found


@compiled("void(int64[::1], int32[:,:,::1], int64, int32[:,::1], boolean[::1])")
def compare_candidate(
    asked: np.ndarray, candidates: np.ndarray, candidate: int, wanted: np.ndarray, hits: np.ndarray
) -> None:
    """Whether the candidate of the blocks asked is the motion wanted (n, 5)."""
    for k in range(len(asked)):
        i = asked[k]
        same = True
        for part in range(5):
            same &= candidates[i, candidate, part] == wanted[i, part]
        hits[k] = same


@compiled("void(boolean[::1], int64[::1], int32[:,:,::1], int64, boolean[::1], int32[:,::1])")
def take_candidate(
    hits: np.ndarray,
    asked: np.ndarray,
    candidates: np.ndarray,
    candidate: int,
    is_open: np.ndarray,
    motion: np.ndarray,
) -> None:
    """The blocks that were asked and hit have this candidate for their motion."""
    for k in range(len(hits)):
        if hits[k]:
            i = asked[k]
            motion[i] = candidates[i, candidate]
            is_open[i] = False


@compiled("void(int32[:,::1], int64[::1], float32[:,::1])")
def write_blocks(motion: np.ndarray, blocks: np.ndarray, field: np.ndarray) -> None:
    """motion (n, 5) to these blocks of a field (5, h w)."""
    for i in range(len(blocks)):
        for part in range(5):
            field[part, blocks[i]] = motion[i, part]
