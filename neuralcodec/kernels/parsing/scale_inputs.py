"""What the scale priors see, written into the wide map of `parsing.exact_layers`."""

import numpy as np

from neuralcodec.kernels.compiled import compiled


@compiled("void(int16[:,:], int8[::1], int8[:,::1], int64)")
def write_magnitudes(values: np.ndarray, table: np.ndarray, out: np.ndarray, column: int) -> None:
    """values (positions, channels) to out[:, column...]. Reference: `exact.log_magnitude`."""
    rows, columns = values.shape
    farthest = np.int32(len(table) - 1)
    for i in range(rows):
        source, target = values[i], out[i, column : column + columns]
        for j in range(columns):
            target[j] = table[min(abs(np.int32(source[j])), farthest)]


@compiled("void(float32[:,:,::1], int8[::1], int8[:,::1], int64)")
def write_motion(vectors: np.ndarray, table: np.ndarray, out: np.ndarray, column: int) -> None:
    """vectors (2, 2h, 2w) to four columns. Reference: `scale_prior._motion_of_positions`, then
    `exact.log_magnitude`."""
    height, width = vectors.shape[1] // 2, vectors.shape[2] // 2
    farthest = np.int64(len(table) - 1)
    for y in range(height):
        for x in range(width):
            target = out[y * width + x]
            for axis in range(2):
                low = high = np.int64(vectors[axis, 2 * y, 2 * x])
                for k in range(1, 4):
                    v = np.int64(vectors[axis, 2 * y + k // 2, 2 * x + k % 2])
                    low, high = min(low, v), max(high, v)
                target[column + axis] = table[min(max(high, -low), farthest)]
                target[column + 2 + axis] = table[min(high - low, farthest)]


@compiled("void(float32[:,::1], int64, int8[:,::1], int64)")
def write_uses(which: np.ndarray, units: int, out: np.ndarray, column: int) -> None:
    """which (2h, 2w): 0 the first reference, 1 the second, else both. To two columns: how many of
    the four blocks use each, times units. Reference: `scale_prior.motion_maps`."""
    height, width = which.shape[0] // 2, which.shape[1] // 2
    for y in range(height):
        for x in range(width):
            first = second = 0
            for k in range(4):
                value = which[2 * y + k // 2, 2 * x + k % 2]
                first += value != 1
                second += value != 0
            out[y * width + x, column] = units * first
            out[y * width + x, column + 1] = units * second


@compiled("void(int8[:,::1], int64, int8[:,::1])")
def advance_history(maps: np.ndarray, column: int, history: np.ndarray) -> None:
    """history (positions, 2N): magnitudes of the last frame, then their running mean; maps[:,
    column...] are those of this one. Reference: `scale_prior.History.advance`."""
    rows, latents = len(history), history.shape[1] // 2
    for i in range(rows):
        now, last = maps[i, column : column + latents], history[i, :latents]
        mean = history[i, latents:]
        for j in range(latents):
            units = np.int32(3) * np.int32(mean[j]) + np.int32(now[j])
            mean[j] = units >> np.int32(2)
            last[j] = now[j]
