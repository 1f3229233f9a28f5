"""The payloads of HEAD and its copies: `StreamHeader` to bytes and back, both walking
`layout.HEAD_ELEMENTS`.
"""

import struct
from fractions import Fraction

from neuralcodec.container import layout
from neuralcodec.container.layout import Malformed, check_range, check_ratio
from neuralcodec.container.records import StreamHeader
from neuralcodec.display_matrix import DisplayMatrix
from neuralcodec.video import ColorTags, FieldOrder, VideoFormat

_INTEGERS = {
    "u8": struct.Struct("<B"),
    "u32": struct.Struct("<I"),
}
_SHA256_BYTES = 32


def pack_head(header: StreamHeader) -> bytes:
    """The payload of HEAD; raises Malformed where the header breaks a rule of the format."""
    _check(header)
    numbers = _numbers_of(header)
    out = bytearray()
    for name, kind in layout.HEAD_ELEMENTS:
        if kind == "text":
            text = header.model_name.encode()
            out += bytes([len(text)]) + text
        elif kind == "32 bytes":
            out += header.model_sha256
        elif kind == "matrix":
            out += _pack_matrix(header.format.display_matrix)
        else:
            out += _INTEGERS[kind].pack(numbers[name])
    return bytes(out)


def parse_head(payload: bytes) -> StreamHeader:
    """The header in a HEAD payload; raises Malformed where it breaks a rule of the format.

    Bytes after the last element belong to a later minor version and are skipped.
    """
    numbers: dict[str, int] = {}
    model_name, model_sha256 = "", b""
    matrix: DisplayMatrix | None = None
    at = 0

    def take(count: int) -> bytes:
        nonlocal at
        if at + count > len(payload):
            raise Malformed("the header is too short")
        at += count
        return payload[at - count : at]

    for name, kind in layout.HEAD_ELEMENTS:
        if kind == "text":
            try:
                model_name = take(take(1)[0]).decode()
            except UnicodeDecodeError:
                raise Malformed("the model name is not UTF-8") from None
        elif kind == "32 bytes":
            model_sha256 = take(_SHA256_BYTES)
        elif kind == "matrix":
            flag = take(1)[0]
            check_range("the display matrix's flag", flag, 0, 1)
            if flag:
                fields = layout.DISPLAY_MATRIX
                matrix = DisplayMatrix(fields.unpack(take(fields.size)))
        else:
            numbers[name] = _INTEGERS[kind].unpack(take(_INTEGERS[kind].size))[0]
    header = _header_of(numbers, matrix, model_name, model_sha256)
    _check(header)
    return header


def pack_head_copy(head: bytes) -> bytes:
    """The payload of a copy of HEAD, from that of HEAD."""
    return layout.VERSION.pack(layout.MAJOR, layout.MINOR) + head


def parse_head_copy(payload: bytes) -> StreamHeader:
    """The header in the payload of a copy; raises Malformed where it breaks a rule of the format
    or is of another major version."""
    if len(payload) < layout.VERSION.size:
        raise Malformed("the copy of the header is too short")
    major, minor = layout.VERSION.unpack_from(payload)
    if major != layout.MAJOR:
        raise Malformed(f"it copies a header of format {major}.{minor}")
    return parse_head(payload[layout.VERSION.size :])


def check_head_copy(payload: bytes, header: StreamHeader) -> None:
    """Raise Malformed unless the payload of a copy says what the header says."""
    if parse_head_copy(payload) != header:
        raise Malformed("it is no copy of the header")


def _numbers_of(header: StreamHeader) -> dict[str, int]:
    fmt = header.format
    # 0/0 is "unknown" for both ratios.
    rate = fmt.frame_rate or Fraction(0)
    aspect = fmt.sample_aspect_ratio
    return {
        "width": fmt.width,
        "height": fmt.height,
        "bit_depth": fmt.bit_depth,
        "chroma_format": layout.CHROMA_420,
        "time_base_num": fmt.time_base.numerator,
        "time_base_den": fmt.time_base.denominator,
        "frame_rate_num": rate.numerator,
        "frame_rate_den": rate.denominator if rate else 0,
        "sample_aspect_num": aspect.numerator,
        "sample_aspect_den": aspect.denominator if aspect else 0,
        "color_primaries": fmt.color.primaries,
        "color_transfer": fmt.color.transfer,
        "color_matrix": fmt.color.matrix,
        "full_range": int(fmt.color.full_range),
        "chroma_location": fmt.color.chroma_location,
        "field_order": fmt.field_order,
        "max_gop_frames": header.max_gop_frames,
    }


