"""Streams, packets and tags of a source as types of their own."""

from collections.abc import Mapping
from fractions import Fraction

from av.container import InputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Stream
from av.video.stream import VideoStream

from neuralcodec.media.sources.stream_selection import is_cover
from neuralcodec.media.stream_parameters import StreamParameters, codec_of, make_parameters
from neuralcodec.streams import (
    ATTACHMENT,
    KINDS,
    Chapter,
    FileTags,
    Metadata,
    OtherStream,
    StreamPacket,
)

# What a container says of itself and of its bytes; another one will say it of its own.
_BOOKKEEPING = {
    "major_brand",
    "minor_version",
    "compatible_brands",
    "encoder",
    "vendor_id",
    "duration",
    "bps",
    "number_of_frames",
    "number_of_bytes",
    "_statistics_writing_app",
    "_statistics_writing_date_utc",
    "_statistics_tags",
    "alpha_mode",  # of pictures that will have no transparency
}
# FFmpeg names an attachment's codec by its type; PyAV gives the type alone.
_FONT_CODECS = {
    "font/ttf": "ttf",
    "font/otf": "otf",
    "application/x-truetype-font": "ttf",
    "application/x-font": "ttf",
    "application/x-font-ttf": "ttf",
    "application/vnd.ms-opentype": "otf",
}
_COVER_FILES = {
    "mjpeg": ("cover.jpg", "image/jpeg"),
    "png": ("cover.png", "image/png"),
    "bmp": ("cover.bmp", "image/bmp"),
    "gif": ("cover.gif", "image/gif"),
    "webp": ("cover.webp", "image/webp"),
}
# MPEG-TS numbers its streams anew; one number with every packet would be dear.
_PACKET_BOOKKEEPING = {"mpegts_stream_id"}


def carry(
    stream: Stream, number: int, cover: bytes | None, parameters: StreamParameters | None
) -> OtherStream | str:
    """A stream as it is carried, or why it cannot be.

    `cover`: the picture of a cover stream. `parameters`: those known before reading began.
    A cover becomes an attachment, as Matroska has it, with a file name and a MIME type.
    """
    if isinstance(stream, VideoStream) and not is_cover(stream):
        return "it is another video"
    if is_cover(stream):
        return _carry_cover(stream, number, cover)
    if stream.type not in KINDS:
        return "its kind is unknown"
    if isinstance(stream, AttachmentStream):
        return OtherStream(
            number,
            ATTACHMENT,
            _FONT_CODECS.get(stream.mimetype or "", "bin_data"),
            _time_base(stream),
            int(stream.disposition),
            metadata_of(stream.metadata),
            data=stream.data,
        )
    codec = codec_of(stream)
    if codec is None and "timecode" in stream.metadata:
        return f"its time code {stream.metadata['timecode']} is kept as a tag of the video"
    parameters = parameters or make_parameters(stream)
    if codec is None or parameters is None:
        return f"its codec ({codec or 'unknown'}) cannot be described"
    return OtherStream(
        number,
        stream.type,
        codec,
        _time_base(stream),
        int(stream.disposition),
        metadata_of(stream.metadata),
        parameters.format,
        parameters.data,
    )


def carry_packet(packet: "Packet[Stream]", number: int, shift: int) -> StreamPacket:
    """A packet of carried stream `number`, its times less `shift`."""
    return StreamPacket(
        number,
        None if packet.pts is None else packet.pts - shift,
        None if packet.dts is None else packet.dts - shift,
        max(packet.duration or 0, 0),
        packet.is_keyframe,
        bytes(packet),
        tuple(
            (side_data.data_type, bytes(side_data))
            for side_data in packet.iter_sidedata()
            if side_data.data_type not in _PACKET_BOOKKEEPING
        ),
    )


def file_tags(container: InputContainer, video: VideoStream) -> FileTags:
    """Tags and chapters, without what a container writes about itself."""
    return FileTags(
        metadata_of(container.metadata),
        metadata_of(video.metadata),
        int(video.disposition),
        tuple(
            Chapter(
                chapter["start"],
                chapter["end"],
                chapter["time_base"] or Fraction(1),
                metadata_of(chapter["metadata"]),
            )
            for chapter in container.chapters()
        ),
    )


def metadata_of(tags: Mapping[str, str]) -> Metadata:
    return tuple((_text(k), _text(v)) for k, v in tags.items() if not _is_bookkeeping(k))


def _text(text: str) -> str:
    """Without halves of characters, which no UTF-8 can hold."""
    return text.encode(errors="replace").decode()


def left_out(name: str, stream: Stream, reason: str) -> str:
    """The sentence for a stream that is not carried."""
    return f"{stream.type} stream 0:{stream.index} of {name} is left out: {reason}"


def _carry_cover(stream: Stream, number: int, picture: bytes | None) -> OtherStream | str:
    codec = codec_of(stream) or ""
    if not picture:
        return "its picture is missing"
    if codec not in _COVER_FILES:
        return f"a picture in {codec or 'an unknown codec'} cannot be attached"
    file_name, mime_type = _COVER_FILES[codec]
    tags = {"filename": file_name, "mimetype": mime_type, **stream.metadata}
    return OtherStream(
        number,
        ATTACHMENT,
        codec,
        _time_base(stream),
        int(stream.disposition),
        metadata_of(tags),
        data=picture,
    )


def _time_base(stream: Stream) -> Fraction:
    assert stream.time_base is not None  # every input stream of FFmpeg has one
    return stream.time_base


def _is_bookkeeping(key: str) -> bool:
    # Matroska's statistics may carry a language: BPS-eng.
    return key.lower().removesuffix("-eng") in _BOOKKEEPING
