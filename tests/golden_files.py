"""The files of tests/golden, and what is known of them; scripts/make_golden_files.py makes both."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neuralcodec.video import Frame

FOLDER = Path(__file__).parent / "golden"
CELLS = 4  # along each side of a plane


@dataclass(frozen=True)
class GoldenFile:
    """`frames`: of each frame Y, U, V as `describe_frame` gives them, decoded in float32."""

    name: str
    sha256: str
    model_sha256: str
    format: list[int]  # width, height, bit depth
    symbols_crc: list[int]  # of each GOP
    pts: list[list[int]]  # of each frame of each GOP
    packets_sha256: str  # of the data of all packets of other streams
    packets: int
    frames: list[list[list[float]]]

    @property
    def path(self) -> Path:
        return FOLDER / self.name


def golden_files() -> list[GoldenFile]:
    described = json.loads((FOLDER / "golden.json").read_text())
    return [GoldenFile(name, **entry) for name, entry in described.items()]


def describe_frame(frame: Frame) -> list[list[float]]:
    """Of each plane the means of 4x4 cells, and its standard deviation, in sample steps."""
    return [[*_cell_means(plane), round(float(plane.std()), 3)] for plane in frame.planes]


def _cell_means(plane: np.ndarray) -> list[float]:
    return [
        round(float(cell.mean()), 3)
        for rows in np.array_split(plane, CELLS)
        for cell in np.array_split(rows, CELLS, axis=1)
    ]
