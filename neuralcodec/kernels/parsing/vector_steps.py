"""One step of the walk over motion vectors: what its blocks have around them, and who takes what.

Vectors are whole numbers here. Maps are flat and padded on all sides, so far that no block looks
beyond. Reference: `neuralcodec.model.motion_prior`.
"""

from typing import Any

import numpy as np

from neuralcodec.kernels.compiled import compiled, inlined
from neuralcodec.kernels.parsing.exact_layers import ACTIVATION_UNITS

CANDIDATES = 6  # zero, last frame's, four neighbours
# A 3x3 of vectors known or not, one of the last field, the prediction, a 3x3 of what has changed
# since that field, the candidates, q: see `motion_prior._Surroundings.inputs`.
INPUTS = 9 * 3 + 9 * 2 + 2 + 9 * 2 + CANDIDATES + 1
OUTPUTS = CANDIDATES + 2


@compiled("void(float32[:,::1], int64[::1], int64, int64, int32[:,::1], int8[::1])")
def fill_blocks(
    vectors: np.ndarray,
    blocks: np.ndarray,
    width: int,
    margin: int,
    padded: np.ndarray,
    known: np.ndarray,
) -> None:
    """Vectors (2, h w) of these blocks into the padded map; they are known from then on."""
    for block in blocks:
        at = (block // width + margin) * (width + 2 * margin) + block % width + margin
        padded[0, at] = np.int32(vectors[0, block])
        padded[1, at] = np.int32(vectors[1, block])
        known[at] = 1


@inlined()
def _signed_log(difference: Any, table: np.ndarray) -> Any:
    magnitude = table[min(abs(difference), np.int32(len(table) - 1))]
    return np.int8(magnitude if difference >= 0 else -magnitude)


@compiled(
    "void(int32[:,::1], int8[::1], int32[:,::1], int64[::1], int64, int64, int64, int64, boolean,"
    "int8[::1], int64, int32[:,:,::1], boolean[:,::1], int32[:,::1], int8[:,::1], int64)"
)
def describe_blocks(
    now: np.ndarray,
    known: np.ndarray,
    before: np.ndarray,
    blocks: np.ndarray,
    width: int,
    margin: int,
    spacing: int,
    look: int,
    is_centre: bool,
    table: np.ndarray,
    quality: int,
    candidates: np.ndarray,
    usable: np.ndarray,
    prediction: np.ndarray,
    inputs: np.ndarray,
    column: int,
) -> None:
    """Candidates (n, 6, 2), which of them can be named, prediction (n, 2), and what the networks
    of the step see: inputs[:, column...]. now and before: padded vectors (2, ...), the first zero
    where not known. look: distance of the 3x3 that is seen."""
    stride = width + 2 * margin
    offsets = np.empty(4, np.int64)
    for k in range(4):
        if is_centre:
            offsets[k] = (k // 2 * 2 - 1) * spacing * stride + (k % 2 * 2 - 1) * spacing
        else:
            offsets[k] = (k % 2 * 2 - 1) * spacing * (stride if k < 2 else 1)
    for i in range(len(blocks)):
        block = blocks[i]
        at = (block // width + margin) * stride + block % width + margin
        own, can = candidates[i], usable[i]
        count, dx, dy = 0, 0, 0
        own[0, 0], own[0, 1] = 0, 0
        own[1, 0], own[1, 1] = before[0, at], before[1, at]
        can[0], can[1] = True, own[1, 0] != 0 or own[1, 1] != 0
        for k in range(4):
            place = at + offsets[k]
            x, y = now[0, place], now[1, place]
            own[k + 2, 0], own[k + 2, 1] = x, y
            is_new = known[place] != 0
            for earlier in range(k + 2):
                is_new &= own[earlier, 0] != x or own[earlier, 1] != y
            can[k + 2] = is_new
            count += known[place]
            dx += x
            dy += y
        if count:
            px = np.int32(np.rint(np.float32(dx) / np.float32(count)))
            py = np.int32(np.rint(np.float32(dy) / np.float32(count)))
        else:
            px, py = own[1, 0], own[1, 1]
        prediction[i, 0], prediction[i, 1] = px, py

        x_in = inputs[i]
        k = column
        for place in range(9):
            there = at + (place // 3 - 1) * look * stride + (place % 3 - 1) * look
            if known[there]:
                x, y = now[0, there], now[1, there]
                x_in[k + 3 * place] = _signed_log(np.int32(x - px), table)
                x_in[k + 3 * place + 1] = _signed_log(np.int32(y - py), table)
                x_in[k + 3 * place + 2] = ACTIVATION_UNITS
                x_in[k + 47 + 2 * place] = _signed_log(np.int32(x - before[0, there]), table)
                x_in[k + 48 + 2 * place] = _signed_log(np.int32(y - before[1, there]), table)
            else:
                for j in range(3):
                    x_in[k + 3 * place + j] = 0
                for j in range(2):
                    x_in[k + 47 + 2 * place + j] = 0
            there = at + (place // 3 - 1) * stride + place % 3 - 1
            x_in[k + 27 + 2 * place] = _signed_log(np.int32(before[0, there] - px), table)
            x_in[k + 28 + 2 * place] = _signed_log(np.int32(before[1, there] - py), table)
        x_in[k + 45] = _signed_log(px, table)
        x_in[k + 46] = _signed_log(py, table)
        for j in range(CANDIDATES):
            x_in[k + 65 + j] = ACTIVATION_UNITS if can[j] else 0
        x_in[k + 71] = quality


@compiled("int64(boolean[:,::1], uint8[:,::1], int64, boolean[::1], int64[::1], uint8[::1])")
def ask_blocks(
    usable: np.ndarray,
    indices: np.ndarray,
    candidate: int,
    is_open: np.ndarray,
    asked: np.ndarray,
    chances: np.ndarray,
) -> int:
    """Which blocks, that have no vector yet, may take this candidate, the indices of their
    chances, and how many they are."""
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
    """Whether the candidate of the blocks asked is the vector wanted (n, 2)."""
    for k in range(len(asked)):
        i = asked[k]
        own = candidates[i, candidate]
        hits[k] = own[0] == wanted[i, 0] and own[1] == wanted[i, 1]


@compiled("void(boolean[::1], int64[::1], int32[:,:,::1], int64, boolean[::1], int32[:,::1])")
def take_candidate(
    hits: np.ndarray,
    asked: np.ndarray,
    candidates: np.ndarray,
    candidate: int,
    is_open: np.ndarray,
    vectors: np.ndarray,
) -> None:
    """The blocks that were asked and hit have this candidate for their vector."""
    for k in range(len(hits)):
        if hits[k]:
            i = asked[k]
            vectors[i, 0] = candidates[i, candidate, 0]
            vectors[i, 1] = candidates[i, candidate, 1]
            is_open[i] = False


@compiled("void(int32[:,::1], int64[::1], float32[:,::1])")
def write_blocks(vectors: np.ndarray, blocks: np.ndarray, field: np.ndarray) -> None:
    """vectors (n, 2) to these blocks of a field (2, h w)."""
    for i in range(len(blocks)):
        field[0, blocks[i]] = vectors[i, 0]
        field[1, blocks[i]] = vectors[i, 1]
