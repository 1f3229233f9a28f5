"""Where frames stand in their GOP: the order of showing, the hierarchy, and what they refer to."""

from collections.abc import Container, Sequence
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


def needed_for(places: Sequence[Placement], wanted: Container[int]) -> list[int]:
    """Which frames of a GOP must be decoded to show those wanted, which are numbers in the order of
    showing: positions in the order of coding, ascending."""
    missing: set[int] = set()  # slots whose next writer, going back, is needed
    needed: list[int] = []
    for i, place in reversed(list(enumerate(places))):
        if place.shown in wanted or place.stored in missing:
            needed.append(i)
            missing -= {place.stored}
            missing |= set(place.slots or ())
    return needed[::-1]


def independent_runs(places: Sequence[Placement], most: int) -> list[range]:
    """Frames in the order of coding, cut into runs of at most so many frames that do not depend on
    each other."""
    runs: list[range] = []
    written: set[int] = set()  # slots, by the run that goes on
    start = 0
    for i, place in enumerate(places):
        depends = not written.isdisjoint(place.slots or ())
        if i > start and (place.is_intra or depends or i - start == most or places[start].is_intra):
            runs.append(range(start, i))
            start, written = i, set()
        if place.stored is not None:
            written.add(place.stored)
    if places:
        runs.append(range(start, len(places)))
    return runs


def referred_to(places: Sequence[Placement]) -> list[tuple[int, ...]]:
    """Of each frame of a GOP in the order of coding, the numbers in the order of showing of those
    that it reads: two, one where both are the same, none of an intra frame."""
    held: dict[int, int] = {}
    found: list[tuple[int, ...]] = []
    for place in places:
        found.append(tuple(dict.fromkeys(held[slot] for slot in place.slots or ())))
        if place.stored is not None:
            held[place.stored] = place.shown
    return found
