"""Integer samples <-> the padded float planes of networks; `codec.tensors` has the reference."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from neuralcodec.kernels.compiled import compiled
from neuralcodec.kernels.strips import in_strips

ZERO = np.float32(0)

Real = Any  # a float32


@compiled(
    "void(Array(uint8, 2, 'C', readonly=True), float32, float32[:,::1], intp, intp)",
    "void(Array(uint16, 2, 'C', readonly=True), float32, float32[:,::1], intp, intp)",
)
def divide(samples: np.ndarray, peak: Real, plane: np.ndarray, first: int, end: int) -> None:
    """Rows first..end - 1 of the plane; the last row and column of the samples are repeated."""
    height, width = samples.shape
    for y in range(first, end):
        line, row = samples[min(y, height - 1)], plane[y]
        for x in range(width):
            row[x] = np.float32(line[x]) / peak
        for x in range(width, len(row)):
            row[x] = row[width - 1]


@compiled(
    "void(float32[:,:,::1], float32, uint8[:,:,::1], intp, intp)",
    "void(float32[:,:,::1], float32, uint16[:,:,::1], intp, intp)",
)
def multiply(planes: np.ndarray, peak: Real, samples: np.ndarray, first: int, end: int) -> None:
    """Rows first..end - 1, over all planes: to the nearest integers, halves to even."""
    height, width = samples.shape[1:]
    for number in range(first, end):
        row = planes[number // height, number % height]
        line = samples[number // height, number % height]
        for x in range(width):
            line[x] = np.int32(np.rint(min(max(row[x] * peak, ZERO), peak)))


def to_floats(samples: list[list[np.ndarray]], rows: int, columns: int, peak: int) -> Tensor:
    """Planes of uint8 or uint16 of each frame -> (B, C, rows, columns), `peak` becoming 1."""
    planes = torch.empty(
        len(samples), len(samples[0]), rows, columns, dtype=torch.float32, device="cpu"
    )
    for frame, of_frame in zip(samples, planes.numpy(), strict=True):
        for given, plane in zip(frame, of_frame, strict=True):
            in_strips(divide, rows, np.ascontiguousarray(given), np.float32(peak), plane, least=64)
    return planes


def to_integers(planes: Tensor, height: int, width: int, peak: int) -> Tensor:
    """The inverse, (B, C, height, width) of the top left corner, clipped; of uint8 or, for a peak
    above 255, int16."""
    kind = torch.uint8 if peak <= 255 else torch.int16
    samples = torch.empty(*planes.shape[:2], height, width, dtype=kind, device="cpu")
    array = samples.flatten(0, 1).numpy()
    target = array if peak <= 255 else array.view(np.uint16)
    source = planes.detach().contiguous().flatten(0, 1).numpy()
    in_strips(multiply, len(target) * height, source, np.float32(peak), target, least=64)
    return samples
