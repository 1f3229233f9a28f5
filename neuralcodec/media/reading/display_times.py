"""Times of pictures whose source says only when they are decoded."""

from collections import deque


class DisplayTimes:
    """Hands the decoding times of packets, in their order, to pictures as they are shown.

    So a gap in decoding is one in showing, and pictures and sound stay together. Where a packet
    gave no picture, times are right again from the next keyframe on.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, int]] = deque()  # number of a packet, its time

    def add(self, number: int, time: int | None) -> None:
        """The packet of this number is decoded now, at a time; numbers rise."""
        if time is not None:
            self._waiting.append((number, time))

    def take(self, number: int, is_keyframe: bool) -> int | None:
        """The time of the next picture, decoded from the packet of this number."""
        if is_keyframe:  # whatever was decoded before it has been shown before it
            while self._waiting and self._waiting[0][0] < number:
                self._waiting.popleft()
        return self._waiting.popleft()[1] if self._waiting else None
