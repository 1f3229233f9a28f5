"""Streams that are written as they came: audio, subtitles, data and attachments."""

import heapq
import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import count
from typing import Any, BinaryIO, get_args

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.format import Flags as FormatFlags
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

    Some codecs are refused only at the end of the file, when the muxer describes them, some packet
    by packet, and some are taken that no demuxer then reads.
    """
    if stream.kind == ATTACHMENT:
        return muxer == "matroska"
    file = io.BytesIO()
    try:
        with Trial(muxer, stream, file) as trial:
            # One that is damaged says nothing about the others.
            taken = [trial.takes(packet) for packet in first]
        if any(taken):
            file.seek(0)
            with av.open(file) as written:
                return len(written.streams) == 1
    except (FFmpegError, ValueError):
        return False
    return not taken


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
            stream.number: _Track(stream, add_stream(container, stream)) for stream in streams
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

    def close(self) -> None:
        """No more packets come."""
        for trial in self._trials.values():
            trial.discard()


class Trial:
    """A container with one stream alone: what it complains of is that stream, and the packet that
    it was just given. What is written goes nowhere, if not to `file`.

    Raises ValueError or FFmpegError where the muxer does not take the stream; as a context
    manager also on leaving, where it does not take it in the end.
    """

    def __init__(self, muxer: str, stream: OtherStream, file: BinaryIO | None = None):
        sink: Any = file or _Nowhere()
        self._container = av.open(sink, "w", format=muxer)
        try:
            copy = add_stream(self._container, stream)
            self._container.start_encoding()
        except BaseException:
            self.discard()
            raise
        self._track = _Track(stream, copy)

    def takes(self, packet: StreamPacket) -> bool:
        try:
            self._container.mux(self._track.place(packet, Fraction(0))[0])
        except (FFmpegError, ValueError):
            return False
        return True

    def discard(self) -> None:
        """Close without a word."""
        with suppress(FFmpegError, ValueError):
            self._container.close()

    def __enter__(self) -> "Trial":
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()


class _Nowhere:
    """A file that keeps nothing of what is written to it."""

    def __init__(self) -> None:
        self._position = self._end = 0

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._end}[whence]
        self._position = start + offset
        return self._position

    def write(self, data: bytes) -> int:
        self._position += len(data)
        self._end = max(self._end, self._position)
        return len(data)


class _Track:
    """A stream, its copy in the container, and how far the copy has come."""

    def __init__(self, source: OtherStream, copy: Stream):
        self.source = source
        self.copy = copy
        nonstrict: Any = FormatFlags.ts_nonstrict.value  # a number, which PyAV's types do not say
        self._may_share_times = bool(copy.container.format.flags & nonstrict)
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
        # FFmpeg's muxers want times of decoding that rise; subtitles may share one, and in
        # Matroska, whose ticks are long, all may.
        if self._last is not None:
            lowest = self._last + (self.source.kind != SUBTITLE and not self._may_share_times)
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
