"""Streams that are written as they came: audio, subtitles, data and attachments."""

import heapq
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import count

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from neuralcodec.media.writing.copied_track import Track, add_stream, describe
from neuralcodec.media.writing.matroska_header import EMPTY_CLUSTER, with_codec_delay
from neuralcodec.media.writing.trial import Trial
from neuralcodec.streams import ATTACHMENT, OtherStream, StreamPacket

_NANOSECONDS = 1_000_000_000  # per second


def with_priming(stream: OtherStream, first: Sequence[StreamPacket]) -> OtherStream:
    """The stream for a Matroska file, where the track tells how much of its start is not heard.

    Other containers tell so by an edit list, which is in the packets then: the first one lies
    before time zero and has samples to skip. Without this all streams would have to move up.
    """
    if not first or first[0].pts is None or first[0].pts >= 0:
        return stream
    if "skip_samples" not in dict(first[0].side_data):
        return stream
    try:
        header = _matroska_header(stream)
    except (FFmpegError, ValueError):
        return stream  # no stream for Matroska at all, as will be found out
    delay = round(-first[0].pts * stream.time_base * _NANOSECONDS)
    parameters = with_codec_delay(header, delay)
    return replace(stream, parameters_format="matroska", parameters=parameters)


def _matroska_header(stream: OtherStream) -> bytes:
    """The stream's parameters as an empty Matroska file, if they are not one."""
    if stream.parameters_format == "matroska":
        return stream.parameters
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        add_stream(container, stream)
        container.start_encoding()
        return file.getvalue() + EMPTY_CLUSTER


class CopiedStreams:
    """The other streams of a container: gives their packets in the order of decoding times.

    Times that are missing, or go back as those of damaged sources do, are replaced by the next
    ones possible, with a sentence about it passed to `notice`. So are packets left out that the
    container does not take.
    """

    def __init__(
        self,
        container: OutputContainer,
        kind: str,  # of the file, in the user's words
        streams: Sequence[OtherStream],
        notice: Callable[[str], None],
    ):
        self._tracks = {
            stream.number: Track(stream, add_stream(container, stream)) for stream in streams
        }
        # The container's own complaint would come later, with a packet of any stream.
        self._trials = {
            stream.number: Trial(container.format.name, stream)
            for stream in streams
            if stream.kind != ATTACHMENT
        }
        self._kind = kind
        self._notice = notice
        self._waiting: list[tuple[Fraction, int, Packet[Stream]]] = []  # a heap
        self._arrivals = count()
        for track in self._tracks.values():
            # A cover is one packet to MP4; Matroska has it as an attachment, which has none.
            if track.source.kind == ATTACHMENT and isinstance(track.copy, VideoStream):
                self._push(
                    track, StreamPacket(track.source.number, 0, 0, 0, True, track.source.data)
                )

    def add(self, packet: StreamPacket, shift: Fraction) -> None:
        """Take a packet, to be moved by `shift` seconds; those of streams left out are dropped."""
        trial = self._trials.get(packet.stream)
        if trial is None:
            return
        track = self._tracks[packet.stream]
        if not trial.takes(packet):
            self._notice(
                f"{self._kind} does not take some packets of {describe(track.source)}: left out"
            )
            return
        if not self._push(track, packet, shift):
            self._notice(
                f"{describe(track.source)} has time stamps that are missing or go back: "
                "those packets follow the ones before"
            )

    def due(self, until: Fraction | None = None) -> Iterator["Packet[Stream]"]:
        """Packets to write before what is decoded at `until` (seconds); all if that is None."""
        while self._waiting and (until is None or self._waiting[0][0] <= until):
            yield heapq.heappop(self._waiting)[2]

    def _push(self, track: Track, packet: StreamPacket, shift: Fraction = Fraction(0)) -> bool:
        """Have it wait for its turn; whether its times are the source's."""
        copy, is_as_it_was = track.place(packet, shift)
        assert copy.dts is not None
        heapq.heappush(self._waiting, (copy.dts * copy.time_base, next(self._arrivals), copy))
        return is_as_it_was
