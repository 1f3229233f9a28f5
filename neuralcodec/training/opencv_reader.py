"""Clips read by OpenCV, for machines without PyAV: luma as decoded, chroma computed back.

OpenCV hands out 4:2:0 video as BGR, or its luma plane alone (CAP_PROP_CONVERT_RGB = 0). So a clip
is read twice side by side. Luma is exact; each chroma sample is what explains the four BGR samples
above it best. Which matrix OpenCV has used differs between its versions: the one whose luma agrees
with the exact one. Full-range video comes without its own luma, and all planes are computed.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neuralcodec.errors import InputError
from neuralcodec.video import Frame

BT709_MATRIX = 1  # code point of ITU-T H.273


@dataclass(frozen=True)
class Matrix:
    """From Y'CbCr to R'G'B', all in 0..255: weights of red and blue in luma, and the range."""

    red: float
    blue: float
    full_range: bool

    def luma(self, bgr: np.ndarray) -> np.ndarray:
        """(H, W, 3) -> (H, W), unrounded."""
        green = 1 - self.red - self.blue
        grey = bgr.astype(np.float32) @ np.array([self.blue, green, self.red], np.float32)
        return grey if self.full_range else 16 + grey * (219 / 255)

    def chroma(self, y: np.ndarray, bgr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Least squares over each 2x2 square; samples that were clipped say nothing."""
        green = 1 - self.red - self.blue
        gain = 1.0 if self.full_range else 255 / 224
        blue_u, red_v = 2 * (1 - self.blue) * gain, 2 * (1 - self.red) * gain
        green_u, green_v = -blue_u * self.blue / green, -red_v * self.red / green
        grey = y.astype(np.float32)
        if not self.full_range:
            grey = (grey - 16) * (255 / 219)
        rest = bgr.astype(np.float32) - grey[..., None]
        known = ((bgr > 0) & (bgr < 255)).astype(np.float32)
        kb, kg, kr = (_squares(known[..., i]) for i in range(3))
        b, g, r = (_squares(known[..., i] * rest[..., i]) for i in range(3))
        uu, vv = kb * blue_u**2 + kg * green_u**2, kr * red_v**2 + kg * green_v**2
        uv = kg * (green_u * green_v)
        u_side, v_side = b * blue_u + g * green_u, r * red_v + g * green_v
        uu, vv = uu + 1e-3, vv + 1e-3  # where all is clipped: grey
        scale = 1 / (uu * vv - uv * uv)
        u = 128 + (vv * u_side - uv * v_side) * scale
        v = 128 + (uu * v_side - uv * u_side) * scale
        return _samples(u), _samples(v)


MATRICES = tuple(
    Matrix(red, blue, full)
    for full in (False, True)
    for red, blue in ((0.299, 0.114), (0.2126, 0.0722))
)


def read_by_opencv(path: Path, matrix: int, full_range: bool, limit: int) -> Iterator[Frame]:
    """8-bit frames; matrix and full_range as in `video.ColorTags`. Raises InputError."""
    colour, own_luma = _open(path, 1), _open(path, 0)
    chosen: Matrix | None = None
    if full_range:
        chosen = MATRICES[3 if matrix == BT709_MATRIX else 2]
    for number in range(limit):
        is_there, bgr = colour.read()
        y_there, y = own_luma.read()
        if not (is_there and y_there):
            if number == 0:
                raise InputError(f"{path}: OpenCV finds no pictures in it")
            return
        if full_range:
            assert chosen is not None
            y = _samples(chosen.luma(bgr))
        elif chosen is None:
            if y.shape != bgr.shape[:2]:
                raise InputError(f"{path}: this OpenCV cannot give the luma plane; install PyAV")
            chosen = min(MATRICES, key=lambda m: float(np.square(m.luma(bgr) - y).mean()))
        rows, columns = (2 * (n // 2) for n in y.shape)
        inner = slice(0, rows), slice(0, columns)
        yield Frame(y, *chosen.chroma(y[inner], bgr[inner]), number)


def _open(path: Path, convert: int) -> Any:
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")  # it warns of every picture
    try:
        import cv2
    except ImportError as error:
        raise InputError("neither PyAV nor OpenCV is here: install one (pip install av)") from error
    settings = [
        cv2.CAP_PROP_HW_ACCELERATION,
        cv2.VIDEO_ACCELERATION_NONE,
        cv2.CAP_PROP_CONVERT_RGB,
        convert,
    ]
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, settings)
    if not capture.isOpened():
        raise InputError(f"{path}: OpenCV cannot open it")
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
    return capture


def _squares(plane: np.ndarray) -> np.ndarray:
    """Sums of 2x2 samples."""
    rows, columns = plane.shape
    return plane.reshape(rows // 2, 2, columns // 2, 2).sum((1, 3))


def _samples(plane: np.ndarray) -> np.ndarray:
    return np.clip(np.round(plane), 0, 255).astype(np.uint8)
