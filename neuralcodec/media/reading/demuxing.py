"""One pass through a source: packets of its pictures, and of what is carried beside them."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from neuralcodec.media.reading.joined_clock import LARGEST_TIME, JoinedClock, may_begin_anew
from neuralcodec.media.sources.source import Source
from neuralcodec.media.sources.stream_selection import is_cover

# After the pictures end, sound may follow in the file this much later, in seconds.
_LARGEST_DELAY = 5


@dataclass
class Passed:
    """What a stream, wanted or not, gave so far."""

    end: Fraction  # seconds, of what is shown or heard last
    first_byte: int | None  # in the source, where its first and its latest packet begin
    last_byte: int | None
    last_is_cut: bool  # whether bytes are missing at the end of the latest packet
    longest_pause: Fraction = Fraction(0)  # seconds, between the end of a packet and the next


class Demuxer:
    """Packets of the video in the order of the file; those of other streams wait to be taken.

    Attributes:
        video_packets: how many came so far.
        covers: pictures that belong to the file, by the index of their stream.
        bytes_used: of the source, up to the end of the latest packet of the video.
        passed: of every stream that gave packets, by its index.
        read_error: why reading ended before the end; None if it did not.
    """

    def __init__(self, source: Source, others: Sequence[Stream]):
        self._source = source
        self._video = source.streams.video
        self._others = list(others)
        self._wanted = {stream.index for stream in others}
        self._start()

    @property
    def jumps(self) -> int:
        """How many times the clock of the source jumped, which is undone."""
        return self._clock.jumps

    def seek(self, time: Fraction) -> None:
        """Go on from the picture that can be decoded before `time` (seconds).

        Raises FFmpegError where the source cannot, and then stays where it is.
        """
        time_base = self._video.time_base
        assert time_base is not None
        self._source.container.seek(_limited(int(time / time_base)), stream=self._video)
        self._start()

    def rewind(self) -> None:
        """Go back to the beginning. Raises FFmpegError where the source cannot."""
        if may_begin_anew(self._source.container):  # times would be looked for in vain
            self._source.container.seek(0, unsupported_byte_offset=True)
            self._start()
            return
        self.seek(Fraction(self._video.start_time or 0) * (self._video.time_base or 1))

    def has_own_clock(self) -> bool:
        """Whether what was read first after seeking is on the clock of the source's beginning.

        Where that jumps, times can only be found by reading all before them.
        """
        passed = self.passed.get(self._video.index)
        if passed is None or passed.first_byte is None:
            return True
        if not may_begin_anew(self._source.container):
            return True
        with self._source.reopened() as again:
            if again is None:
                return False
            clock = JoinedClock(again, [self._video, *again.streams.audio])
            try:
                for packet in clock.join(again.demux()):
                    if clock.jumps:
                        return False
                    if packet.pos is not None and packet.pos >= passed.first_byte:
                        return True
            except (FFmpegError, OSError, IndexError):
                pass  # as far as it can be read, it does not jump
        return True

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
        container = self._source.container
        self._clock = JoinedClock(container, [self._video, *container.streams.audio])
        self._packets = self._clock.join(self._read())
        self._waiting: deque[tuple[int, Packet[Stream]]] = deque()
        self.video_packets = 0
        self.covers: dict[int, bytes] = {}
        self.bytes_used = 0
        self.passed: dict[int, Passed] = {}
        self.read_error: str | None = None

    def _read(self) -> Iterator["Packet[Stream]"]:
        """Packets that hold something, of all streams, up to the end or the first read error."""
        try:
            for packet in self._source.container.demux():
                if packet.size:  # PyAV ends with an empty one of its own for every stream
                    _drop_impossible_times(packet)
                    yield packet
        except IndexError:
            pass  # PyAV, at the end of a source in which more streams appeared after its opening
        except (FFmpegError, OSError) as error:
            self.read_error = str(error.strerror or error)

    def _next(self) -> "Packet[Stream] | None":
        """The next packet, of any stream; None at the end."""
        packet = next(self._packets, None)
        if packet is None:
            return None
        self._note(packet)
        if packet.stream_index == self._video.index:
            self.video_packets += 1
            if packet.pos is not None:
                self.bytes_used = packet.pos + packet.size
        elif packet.stream_index in self._wanted:
            if is_cover(packet.stream):
                self.covers[packet.stream_index] = bytes(packet)
            else:
                self._waiting.append((self.video_packets, packet))
        return packet

    def _note(self, packet: "Packet[Stream]") -> None:
        ticks = packet.dts if packet.pts is None else packet.pts
        start = None if ticks is None else ticks * packet.time_base
        end = (start or 0) + max(packet.duration or 0, 0) * packet.time_base
        passed = self.passed.get(packet.stream_index)
        if passed is None:
            passed = Passed(end, packet.pos, packet.pos, packet.is_corrupt)
            self.passed[packet.stream_index] = passed
        if start is not None:
            passed.longest_pause = max(passed.longest_pause, start - passed.end)
        passed.end = max(passed.end, end)
        passed.last_is_cut = packet.is_corrupt
        if packet.pos is not None:
            passed.last_byte = packet.pos


def _drop_impossible_times(packet: "Packet[Stream]") -> None:
    if packet.pts is not None and abs(packet.pts) > LARGEST_TIME:
        packet.pts = None
    if packet.dts is not None and abs(packet.dts) > LARGEST_TIME:
        packet.dts = None
    if packet.duration is not None and packet.duration > LARGEST_TIME:
        packet.duration = 0


def _limited(ticks: int) -> int:
    return max(-LARGEST_TIME, min(LARGEST_TIME, ticks))
