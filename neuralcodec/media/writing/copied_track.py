"""One stream that is written as it came: its copy in a container, and its packets there."""

import io
from fractions import Fraction
from typing import Any, get_args

import av
from av.container import OutputContainer
from av.format import Flags as FormatFlags
from av.packet import Packet, PacketSideData, PktSideDataT
from av.stream import Disposition, Stream

from neuralcodec.media.sources.stated_times import ENDLESS
from neuralcodec.media.stream_parameters import open_parameters
from neuralcodec.media.writing.metadata import stream_metadata, with_quicktime_language
from neuralcodec.streams import ATTACHMENT, SUBTITLE, OtherStream, StreamPacket

# Side data that the muxers read; any other would be of no effect.
_SIDE_DATA = {
    "skip_samples",
    "new_extradata",
    "webvtt_identifier",
    "webvtt_settings",
    "matroska_block_additional",
}
# Formats in which a packet may last until the next one of its stream.
_WITHOUT_DURATIONS = {"matroska", "webm"}
_ANY_FILE = "application/octet-stream"
_COVER_CODECS = {"mjpeg", "png", "bmp"}  # that MP4 has a place for


def describe(stream: OtherStream) -> str:
    """A stream in the user's words: 'subtitle stream 2 (subrip, eng)'."""
    metadata = dict(stream.metadata)
    if stream.kind == ATTACHMENT:
        return f"attachment {metadata.get('filename', stream.number)}"
    words = [stream.codec, *filter(None, [metadata.get("language")])]
    return f"{stream.kind} stream {stream.number} ({', '.join(words)})"


def is_cover(stream: OtherStream) -> bool:
    """Whether an attachment is the picture that stands for the file."""
    return stream.kind == ATTACHMENT and bool(stream.disposition & Disposition.attached_pic)


def holds_attachment(muxer: str, stream: OtherStream) -> bool:
    """Matroska holds any file, MP4 the cover."""
    if muxer == "mp4":
        return is_cover(stream) and stream.codec in _COVER_CODECS
    return muxer == "matroska"


def add_stream(container: OutputContainer, stream: OtherStream) -> Stream:
    """A copy of the stream in a container.

    Raises ValueError or FFmpegError if the container cannot hold it.
    """
    metadata = stream_metadata(stream.metadata)
    if container.format.name == "mov":
        metadata = with_quicktime_language(metadata)
    copy: Stream
    if container.format.name == "mp4" and is_cover(stream):
        with av.open(io.BytesIO(stream.data)) as picture:
            copy = container.add_stream_from_template(picture.streams.video[0], opaque=True)
        copy.time_base = stream.time_base
        copy.disposition = Disposition.attached_pic  # and no other, or it is a video
        return copy
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


class Track:
    """A stream, its copy in the container, and how far the copy has come."""

    def __init__(self, source: OtherStream, copy: Stream):
        self.source = source
        self.copy = copy
        nonstrict: Any = FormatFlags.ts_nonstrict.value  # a number, which PyAV's types do not say
        self._may_share_times = bool(copy.container.format.flags & nonstrict)
        self._may_have_no_duration = copy.container.format.name in _WITHOUT_DURATIONS
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
        duration = packet.duration
        if duration * source_base >= ENDLESS and self._may_have_no_duration:
            duration = 0  # unknown: otherwise the file itself would last as long
        self._end = source_dts + duration

        def rescaled(time: int) -> int:
            return round((time * source_base + shift) / target_base)

        dts, pts = rescaled(source_dts), rescaled(source_pts)
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
        copy.duration = round(duration * source_base / target_base)
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
