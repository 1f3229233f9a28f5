"""From some frames of a clip to all: how a figure goes with what a look at a frame says, and how it
differs from place to place."""

from collections.abc import Sequence
from copy import copy
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


class RunningTrend:
    """How the error of a forecast goes with a look, lately: a level and a slope.

    Where all frames look alike, both could explain an error; the less surprising pair is taken.
    """

    def __init__(self, memory: float, level_trust: float, slope_trust: float) -> None:
        """memory: sum of weights; level_trust: as if frames of so much weight with look 0 had
        shown no error; slope_trust: the same of the slope, with look 1."""
        self._memory = memory
        self._level_trust, self._slope_trust = level_trust, slope_trust
        self._weights = self._looks = self._squares = self._errors = self._products = 0.0  # sums
        self.level = self.slope = 0.0

    def add(self, look: float, error: float, weight: float) -> None:
        """error: of a forecast to which nothing of this was added; weight: 0..1."""
        keep = 1 - weight / self._memory
        self._weights = self._weights * keep + weight
        self._looks = self._looks * keep + weight * look
        self._squares = self._squares * keep + weight * look * look
        self._errors = self._errors * keep + weight * error
        self._products = self._products * keep + weight * look * error
        self._fit()

    def _fit(self) -> None:
        weights = self._weights + self._level_trust
        squares = self._squares + self._slope_trust
        determinant = weights * squares - self._looks**2
        self.level = (squares * self._errors - self._looks * self._products) / determinant
        self.slope = (weights * self._products - self._looks * self._errors) / determinant

    def continued(self, share: float) -> "RunningTrend":
        """What was learned counts for a share only, of what it did."""
        other = copy(self)
        for name in ("_weights", "_looks", "_squares", "_errors", "_products"):
            setattr(other, name, getattr(self, name) * share)
        other._fit()
        return other

    def at(self, look: float) -> float:
        """What to add to a forecast."""
        return self.level + self.slope * look