def _pack_matrix(matrix: DisplayMatrix | None) -> bytes:
    if matrix is None:
        return b"\0"
    try:
        return b"\1" + layout.DISPLAY_MATRIX.pack(*matrix.numbers)
    except struct.error as fault:
        raise Malformed(f"the display matrix is {matrix.numbers}: {fault}") from fault


def _header_of(
    numbers: dict[str, int], matrix: DisplayMatrix | None, model_name: str, model_sha256: bytes
) -> StreamHeader:
    check_range("the chroma format", numbers["chroma_format"], layout.CHROMA_420, layout.CHROMA_420)
    check_range("the full-range flag", numbers["full_range"], 0, 1)
    check_range("the field order", numbers["field_order"], 0, layout.MAX_FIELD_ORDER)

    def ratio(name: str) -> Fraction:
        num, den = numbers[f"{name}_num"], numbers[f"{name}_den"]
        if (num == 0) != (den == 0):
            raise Malformed(f"{name.replace('_', ' ')} is {num}/{den}")
        return Fraction(num, den) if den else Fraction(0)

    video_format = VideoFormat(
        width=numbers["width"],
        height=numbers["height"],
        time_base=ratio("time_base"),
        bit_depth=numbers["bit_depth"],
        frame_rate=ratio("frame_rate") or None,
        sample_aspect_ratio=ratio("sample_aspect"),
        display_matrix=matrix,
        field_order=FieldOrder(numbers["field_order"]),
        color=ColorTags(
            primaries=numbers["color_primaries"],
            transfer=numbers["color_transfer"],
            matrix=numbers["color_matrix"],
            full_range=bool(numbers["full_range"]),
            chroma_location=numbers["chroma_location"],
        ),
    )
    return StreamHeader(video_format, numbers["max_gop_frames"], model_name, model_sha256)


def _check(header: StreamHeader) -> None:
    fmt = header.format
    check_range("the width", fmt.width, layout.MIN_SIDE, layout.MAX_SIDE)
    check_range("the height", fmt.height, layout.MIN_SIDE, layout.MAX_SIDE)
    if fmt.bit_depth not in layout.BIT_DEPTHS:
        raise Malformed(f"the bit depth is {fmt.bit_depth} (allowed: 8 and 10)")
    check_ratio("the time base", fmt.time_base)
    if fmt.frame_rate is not None:
        check_ratio("the frame rate", fmt.frame_rate)
    if fmt.sample_aspect_ratio:
        check_ratio("the sample aspect ratio", fmt.sample_aspect_ratio)
    for name in ("primaries", "transfer", "matrix"):
        check_range(f"the colour {name}", getattr(fmt.color, name), 0, 255)
    check_range("the chroma location", fmt.color.chroma_location, 0, layout.MAX_CHROMA_LOCATION)
    check_range("the longest GOP", header.max_gop_frames, 1, layout.MAX_GOP_FRAMES)
    _check_model_name(header.model_name)
    check_range("the model digest's length", len(header.model_sha256), _SHA256_BYTES, _SHA256_BYTES)


def _check_model_name(name: str) -> None:
    # A model is looked up by name, perhaps in a folder: a name must not lead out of it, and is
    # shown on terminals: it must not control them.
    if not name.isprintable() or name.startswith(".") or set(name) & set("/\\"):
        raise Malformed(
            f"the model name is {name!r} (allowed: printable, no slashes, no first dot)"
        )
    check_range("the model name's length", len(name.encode()), 1, layout.MAX_TEXT_BYTES)
