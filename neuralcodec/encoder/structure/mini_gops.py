"""Mini-GOPs: from one anchor to the next, in which order frames are coded, and what they refer
to."""

from collections.abc import Iterator
from dataclasses import dataclass

from neuralcodec.encoder.structure.gop_structure import INTRA_BONUS, LOW_DELAY_OFFSETS, OFFSETS
from neuralcodec.references import Placement

SIZES = tuple(OFFSETS)  # frames from one anchor to the next
LARGEST = max(SIZES)
KEY_DISTANCE = 4  # frames from one of higher quality to the next, with low delay

# Slots: two for the last anchors, in turns; three for the inner frames of a mini-GOP of up to 8;
# one for the middle of 16 frames.
_TREE_SLOTS = (2, 3, 4)
_MIDDLE_SLOT = 5
_WHOLE_TREE = 8  # frames whose levels are coded one after another: more would need more slots


@dataclass(frozen=True)
class Structure:
    """What an encoder may do with the frames between two intra frames.

    largest: frames of a mini-GOP at most, one of SIZES; 1: P frames only.
    is_fixed: always the largest that fits, and not what the look-ahead finds to save most.
    low_delay: no frame refers to a later one, every fourth has a higher quality.
    """

    largest: int
    is_fixed: bool = False
    low_delay: bool = False

    def __post_init__(self) -> None:
        assert self.largest in SIZES and not (self.low_delay and self.largest > 1)


P_FRAMES, B_FRAMES = Structure(1), Structure(8)
LOW_DELAY = Structure(1, low_delay=True)


def largest_size(frames: int) -> int:
    """Of the mini-GOPs that so many frames suffice for."""
    return max(size for size in SIZES if size <= frames)


def level_at(position: int, index: int, size: int, structure: Structure) -> int:
    """Of a frame in the hierarchy. position: in its GOP; index: 1..size, in its mini-GOP."""
    if structure.low_delay:
        return int(position % KEY_DISTANCE != 0)
    distance = index & -index  # to the frames that it refers to
    return (size // distance).bit_length() - 1


def reference_distances(index: int, size: int) -> tuple[int, ...]:
    """How far away what a frame refers to is shown, past and future, its mini-GOP's own anchors
    only; arguments as in `level_at`."""
    distance = index & -index
    return (size,) if index == size else (distance, -distance)


@dataclass(frozen=True, slots=True)
class CodingStep:
    """A frame in the order of coding."""

    place: Placement
    offset: int  # q on top of that asked for
    size: int  # of its mini-GOP; 0: an intra frame


INTRA_STEP = CodingStep(Placement(0), INTRA_BONUS, 0)


class GopOrder:
    """The places of the frames of one GOP after the intra frame, mini-GOP by mini-GOP."""

    def __init__(self, low_delay: bool = False) -> None:
        self._low_delay = low_delay
        self._last = 0  # number of the last anchor
        self._anchors = [0]  # slots of the last two anchors, the last one at the end

    def add(self, size: int) -> list[list[CodingStep]]:
        """The next `size` frames: lists of frames that do not depend on each other."""
        if self._low_delay:
            assert size == 1
            return [[self._next_frame()]]
        offsets = OFFSETS[size]
        left, right = self._last, self._last + size
        placements = [[self._anchor(right)], *_inner(left, right, self._anchors)]
        self._last = right
        return [
            [CodingStep(place, offsets[place.level], size) for place in places]
            for places in placements
        ]

    def _anchor(self, shown: int) -> Placement:
        before, last = self._anchors[0], self._anchors[-1]
        stored = 1 - last
        self._anchors = [last, stored]
        return Placement(shown, 0, (last, before), stored)

    def _next_frame(self) -> CodingStep:
        """With low delay: slot 0 holds the last frame of higher quality, slot 1 the last other."""
        self._last += 1
        last_slot = 0 if (self._last - 1) % KEY_DISTANCE == 0 else 1
        level = 0 if self._last % KEY_DISTANCE == 0 else 1
        place = Placement(self._last, level, (last_slot, 0), level)
        return CodingStep(place, LOW_DELAY_OFFSETS[level], 1)


def _inner(left: int, right: int, slots: list[int]) -> Iterator[list[Placement]]:
    """The frames between two that are coded."""
    slot_of = dict(zip((left, right), slots, strict=True))
    if right - left <= _WHOLE_TREE:
        yield from _tree(left, right, slot_of, 1)
        return
    middle = (left + right) // 2
    yield [Placement(middle, 1, (slot_of[left], slot_of[right]), _MIDDLE_SLOT)]
    slot_of[middle] = _MIDDLE_SLOT
    yield from _tree(left, middle, slot_of, 2)
    yield from _tree(middle, right, slot_of, 2)


def _tree(left: int, right: int, slot_of: dict[int, int], level: int) -> Iterator[list[Placement]]:
    """Level by level: the middle, the middles of the halves. The last level is stored nowhere."""
    free = iter(_TREE_SLOTS)
    distance = (right - left) // 2
    while distance:
        places = []
        for shown in range(left + distance, right, 2 * distance):
            slots = slot_of[shown - distance], slot_of[shown + distance]
            stored = next(free) if distance > 1 else None
            if stored is not None:
                slot_of[shown] = stored
            places.append(Placement(shown, level, slots, stored))
        yield places
        distance, level = distance // 2, level + 1
