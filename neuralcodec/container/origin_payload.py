"""The payload of an orig chunk: how the frames were taken from their source, to bytes and back.

Both functions raise `Malformed`, and nothing else, for what breaks a rule of the format.
"""

from fractions import Fraction

from neuralcodec.container import layout
from neuralcodec.container.fields import FieldReader, append_text
from neuralcodec.container.layout import Malformed, check_range
from neuralcodec.container.varint import append_varint
from neuralcodec.origin import Origin, RawPictures


def pack_origin(origin: Origin) -> bytes:
    """The payload of an orig chunk."""
    flags = 0
    elements = bytearray()
    if origin.start is not None:
        flags |= layout.HAS_START
        _check_start(origin.start)
        _append_ratio(elements, origin.start.limit_denominator(layout.MAX_U32))
    for flag, rate in (
        (layout.HAS_FPS, origin.fps),
        (layout.HAS_FRAME_RATE, origin.frame_rate),
    ):
        if rate is not None:
            flags |= flag
            _check_rate(rate)
            _append_ratio(elements, rate)
    for flag, number, largest in (
        (layout.HAS_STREAM, origin.stream, layout.MAX_U32),
        (layout.HAS_FIRST_PICTURE, origin.first_picture, layout.MAX_PICTURE_NUMBER),
    ):
        if number is not None:
            flags |= flag
            check_range("a number of the source", number, 0, largest)
            append_varint(elements, number)
    if origin.raw is not None:
        flags |= layout.HAS_RAW
        append_text(elements, origin.raw.pixel_format)
        append_varint(elements, origin.raw.width)
        append_varint(elements, origin.raw.height)
    flags |= layout.IS_SCALED * origin.is_scaled
    flags |= layout.KEEPS_FIELDS * origin.keeps_fields
    flags |= layout.IS_RENUMBERED * origin.is_renumbered
    return layout.ORIGIN_FLAGS.pack(flags) + bytes(elements)


def parse_origin(payload: bytes) -> Origin:
    """How the frames were taken from their source, in an orig payload."""
    fields = FieldReader(payload)
    (flags,) = fields.unpack(layout.ORIGIN_FLAGS)
    check_range("the flags of the origin", flags, 0, 2 * layout.IS_RENUMBERED - 1)
    start = fps = frame_rate = stream = first_picture = raw = None
    if flags & layout.HAS_START:
        start = _take_ratio(fields)
        _check_start(start)
    if flags & layout.HAS_FPS:
        fps = _take_ratio(fields)
        _check_rate(fps)
    if flags & layout.HAS_FRAME_RATE:
        frame_rate = _take_ratio(fields)
        _check_rate(frame_rate)
    if flags & layout.HAS_STREAM:
        stream = fields.varint()
        check_range("a number of the source", stream, 0, layout.MAX_U32)
    if flags & layout.HAS_FIRST_PICTURE:
        first_picture = fields.varint()
        check_range("a number of the source", first_picture, 0, layout.MAX_PICTURE_NUMBER)
    if flags & layout.HAS_RAW:
        raw = _take_raw(fields)
    fields.end()
    return Origin(
        start=start,
        fps=fps,
        is_scaled=bool(flags & layout.IS_SCALED),
        keeps_fields=bool(flags & layout.KEEPS_FIELDS),
        stream=stream,
        frame_rate=frame_rate,
        first_picture=first_picture,
        raw=raw,
        is_renumbered=bool(flags & layout.IS_RENUMBERED),
    )


def _append_ratio(out: bytearray, ratio: Fraction) -> None:
    append_varint(out, ratio.numerator)
    append_varint(out, ratio.denominator)


def _take_ratio(fields: FieldReader) -> Fraction:
    numerator, denominator = fields.varint(), fields.varint()
    if denominator == 0:
        raise Malformed(f"a ratio of the origin is {numerator}/0")
    return Fraction(numerator, denominator)


def _take_raw(fields: FieldReader) -> RawPictures:
    raw = RawPictures(fields.text(), fields.varint(), fields.varint())
    if not raw.pixel_format.isprintable():
        raise Malformed(f"the pixel format is {raw.pixel_format!r} (allowed: printable)")
    for side in (raw.width, raw.height):
        check_range("a side of the source", side, layout.MIN_SIDE, layout.MAX_U16 + 1)
    return raw


def _check_start(start: Fraction) -> None:
    if not 0 <= start <= layout.MAX_START:
        raise Malformed(f"the start is {float(start):g} s (allowed: 0 to 2^31)")


def _check_rate(rate: Fraction) -> None:
    if not 0 < rate.numerator <= layout.MAX_RATE or rate.denominator > layout.MAX_RATE:
        raise Malformed(f"a rate is {rate} (allowed: above 0, both numbers below 2^31)")
