"""What a decoder must know of a carried stream, as an empty file with that one stream in it."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import av
from av.error import FFmpegError
from av.stream import Stream

from neuralcodec.errors import DamagedFile
from neuralcodec.streams import ATTACHMENT, OtherStream

# Muxers in the order of trying, with their options.
_FORMATS: dict[str, dict[str, str]] = {
    "matroska": {},
    # Without samples MP4 lists no streams, except in its fragmented kind.
    "mp4": {"movflags": "empty_moov+default_base_moof"},
    "mov": {"movflags": "empty_moov+default_base_moof"},
    "mpegts": {},
    "avi": {},
    "asf": {},
    "nut": {},
}
_NEED_A_PACKET = {"mpegts", "nut"}  # they announce a stream only when something of it follows
# The demuxer wants to see one cluster: its id, and a size of 0.
_EMPTY_CLUSTER = bytes.fromhex("1f43b675 80")
_LARGEST = 16 << 20  # bytes; the fonts of an SSA file are no part of it, extradata is small


@dataclass(frozen=True)
class StreamParameters:
    """An empty file of a format, as FFmpeg names it, with one stream."""

    format: str
    data: bytes


@dataclass(frozen=True)
class _Description:
    """What must come back out of the empty file."""

    kind: str
    codec: str | None
    extradata: bytes = b""
    sample_rate: int = 0
    channels: int = 0
    layout: str = ""


def codec_of(stream: Stream) -> str | None:
    """FFmpeg's name of the codec, of which there may be several decoders; None if it has none."""
    # Streams without a decoder have no codec context, whatever PyAV's types say.
    context = getattr(stream, "codec_context", None)
    if context is not None:
        return str(context.codec.canonical_name)
    return getattr(stream, "name", None)


def make_parameters(stream: Stream) -> StreamParameters | None:
    """The first format that gives the stream back as it is; None if there is none.

    The order of the channels may get lost (by MP3 and AC-3, which state it in every packet) where
    no format keeps it. Time base, metadata and disposition are not looked at.
    """
    wanted = _describe(stream)
    if wanted.codec is None:
        return None
    without_layout: StreamParameters | None = None
    for name in _FORMATS:
        data = _write(stream, name)
        if data is None or len(data) > _LARGEST:
            continue
        found = _reopened(data, name)
        if found == wanted:
            return StreamParameters(name, data)
        if without_layout is None and found is not None and _same_but_layout(found, wanted):
            without_layout = StreamParameters(name, data)
    return without_layout


@contextmanager
def open_parameters(stream: OtherStream) -> Iterator[Stream]:
    """PyAV's stream to give to `add_stream_from_template`, valid inside the `with` block.

    Raises DamagedFile if the parameters are not what `make_parameters` makes, which is the case
    of attachments too: they have none.
    """
    if stream.parameters_format not in _FORMATS or len(stream.parameters) > _LARGEST:
        raise DamagedFile(f"stream {stream.number} ({stream.codec}) has no usable parameters")
    try:
        container = av.open(io.BytesIO(stream.parameters), "r", format=stream.parameters_format)
    except (FFmpegError, ValueError) as error:
        raise DamagedFile(
            f"the parameters of stream {stream.number} ({stream.codec}) are damaged"
        ) from error
    with container:
        if len(container.streams) != 1 or codec_of(container.streams[0]) != stream.codec:
            raise DamagedFile(
                f"the parameters of stream {stream.number} are not those of {stream.codec}"
            )
        yield container.streams[0]


def fault_of(stream: OtherStream) -> str | None:
    """Why a stream cannot be written, where its parameters are damaged or forged."""
    if stream.kind == ATTACHMENT:
        return None
    try:
        with open_parameters(stream):
            return None
    except DamagedFile as error:
        return str(error)


def _write(stream: Stream, name: str) -> bytes | None:
    """An empty file of the format with a copy of the stream; None if it cannot hold it."""
    file = io.BytesIO()
    try:
        with av.open(file, "w", format=name, options=_options(name)) as container:
            copy = container.add_stream_from_template(stream, opaque=True)
            copy.metadata.clear()
            container.start_encoding()
            if name in _NEED_A_PACKET:
                packet = av.Packet(bytes(4))
                packet.stream = copy
                packet.pts = packet.dts = 0
                container.mux(packet)
            header = file.getvalue()
    except (FFmpegError, ValueError):
        return None
    # What Matroska writes on closing would end the file before the cluster.
    return header + _EMPTY_CLUSTER if name == "matroska" else file.getvalue()


def _options(name: str) -> dict[str, str]:
    # Bit-exact: no random identifiers, so the same source always makes the same bytes.
    return {"fflags": "+bitexact", **_FORMATS[name]}


def _reopened(data: bytes, name: str) -> _Description | None:
    try:
        with av.open(io.BytesIO(data), "r", format=name) as container:
            return _describe(container.streams[0]) if len(container.streams) == 1 else None
    except (FFmpegError, ValueError):
        return None


def _describe(stream: Stream) -> _Description:
    context = getattr(stream, "codec_context", None)
    if context is None:
        return _Description(stream.type, codec_of(stream))
    extradata = bytes(context.extradata or b"")
    if stream.type != "audio":
        return _Description(stream.type, codec_of(stream), extradata)
    return _Description(
        stream.type,
        codec_of(stream),
        extradata,
        context.sample_rate,
        context.channels,
        context.layout.name,
    )


def _same_but_layout(one: _Description, other: _Description) -> bool:
    return replace(one, layout="") == replace(other, layout="")
