"""How far an encode or decode has come."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ProgressState:
    frames: int  # done, of this pass
    expected: int | None = None  # frames in all, where the source says
    bits_per_second: float | None = None  # of the video so far; None before the first whole GOP
    label: str = ""  # of the pass ("pass 1 of 2"), where there are several


Progress = Callable[[ProgressState], None]  # called after each frame
