"""From some frames of a clip to all: how a figure goes with what a look at a frame says, and how it
differs from place to place."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Place:
    """Frames in a row, and a figure of each."""

    numbers: np.ndarray
    figures: np.ndarray


def spread(
    looks: np.ndarray,
    scenes: np.ndarray,
    places: Sequence[Place],
    usual_slope: float,
    trust: float,
) -> np.ndarray:
    """The figure for each frame, (frames,).

    looks: (frames,) what a look says of each; scenes: (frames,) the number of its scene;
    usual_slope: of the figure over the looks, believed as if `trust` frames, one apart in their
    looks, had shown it. What a place has more than this goes over into what the next one of its
    scene has; a scene without any is between those before and after it.
    """
    numbers = np.concatenate([place.numbers for place in places])
    figures = np.concatenate([place.figures for place in places])
    mean = looks[numbers].mean()
    away = looks[numbers] - mean
    shown = float(away @ (figures - figures.mean()))
    slope = (usual_slope * trust + shown) / (trust + float(away @ away))
    trend = figures.mean() + slope * (looks - mean)
    centres = np.array([place.numbers.mean() for place in places])
    rests = np.array([(place.figures - trend[place.numbers]).mean() for place in places])
    every: np.ndarray = trend + np.interp(np.arange(len(looks)), centres, rests)
    of_place = np.array([scenes[place.numbers[0]] for place in places])
    for scene in np.unique(of_place):
        inside, own = np.flatnonzero(scenes == scene), of_place == scene
        every[inside] = trend[inside] + np.interp(inside, centres[own], rests[own])
    return every


class Tilt:
    """How an error goes with a look, lately: what a forecast lacks of the true slope."""

    def __init__(self, memory: float, trust: float) -> None:
        """memory: in frames; trust: as if so many, one apart in their looks, had shown no tilt."""
        self._keep, self._trust = 1 - 1 / memory, trust
        self._count = self._look = self._error = self._shown = self._spread = 0.0

    def add(self, look: float, error: float) -> None:
        """error: of a forecast without the tilt."""
        self._count = self._count * self._keep + 1
        away, off = look - self._look, error - self._error
        self._look += away / self._count
        self._error += off / self._count
        # As if the means had been known before, and with them: an old trick against cancellation.
        self._shown = self._shown * self._keep + away * (error - self._error)
        self._spread = self._spread * self._keep + away * (look - self._look)

    def at(self, look: float) -> float:
        """What to add to a forecast."""
        return self._shown / (self._trust + self._spread) * (look - self._look)
