"""The chunks between HEAD and the first GOP: tags, mdcv, clli, orig and strm.

Guarantee of reading: no byte is asked for beyond the type of the first chunk after them, and
damage among them costs what it hit and nothing else.
"""

from dataclasses import dataclass, replace

from neuralcodec.container import layout
from neuralcodec.container.chunks import Chunk, ChunkStream, pack_chunk
from neuralcodec.container.extras import (
    pack_content_light,
    pack_mastering_display,
    pack_stream,
    pack_tags,
    parse_content_light,
    parse_mastering_display,
    parse_stream,
    parse_tags,
)
from neuralcodec.container.head import check_head_copy
from neuralcodec.container.layout import Malformed
from neuralcodec.container.origin_payload import pack_origin, parse_origin
from neuralcodec.container.records import Damage, Extras, StreamHeader
from neuralcodec.origin import Origin
from neuralcodec.streams import ATTACHMENT, FileTags, OtherStream
from neuralcodec.video import ContentLight, MasteringDisplay, VideoFormat


@dataclass(frozen=True)
class Descriptions:
    """What is known of a file before its first GOP, beside HEAD."""

    tags: FileTags
    mastering_display: MasteringDisplay | None
    content_light: ContentLight | None
    streams: tuple[OtherStream, ...]
    origin: Origin
    damage: tuple[Damage, ...]  # at most one more than a reader reports
    end: int  # offset in the file of the first chunk after them

    @property
    def extras(self) -> Extras:
        return Extras(self.tags, self.streams, self.origin)

    @property
    def packet_streams(self) -> frozenset[int]:
        """Numbers of the streams that may have packets."""
        return frozenset(s.number for s in self.streams if s.kind != ATTACHMENT)

    def complete(self, video_format: VideoFormat) -> VideoFormat:
        """The format of HEAD with what the chunks after it say."""
        return replace(
            video_format,
            mastering_display=self.mastering_display,
            content_light=self.content_light,
        )


def pack_extras(extras: Extras) -> bytes:
    """The tags, orig and strm chunks, one after the other; raises Malformed where they cannot be
    held."""
    chunks: list[bytes] = []
    if extras.tags != FileTags():
        chunks.append(pack_chunk(layout.TAGS, pack_tags(extras.tags)))
    if extras.origin != Origin():
        chunks.append(pack_chunk(layout.ORIG, pack_origin(extras.origin)))
    total = 0
    for stream in extras.streams:
        try:
            payload = pack_stream(stream)
            total += len(payload)
            _check_streams_size(total)
            chunks.append(pack_chunk(layout.STRM, payload))
        except Malformed as fault:
            raise Malformed(f"stream {stream.number} ({stream.kind}): {fault}") from fault
    return b"".join(chunks)


def pack_light(video_format: VideoFormat) -> bytes:
    """The mdcv and clli chunks; raises Malformed where a number is out of range."""
    chunks: list[bytes] = []
    if video_format.mastering_display is not None:
        payload = pack_mastering_display(video_format.mastering_display)
        chunks.append(pack_chunk(layout.MDCV, payload))
    if video_format.content_light is not None:
        chunks.append(pack_chunk(layout.CLLI, pack_content_light(video_format.content_light)))
    return b"".join(chunks)


def read_descriptions(stream: ChunkStream, head: StreamHeader) -> Descriptions:
    """The descriptions that begin at the next chunk; the chunk after them is left to be read."""
    return _Reading(stream, head).run()


class _Reading:
    def __init__(self, stream: ChunkStream, head: StreamHeader):
        self._stream = stream
        self._head = head
        self._tags: FileTags | None = None
        self._display: MasteringDisplay | None = None
        self._light: ContentLight | None = None
        self._origin: Origin | None = None
        self._streams: list[OtherStream] = []
        self._streams_size = 0
        self._damage: list[Damage] = []

    def run(self) -> Descriptions:
        end = self._stream.offset
        while len(self._damage) <= layout.MAX_DAMAGES and not self._at_contents():
            item = self._stream.read_past_damage()
            if item is None:
                break
            if isinstance(item, Damage):
                self._damage.append(item)
            elif item.type not in layout.DESCRIPTIONS and item.type[:1].isupper():
                self._stream.unread(item)
                break
            else:
                try:
                    self._add(item)
                except Malformed as fault:
                    name = item.type.decode()
                    self._damage.append(Damage(str(fault), name, None, item.start, item.end))
            end = item.end
        return Descriptions(
            self._tags or FileTags(),
            self._display,
            self._light,
            tuple(self._streams),
            self._origin or Origin(),
            tuple(self._damage),
            end,
        )

    def _at_contents(self) -> bool:
        chunk_type = self._stream.next_type()
        known = layout.CHUNKS_AFTER_HEAD.fullmatch(chunk_type) is not None
        return known and chunk_type not in (*layout.DESCRIPTIONS, layout.HEAD_COPY)

    def _add(self, chunk: Chunk) -> None:
        if chunk.type == layout.TAGS:
            _refuse_second(self._tags)
            self._tags = parse_tags(chunk.payload)
        elif chunk.type == layout.MDCV:
            _refuse_second(self._display)
            self._display = parse_mastering_display(chunk.payload)
        elif chunk.type == layout.CLLI:
            _refuse_second(self._light)
            self._light = parse_content_light(chunk.payload)
        elif chunk.type == layout.ORIG:
            _refuse_second(self._origin)
            self._origin = parse_origin(chunk.payload)
        elif chunk.type == layout.STRM:
            self._add_stream(chunk.payload)
        elif chunk.type == layout.HEAD_COPY:
            check_head_copy(chunk.payload, self._head)
        # All others are of a later minor version.

    def _add_stream(self, payload: bytes) -> None:
        _check_streams_size(self._streams_size + len(payload))
        stream = parse_stream(payload)
        if self._streams and stream.number <= self._streams[-1].number:
            raise Malformed(f"stream {stream.number} comes again or too late")
        self._streams_size += len(payload)
        self._streams.append(stream)


def _refuse_second(first: object | None) -> None:
    if first is not None:
        raise Malformed("a second one")


def _check_streams_size(size: int) -> None:
    if size > layout.MAX_STREAMS_PAYLOAD:
        raise Malformed(
            f"the descriptions of streams, with attachments, take more than "
            f"{layout.MAX_STREAMS_PAYLOAD >> 20} MiB"
        )
