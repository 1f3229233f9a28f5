"""The format of a video as it will be coded, from its headers and its first picture."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import av

from neuralcodec.errors import InputError
from neuralcodec.media.conversion import coded_bit_depth, color_tags, is_420
from neuralcodec.media.field_order import field_order
from neuralcodec.media.sources.chroma_location import chroma_location
from neuralcodec.media.sources.cropping import Cropping
from neuralcodec.media.sources.hdr_tags import content_light, mastering_display
from neuralcodec.media.sources.lost_properties import lost_properties
from neuralcodec.media.sources.side_data import display_matrix, side_data_of
from neuralcodec.media.sources.source import Source
from neuralcodec.media.sources.source_options import SMALLEST_SIDE, SourceOptions
from neuralcodec.video import FieldOrder, VideoFormat


@dataclass(frozen=True)
class Description:
    """What is the same for all frames of a source.

    Attributes:
        format: of the frames that are made of its pictures.
        notices: a sentence for each thing it says of them that is not kept.
    """

    format: VideoFormat
    notices: tuple[str, ...]


def describe(
    source: Source,
    first: av.VideoFrame,
    header: Mapping[int, int],
    cropping: Cropping | None,
    options: SourceOptions,
    time_base: Fraction,
    frame_rate: Fraction | None,
) -> Description:
    """Of frames that are made of pictures like `first`; `header` is the stream's `stream_header`.

    `time_base` and `frame_rate` are those of the frames. Raises InputError for pictures too small.
    """
    shown = cropping.size if cropping else (first.width, first.height)
    if min(shown) < SMALLEST_SIDE:
        raise InputError(
            f"{source.name} is {shown[0]}x{shown[1]}; "
            f"frames must be at least {SMALLEST_SIDE}x{SMALLEST_SIDE}"
        )
    stream = source.streams.video
    side_data = side_data_of(first)
    notices = [lost_properties(stream, header, first, side_data)]
    matrix = display_matrix(side_data)
    if matrix is not None and matrix.is_singular:
        notices.append("source has a display matrix that leaves nothing to see: it is ignored")
        matrix = None
    color = color_tags(first)
    if is_420(first.format):
        color = replace(color, chroma_location=chroma_location(header))
    width, height = options.scale or shown
    if matrix is not None and (width, height) != (first.width, first.height):
        matrix = matrix.about_origin
    order = FieldOrder.PROGRESSIVE if options.deinterlace else field_order(first)
    if order != FieldOrder.PROGRESSIVE and height != shown[1]:
        notices.append("source is interlaced: scaling to another height mixes its fields")
        order = FieldOrder.PROGRESSIVE
    video_format = VideoFormat(
        width=width,
        height=height,
        time_base=time_base,
        bit_depth=coded_bit_depth(first.format),
        frame_rate=frame_rate,
        sample_aspect_ratio=_pixel_shape(
            stream.sample_aspect_ratio or Fraction(0), shown, (width, height)
        ),
        display_matrix=matrix,
        field_order=order,
        color=color,
        mastering_display=mastering_display(side_data),
        content_light=content_light(side_data),
    )
    return Description(video_format, tuple(filter(None, notices)))


def _pixel_shape(shape: Fraction, old: tuple[int, int], new: tuple[int, int]) -> Fraction:
    """The sample aspect ratio with which the scaled picture looks as wide as before."""
    stretch = Fraction(old[0] * new[1], new[0] * old[1])
    return shape if stretch == 1 else (shape or 1) * stretch
