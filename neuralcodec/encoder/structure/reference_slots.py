"""What coded frames have left, in the slots in which a decoder has it."""

from neuralcodec.model.recurrence import Recurrence
from neuralcodec.references import SLOTS, Placement


class ReferenceSlots:
    """Of one GOP."""

    def __init__(self) -> None:
        self._slots: list[Recurrence | None] = [None] * SLOTS

    def read(self, place: Placement) -> tuple[Recurrence, Recurrence] | None:
        """What a frame refers to; None: an intra frame."""
        if place.slots is None:
            return None
        first, second = (self._slots[slot] for slot in place.slots)
        assert first is not None and second is not None
        return first, second

    def store(self, place: Placement, left: Recurrence) -> None:
        if place.stored is not None:
            self._slots[place.stored] = left
