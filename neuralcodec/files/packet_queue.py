"""Packets of other streams on their way past the pictures."""

from collections import deque
from collections.abc import Sequence

from neuralcodec.streams import StreamPacket


class PacketQueue:
    """Holds packets until the frame with which they came is written.

    Filled by the thread that reads ahead, emptied by the one that writes: what is written where
    depends on the frames alone, not on how far the reading has got.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Sequence[StreamPacket]]] = deque()

    def put(self, frame: int, packets: Sequence[StreamPacket]) -> None:
        """Packets that belong before frame number `frame`, which is handed on after this call."""
        if packets:
            self._waiting.append((frame, packets))

    def take(self, frame: int | None = None) -> list[StreamPacket]:
        """Those put in for frames up to this one, in order; all when none is named."""
        taken: list[StreamPacket] = []
        while self._waiting and (frame is None or self._waiting[0][0] <= frame):
            taken += self._waiting.popleft()[1]
        return taken
