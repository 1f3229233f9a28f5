"""How many frames a mini-GOP has."""

from collections.abc import Sequence

from neuralcodec.encoder.mini_gops import Structure, largest_size
from neuralcodec.video import Frame


def choose_sizes(before: Frame, frames: Sequence[Frame], structure: Structure) -> list[int]:
    """Of the mini-GOPs that these frames make, which follow the anchor `before`."""
    sizes: list[int] = []
    left = len(frames)
    while left:
        sizes.append(largest_size(min(left, structure.largest)))
        left -= sizes[-1]
    return sizes
