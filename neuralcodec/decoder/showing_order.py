"""Frames that come in the order of coding, given in the order of showing."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")


class ShowingOrder(Generic[Item]):
    """Holds what has come too early. Of a GOP that a reader has let pass, that is at most
    `layout.MAX_WAITING_FRAMES` at any time."""

    def __init__(self, numbers: Sequence[int]) -> None:
        """numbers: of all that will come, in the order of showing."""
        self._coming = deque(numbers)
        self._early: dict[int, Item] = {}

    def put(self, number: int, item: Item) -> Iterator[Item]:
        """What can be shown now."""
        self._early[number] = item
        while self._coming and self._coming[0] in self._early:
            yield self._early.pop(self._coming.popleft())
