"""Where frames stand in their GOP: the order of showing, the hierarchy, and what they refer to."""

from dataclasses import dataclass

SLOTS = 6  # decoded frames that a decoder keeps to refer to
HIGHEST_LEVEL = 7


@dataclass(frozen=True, slots=True)
class Placement:
    """A frame's place in its GOP. Frames come in the order of coding; the first is an intra frame
    and shown first.

    shown: its number in the GOP in the order of showing, from 0.
    level: depth in the hierarchy, 0..HIGHEST_LEVEL: 0 for anchors, which no frame of a higher
    level is needed to decode.
    slots: the two that it reads, which may be the same one; None: an intra frame.
    stored: the slot that it overwrites, after reading; None: no frame refers to it.
    """

    shown: int
    level: int = 0
    slots: tuple[int, int] | None = None
    stored: int | None = 0

    @property
    def is_intra(self) -> bool:
        return self.slots is None


def chain(number: int) -> Placement:
    """Of a frame in a GOP in which each refers to the one before it."""
    return Placement(number, slots=(0, 0) if number else None)
