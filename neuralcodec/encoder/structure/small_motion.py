"""How well a frame is predicted from others, seen on small pictures before anything is coded."""

from dataclasses import dataclass

import numpy as np

from neuralcodec.container.layout import MAX_SIDE
from neuralcodec.kernels.motion.small_search import (
    BLOCK,
    BORDER,
    half_samples,
    mean_errors,
    search,
)
from neuralcodec.video import Frame

LARGEST_SIDE = 288  # samples of the shorter side of a small picture, at most
UNITS = 4  # of small pictures, in an 8-bit step
PRICE = 24  # of a bit of motion, in differences of a block
# Half samples: across the longest side of a small picture and its borders
_MOST = 2 * (MAX_SIDE // 2 + 2 * BORDER)
BITS = np.round(2 * np.log2(1 + np.arange(_MOST))).astype(np.int32)  # of a component, by its size


class SmallPicture:
    """A copy of a frame's luma, half as large or smaller.

    Attributes:
        scale: samples of the frame, along a side, that became one.
    """

    def __init__(self, frame: Frame) -> None:
        self.samples, self.scale = _shrink(frame.y)
        height, width = self.samples.shape
        planes = np.empty((4, height + 2 * BORDER, width + 2 * BORDER), np.int16)
        half_samples(self.samples, planes)
        self.planes = planes
        rows, columns = self.grid
        blocks = self.samples.reshape(rows, BLOCK, columns, BLOCK).astype(np.float32)
        away = blocks - blocks.mean(axis=(1, 3), keepdims=True)
        self.flat_errors = np.abs(away).sum(axis=(1, 3)).astype(np.int32)  # to each block's mean

    @property
    def grid(self) -> tuple[int, int]:
        height, width = self.samples.shape
        return height // BLOCK, width // BLOCK


def _shrink(luma: np.ndarray) -> tuple[np.ndarray, int]:
    """Means of squares of 2x2, 4x4, ... samples in whole blocks, at least one; and how many are one
    now, along a side."""
    small = luma.astype(np.int32) * (UNITS if luma.dtype == np.uint8 else 1)
    shift = 0
    while min(small.shape) >= 2 * BLOCK and (shift == 0 or min(small.shape) > LARGEST_SIDE):
        height, width = (n // 2 * 2 for n in small.shape)
        small = small[:height, :width]
        small = small[::2, ::2] + small[1::2, ::2] + small[::2, 1::2] + small[1::2, 1::2]
        shift += 2
    small = (small + (1 << shift >> 1)) >> shift
    height, width = (max(n // BLOCK, 1) * BLOCK for n in small.shape)
    wide = np.pad(
        small, ((0, max(height - small.shape[0], 0)), (0, max(width - small.shape[1], 0))), "edge"
    )
    return np.ascontiguousarray(wide[:height, :width], np.int16), 1 << shift // 2


@dataclass(frozen=True)
class Motion:
    """From one small picture to another, by blocks."""

    field: np.ndarray  # (rows, columns, 2): x and y, in half samples
    errors: np.ndarray  # (rows, columns): sums of absolute differences
    bits: np.ndarray  # (rows, columns)


def find_motion(picture: SmallPicture, reference: SmallPicture, start: np.ndarray | None) -> Motion:
    """start: a field to begin the search with."""
    rows, columns = picture.grid
    found = Motion(
        np.zeros((rows, columns, 2), np.int16),
        np.zeros((rows, columns), np.int32),
        np.zeros((rows, columns), np.int32),
    )
    begin = np.zeros_like(found.field) if start is None else start
    search(
        picture.samples, reference.planes, BITS, PRICE, begin,
        found.field, found.errors, found.bits,
    )  # fmt: skip
    return found


def blended_errors(
    picture: SmallPicture, first: SmallPicture, to_first: Motion,
    second: SmallPicture, to_second: Motion,
) -> np.ndarray:  # fmt: skip
    """(rows, columns): to the mean of what two pictures predict."""
    errors = np.zeros(picture.grid, np.int32)
    mean_errors(
        picture.samples, first.planes, to_first.field, second.planes, to_second.field, errors
    )
    return errors
