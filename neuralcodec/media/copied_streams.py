"""Streams that are written as they came: audio, subtitles, data and attachments."""

import heapq
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import count
from typing import Any, get_args

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet, PacketSideData, PktSideDataT
from av.stream import Disposition, Stream

from neuralcodec.media.matroska_header import EMPTY_CLUSTER, with_codec_delay
from neuralcodec.media.metadata import stream_metadata, with_quicktime_language
from neuralcodec.media.stream_parameters import open_parameters
from neuralcodec.streams import ATTACHMENT, SUBTITLE, OtherStream, StreamPacket

# Side data that the muxers read; any other would be of no effect.
_SIDE_DATA = {
    "skip_samples",
    "new_extradata",
    "webvtt_identifier",
    "webvtt_settings",
    "matroska_block_additional",
}
_NANOSECONDS = 1_000_000_000  # per second
_ANY_FILE = "application/octet-stream"


def describe(stream: OtherStream) -> str:
    """A stream in the user's words: 'subtitle stream 2 (subrip, eng)'."""
    metadata = dict(stream.metadata)
    if stream.kind == ATTACHMENT:
        return f"attachment {metadata.get('filename', stream.number)}"
    words = [stream.codec, *filter(None, [metadata.get("language")])]
    return f"{stream.kind} stream {stream.number} ({', '.join(words)})"


def can_hold(muxer: str, stream: OtherStream, first: Sequence[StreamPacket]) -> bool:
    """Whether FFmpeg's muxer takes the stream; found out by trying with its first packets.

    Some codecs are refused only at the end of the file, when the muxer describes them.
    """
    if stream.kind == ATTACHMENT:
        return muxer == "matroska"
    try:
        with av.open(io.BytesIO(), "w", format=muxer) as container:
            copy = add_stream(container, stream)
            container.start_encoding()
            track = _Track(stream, copy)
            for packet in first:
                with suppress(ValueError):  # one that is damaged says nothing about the others
                    container.mux(track.place(packet, Fraction(0))[0])
    except (FFmpegError, ValueError):
        return False
    return True


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


def add_stream(container: OutputContainer, stream: OtherStream) -> Stream:
    """A copy of the stream in a container.

    Raises ValueError or FFmpegError if the container cannot hold it.
    """
    metadata = stream_metadata(stream.metadata)
    if container.format.name == "mov":
        metadata = with_quicktime_language(metadata)
    copy: Stream
    if stream.kind == ATTACHMENT:
        copy = container.add_attachment(
            metadata.get("filename", f"attachment{stream.number}"),
            metadata.get("mimetype", _ANY_FILE),
            stream.data,
        )
    else:
        with open_parameters(stream) as template:
            copy = container.add_stream_from_template(template, opaque=True)
        copy.time_base = stream.time_base
    copy.disposition = Disposition(stream.disposition)
    copy.metadata.update(metadata)
    return copy


class CopiedStreams:
    """The other streams of a container: gives their packets in the order of decoding times.

    Times that are missing, or go back as those of damaged sources do, are replaced by the next
    ones possible, with a sentence about it passed to `notice`.
    """

    def __init__(
        self,
        container: OutputContainer,
        streams: Sequence[OtherStream],
        notice: Callable[[str], None],
    ):
        self._tracks = {
            stream.number: _Track(stream, add_stream(container, stream)) for stream in streams
        }
        self._notice = notice
        self._waiting: list[tuple[Fraction, int, Packet[Stream]]] = []  # a heap
        self._arrivals = count()

    def add(self, packet: StreamPacket, shift: Fraction) -> None:
        """Take a packet, to be moved by `shift` seconds; those of streams left out are dropped."""
        track = self._tracks.get(packet.stream)
        if track is None or track.source.kind == ATTACHMENT:
            return
        copy, is_as_it_was = track.place(packet, shift)
        if not is_as_it_was:
            self._notice(
                f"{describe(track.source)} has time stamps that are missing or go back: "
                "those packets follow the ones before"
            )
        assert copy.dts is not None
        heapq.heappush(self._waiting, (copy.dts * copy.time_base, next(self._arrivals), copy))

    def due(self, until: Fraction | None = None) -> Iterator["Packet[Stream]"]:
        """Packets to write before what is decoded at `until` (seconds); all if that is None."""
        while self._waiting and (until is None or self._waiting[0][0] <= until):
            yield heapq.heappop(self._waiting)[2]

    def name_of(self, packet: "Packet[Stream]") -> str:
        """The stream of a packet, in the user's words."""
        return next(
            describe(track.source)
            for track in self._tracks.values()
            if track.copy.index == packet.stream_index
        )


class _Track:
    """A stream, its copy in the container, and how far the copy has come."""

    def __init__(self, source: OtherStream, copy: Stream):
        self.source = source
        self.copy = copy
        self._last: int | None = None  # dts, in the time base of the copy
        self._end = 0  # when the packet before ends, in that of the source

    def place(self, packet: StreamPacket, shift: Fraction) -> tuple["Packet[Stream]", bool]:
        """A packet to write in the copy's time base, and whether its times are the source's."""
        source_base = self.source.time_base
        target_base = self.copy.time_base
        assert target_base is not None
        source_dts = packet.dts if packet.dts is not None else packet.pts
        is_as_it_was = source_dts is not None
        source_dts = self._end if source_dts is None else source_dts
        source_pts = packet.pts if packet.pts is not None else source_dts
        self._end = source_dts + packet.duration

        def rebase(time: int) -> int:
            return round((time * source_base + shift) / target_base)

        dts, pts = rebase(source_dts), rebase(source_pts)
        # FFmpeg's muxers want times of decoding that rise; subtitles may share one.
        if self._last is not None:
            lowest = self._last + (self.source.kind != SUBTITLE)
            is_as_it_was &= dts >= lowest
            dts = max(dts, lowest)
        self._last = dts
        copy: Packet[Stream] = Packet(packet.data)
        copy.stream = self.copy
        copy.time_base = target_base
        copy.dts, copy.pts = dts, max(pts, dts)
        copy.duration = round(packet.duration * source_base / target_base)
        copy.is_keyframe = packet.is_keyframe
        for name, content in packet.side_data:
            if name in _SIDE_DATA and content:
                copy.set_sidedata(_side_data(name, content))
        return copy, is_as_it_was


def _side_data(name: str, content: bytes) -> PacketSideData:
    make: Any = PacketSideData  # PyAV's types do not tell what it takes
    side_data: PacketSideData = make(get_args(PktSideDataT).index(name), len(content))
    side_data.update(content)
    return side_data
