"""The format of a video as it will be coded, from its headers and its first picture."""

from dataclasses import replace
from fractions import Fraction

import av

from neuralcodec.errors import InputError
from neuralcodec.media.chroma_location import chroma_location
from neuralcodec.media.conversion import coded_bit_depth, color_tags, is_420
from neuralcodec.media.hdr_tags import content_light, mastering_display
from neuralcodec.media.source import Source
from neuralcodec.media.source_options import SMALLEST_SIDE, SourceOptions
from neuralcodec.video import VideoFormat


def describe(
    source: Source,
    first: av.VideoFrame,
    options: SourceOptions,
    time_base: Fraction,
    frame_rate: Fraction | None,
) -> VideoFormat:
    """The format of the frames that are made of pictures like `first`.

    `time_base` and `frame_rate` are those of the frames. Raises InputError for pictures too small.
    """
    if min(first.width, first.height) < SMALLEST_SIDE:
        raise InputError(
            f"{source.name} is {first.width}x{first.height}; "
            f"frames must be at least {SMALLEST_SIDE}x{SMALLEST_SIDE}"
        )
    stream = source.streams.video
    color = color_tags(first)
    if is_420(first.format):
        color = replace(color, chroma_location=chroma_location(stream))
    width, height = options.scale or (first.width, first.height)
    return VideoFormat(
        width=width,
        height=height,
        time_base=time_base,
        bit_depth=coded_bit_depth(first.format),
        frame_rate=frame_rate,
        sample_aspect_ratio=_pixel_shape(
            stream.sample_aspect_ratio or Fraction(0), (first.width, first.height), (width, height)
        ),
        rotation=first.rotation,
        color=color,
        mastering_display=mastering_display(first),
        content_light=content_light(first),
    )


def _pixel_shape(shape: Fraction, old: tuple[int, int], new: tuple[int, int]) -> Fraction:
    """The sample aspect ratio with which the scaled picture looks as wide as before."""
    stretch = Fraction(old[0] * new[1], new[0] * old[1])
    return shape if stretch == 1 else (shape or 1) * stretch
