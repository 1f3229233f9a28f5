"""What is carried beside the pictures while they are read: streams, their packets, tags."""

from dataclasses import replace
from fractions import Fraction

from av.packet import Packet
from av.stream import Stream

from neuralcodec.media.reading.carried_streams import carry, carry_packet, file_tags, left_out
from neuralcodec.media.reading.demuxing import Demuxer
from neuralcodec.media.reading.time_window import TimeWindow
from neuralcodec.media.sources.source import Source
from neuralcodec.media.stream_parameters import make_parameters
from neuralcodec.streams import ATTACHMENT, AUDIO, DATA, SUBTITLE, OtherStream, StreamPacket


class Carriage:
    """Streams and tags of a source, and the packets that its demuxer met.

    To be made before anything is read, as FFmpeg changes what it knows of a stream while it reads.

    Attributes:
        streams: those that can be carried, numbered from 0; none before `begin`.
        tags: metadata, and chapters inside the window of time.
        notices: one sentence for each stream that cannot be carried.
    """

    def __init__(self, source: Source, demuxer: Demuxer, window: TimeWindow):
        self._source = source
        self._demuxer = demuxer
        self._window = window
        self._is_finished = False
        self._parameters = {
            stream.index: make_parameters(stream)
            for stream in source.streams.others
            if stream.type in (AUDIO, SUBTITLE, DATA)
        }
        self._numbers: dict[int, OtherStream] = {}  # by index in the source
        self.notices: list[str] = []
        self.streams: tuple[OtherStream, ...] = ()
        tags = file_tags(source.container, source.streams.video)
        self.tags = replace(tags, chapters=window.clip(tags.chapters))

    def begin(self) -> None:
        """The first video packet was read: pictures of covers come before it."""
        for stream in self._source.streams.others:
            number = len(self._numbers)
            cover = self._demuxer.covers.get(stream.index)
            carried = carry(stream, number, cover, self._parameters.get(stream.index))
            if isinstance(carried, str):
                self.notices.append(left_out(self._source.name, stream, carried))
            else:
                self._numbers[stream.index] = carried
        self.streams = tuple(self._numbers.values())

    @property
    def indices(self) -> frozenset[int]:
        """Those of the streams in the source."""
        return frozenset(self._numbers)

    def take(self, before: int) -> list[StreamPacket]:
        """Packets that precede video packet number `before`, once each; all if finished."""
        packets = []
        for packet in self._demuxer.take(None if self._is_finished else before):
            stream = self._numbers.get(packet.stream_index)
            if stream is None or stream.kind == ATTACHMENT:
                continue
            time = _time(packet)
            if time is not None and (self._window.is_before(time) or self._window.is_after(time)):
                continue
            shift = self._window.shift(packet.time_base)
            packets.append(carry_packet(packet, stream.number, shift))
        return packets

    def finish(self, end: Fraction | None) -> None:
        """No more frames come; the last one ended at `end` (seconds, new clock), if cut off."""
        self._is_finished = True
        self._window = self._window.up_to(end)
        last = self._window.end
        if last is None or all(stream.kind == ATTACHMENT for stream in self.streams):
            return

        def is_beyond(packet: "Packet[Stream]") -> bool:
            time = _time(packet)
            return time is not None and time >= last

        self._demuxer.read_on(is_beyond)


def _time(packet: "Packet[Stream]") -> Fraction | None:
    """Seconds, on the source's clock."""
    ticks = packet.dts if packet.pts is None else packet.pts
    return None if ticks is None else ticks * packet.time_base
