"""The payloads of tags, mdcv, clli and strm chunks: values to bytes and back.

Every `parse_` function raises `Malformed`, and nothing else, for bytes that break a rule of the
format. Every `pack_` function raises `Malformed` for a value that breaks one.
"""

from neuralcodec.container import layout
from neuralcodec.container.fields import FieldReader, append_metadata, append_text, ratio_of
from neuralcodec.container.layout import Malformed, check_range, check_ratio
from neuralcodec.container.varint import append_varint
from neuralcodec.streams import ATTACHMENT, Chapter, FileTags, OtherStream
from neuralcodec.video import ContentLight, MasteringDisplay

_MAX_I64 = (1 << 63) - 1


def pack_tags(tags: FileTags) -> bytes:
    """The payload of a tags chunk."""
    out = bytearray()
    append_metadata(out, tags.metadata)
    append_metadata(out, tags.video_metadata)
    check_range("the video's disposition", tags.video_disposition, 0, layout.MAX_U32)
    out += layout.DISPOSITION.pack(tags.video_disposition)
    check_range("the number of chapters", len(tags.chapters), 0, layout.MAX_CHAPTERS)
    append_varint(out, len(tags.chapters))
    for chapter in tags.chapters:
        check_range("a chapter's start", chapter.start, -_MAX_I64 - 1, _MAX_I64)
        check_range("a chapter's end", chapter.end, -_MAX_I64 - 1, _MAX_I64)
        check_ratio("a chapter's time base", chapter.time_base)
        base = chapter.time_base
        out += layout.CHAPTER_FIXED.pack(
            chapter.start, chapter.end, base.numerator, base.denominator
        )
        append_metadata(out, chapter.metadata)
    return bytes(out)


def parse_tags(payload: bytes) -> FileTags:
    """The tags in a tags payload."""
    fields = FieldReader(payload)
    metadata, video_metadata = fields.metadata(), fields.metadata()
    (disposition,) = fields.unpack(layout.DISPOSITION)
    count = fields.varint()
    check_range("the number of chapters", count, 0, layout.MAX_CHAPTERS)
    chapters = tuple(_take_chapter(fields) for _ in range(count))
    fields.end()
    return FileTags(metadata, video_metadata, disposition, chapters)


def _take_chapter(fields: FieldReader) -> Chapter:
    start, end, num, den = fields.unpack(layout.CHAPTER_FIXED)
    return Chapter(start, end, ratio_of("a chapter's time base", num, den), fields.metadata())


def pack_mastering_display(display: MasteringDisplay) -> bytes:
    """The payload of an mdcv chunk."""
    flags, chromaticities, luminance = 0, [0] * 8, (0, 0)
    if display.primaries is not None:
        flags |= layout.HAS_PRIMARIES
        chromaticities[:6] = (value for point in display.primaries for value in point)
    if display.white_point is not None:
        flags |= layout.HAS_WHITE_POINT
        chromaticities[6:] = display.white_point
    if display.luminance is not None:
        flags |= layout.HAS_LUMINANCE
        luminance = display.luminance
    for value in chromaticities:
        check_range("a chromaticity of the mastering display", value, 0, layout.MAX_U16)
    for value in luminance:
        check_range("a luminance of the mastering display", value, 0, layout.MAX_U32)
    return layout.MASTERING_DISPLAY.pack(flags, *chromaticities, *luminance)


def parse_mastering_display(payload: bytes) -> MasteringDisplay:
    """The mastering display in an mdcv payload."""
    fields = FieldReader(payload)
    flags, rx, ry, gx, gy, bx, by, wx, wy, low, high = fields.unpack(layout.MASTERING_DISPLAY)
    fields.end()
    check_range(
        "the flags of the mastering display",
        flags,
        0,
        layout.HAS_PRIMARIES | layout.HAS_WHITE_POINT | layout.HAS_LUMINANCE,
    )
    return MasteringDisplay(
        ((rx, ry), (gx, gy), (bx, by)) if flags & layout.HAS_PRIMARIES else None,
        (wx, wy) if flags & layout.HAS_WHITE_POINT else None,
        (low, high) if flags & layout.HAS_LUMINANCE else None,
    )


def pack_content_light(light: ContentLight) -> bytes:
    """The payload of a clli chunk."""
    check_range("MaxCLL", light.max_cll, 0, layout.MAX_U16)
    check_range("MaxFALL", light.max_fall, 0, layout.MAX_U16)
    return layout.CONTENT_LIGHT.pack(light.max_cll, light.max_fall)


def parse_content_light(payload: bytes) -> ContentLight:
    """The content light levels in a clli payload."""
    fields = FieldReader(payload)
    max_cll, max_fall = fields.unpack(layout.CONTENT_LIGHT)
    fields.end()
    return ContentLight(max_cll, max_fall)


def pack_stream(stream: OtherStream) -> bytes:
    """The payload of a strm chunk."""
    _check_stream(stream)
    check_ratio("the time base", stream.time_base)
    kind = layout.STREAM_KINDS.index(stream.kind)
    base = stream.time_base
    out = bytearray(
        layout.STREAM_FIXED.pack(
            stream.number, kind, base.numerator, base.denominator, stream.disposition
        )
    )
    append_text(out, stream.codec)
    append_metadata(out, stream.metadata)
    append_text(out, stream.parameters_format)
    append_varint(out, len(stream.parameters))
    return b"".join((out, stream.parameters, stream.data))


def parse_stream(payload: bytes) -> OtherStream:
    """The description of a stream in a strm payload."""
    fields = FieldReader(payload)
    number, kind, num, den, disposition = fields.unpack(layout.STREAM_FIXED)
    check_range("the kind of the stream", kind, 0, len(layout.STREAM_KINDS) - 1)
    stream = OtherStream(
        number=number,
        kind=layout.STREAM_KINDS[kind],
        time_base=ratio_of("the time base", num, den),
        disposition=disposition,
        codec=fields.text(),
        metadata=fields.metadata(),
        parameters_format=fields.text(),
        parameters=fields.take(fields.varint()),
        data=fields.take_rest(),
    )
    _check_stream(stream)
    return stream


def _check_stream(stream: OtherStream) -> None:
    check_range("the number of the stream", stream.number, 0, layout.MAX_STREAMS - 1)
    if stream.kind not in layout.STREAM_KINDS:
        raise Malformed(f"the kind of the stream is {stream.kind!r}")
    check_range("the disposition", stream.disposition, 0, layout.MAX_U32)
    # Both are shown on terminals and looked up by name.
    for name, text in (("codec", stream.codec), ("format", stream.parameters_format)):
        if not text.isprintable():
            raise Malformed(f"the name of its {name} is {text!r} (allowed: printable)")
    if stream.data and stream.kind != ATTACHMENT:
        raise Malformed(f"it is no attachment and has data of its own ({stream.kind})")
