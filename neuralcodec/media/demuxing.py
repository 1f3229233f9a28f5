"""One pass through a source: packets of its pictures, and of what is carried beside them."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import cast

from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from neuralcodec.media.source import Source
from neuralcodec.media.stream_selection import is_cover

# After the pictures end, sound may follow in the file this much later, in seconds.
_LARGEST_DELAY = 5


class Demuxer:
    """Packets of the video in the order of the file; those of other streams wait to be taken.

    Attributes:
        video_packets: how many came so far.
        covers: pictures that belong to the file, by the index of their stream.
        bytes_used: of the source, up to the end of the latest packet.
        read_error: why reading ended before the end; None if it did not.
    """

    def __init__(self, source: Source, others: Sequence[Stream]):
        self._source = source
        self._video = source.streams.video
        self._others = list(others)
        self._start()

    def seek(self, time: Fraction) -> None:
        """Go on from the picture that can be decoded before `time` (seconds).

        Raises FFmpegError where the source cannot, and then stays where it is.
        """
        time_base = self._video.time_base
        assert time_base is not None
        self._source.container.seek(int(time / time_base), stream=self._video)
        self._start()

    def __iter__(self) -> Iterator["Packet[VideoStream]"]:
        while (packet := self._next()) is not None:
            if packet.stream_index == self._video.index:
                yield cast("Packet[VideoStream]", packet)

    def read_on(self, is_enough: Callable[["Packet[Stream]"], bool]) -> None:
        """Read the packets of other streams too that follow late in the file.

        Up to where the video and each stream of sound gave a packet that `is_enough`, or where
        the video is far beyond such a packet.
        """
        waiting = {stream.index for stream in self._others if stream.type == "audio"}
        waiting.add(self._video.index)
        limit: Fraction | None = None  # of the video's decoding time
        while waiting and (packet := self._next()) is not None:
            if is_enough(packet):
                waiting.discard(packet.stream_index)
            if packet.stream_index == self._video.index and packet.dts is not None:
                time = packet.dts * packet.time_base
                if limit is None and is_enough(packet):
                    limit = time + _LARGEST_DELAY
                if limit is not None and time > limit:
                    return

    def take(self, before: int | None = None) -> list["Packet[Stream]"]:
        """Waiting packets that precede video packet number `before`, or all; each comes once."""
        taken = []
        while self._waiting and (before is None or self._waiting[0][0] <= before):
            taken.append(self._waiting.popleft()[1])
        return taken

    def _start(self) -> None:
        self._packets = self._source.container.demux(self._video, *self._others)
        self._waiting: deque[tuple[int, Packet[Stream]]] = deque()
        self.video_packets = 0
        self.covers: dict[int, bytes] = {}
        self.bytes_used = 0
        self.read_error: str | None = None

    def _next(self) -> "Packet[Stream] | None":
        """The next packet that holds something; None at the end or the first read error."""
        try:
            for packet in self._packets:
                if not packet.size:  # PyAV ends with an empty one of its own for every stream
                    continue
                if packet.stream_index == self._video.index:
                    self.video_packets += 1
                    self.bytes_used = (packet.pos or 0) + packet.size
                elif is_cover(packet.stream):
                    self.covers[packet.stream_index] = bytes(packet)
                else:
                    self._waiting.append((self.video_packets, packet))
                return packet
        except (FFmpegError, OSError) as error:
            self.read_error = str(error.strerror or error)
        return None
