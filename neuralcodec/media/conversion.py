"""Any picture that FFmpeg decodes, as 4:2:0 of 8 or 10 bits."""

import av
from av.video.format import VideoFormat as PixelFormat
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from neuralcodec.media.planes import PIXEL_FORMAT
from neuralcodec.video import ColorTags

SWSCALE_FLAGS = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.BITEXACT
)
_BT709 = 1  # matrix code point of ITU-T H.273
_UNSPECIFIED = 2


def coded_bit_depth(pixels: PixelFormat) -> int:
    """8 for sources of up to 8 bits per sample, 10 for deeper ones."""
    return 8 if max(component.bits for component in pixels.components) <= 8 else 10


def color_tags(picture: av.VideoFrame) -> ColorTags:
    """Tags of the 4:2:0 picture that `Converter` makes of `picture`.

    Samples of YUV and grey sources keep their matrix and range. RGB becomes BT.709 of
    limited range. The chroma location is not in a picture: see `chroma_location`.
    """
    pixels = picture.format
    if _is_rgb(pixels):
        matrix, full_range = _BT709, False
    else:
        matrix = picture.colorspace
        full_range = picture.color_range == ColorRange.JPEG or pixels.name.startswith("yuvj")
        if _is_grey(pixels) and picture.color_range == ColorRange.UNSPECIFIED:
            full_range = True  # libswscale's convention for grey
    return ColorTags(
        primaries=picture.color_primaries or _UNSPECIFIED,
        transfer=picture.color_trc or _UNSPECIFIED,
        matrix=matrix or _UNSPECIFIED,
        full_range=full_range,
    )


def is_420(pixels: PixelFormat) -> bool:
    """Whether a format has one sample of each colour difference for 2x2 of luma."""
    if _is_rgb(pixels) or _is_grey(pixels):
        return False
    return (pixels.chroma_width(2), pixels.chroma_height(2)) == (1, 1)


class Converter:
    """Converts pictures to 4:2:0 of one size and bit depth; leaves fitting ones untouched.

    `source_size` is the (width, height) that pictures are expected to have, if not the same.
    """

    def __init__(
        self, width: int, height: int, bit_depth: int, source_size: tuple[int, int] | None = None
    ):
        self._width = width
        self._height = height
        self._source_size = source_size or (width, height)
        self._target = PIXEL_FORMAT[bit_depth]
        self._fitting = {self._target, "yuvj420p"} if bit_depth == 8 else {self._target}
        self._reformatter = VideoReformatter()

    def convert(self, picture: av.VideoFrame) -> tuple[av.VideoFrame, str | None]:
        """The picture to code and, if it had to be changed, one sentence saying how.

        The sentence is the same for all pictures that are changed in the same way.
        """
        name = picture.format.name
        size = (picture.width, picture.height)
        if size == (self._width, self._height) and name in self._fitting:
            return picture, None
        converted = self._reformat(picture)
        if size != self._source_size:
            return converted, (
                f"source changes to {picture.width}x{picture.height}: "
                f"scaled to {self._width}x{self._height}"
            )
        if name in self._fitting:  # scaled as was asked for
            return converted, None
        how = " (BT.709, limited range)" if _is_rgb(picture.format) else ""
        lost = ", its transparency is lost" if has_alpha(picture.format) else ""
        return converted, f"source is {name}: converted to {self._target}{how}{lost}"

    def _reformat(self, picture: av.VideoFrame) -> av.VideoFrame:
        if _is_rgb(picture.format):
            from_matrix, from_range, to_range = None, None, ColorRange.MPEG
        elif _is_grey(picture.format):
            # libswscale takes all grey for full range; so must the result be, to keep its values.
            from_matrix, from_range, to_range = Colorspace.ITU709, ColorRange.JPEG, ColorRange.JPEG
        else:
            # The same matrix named on both sides, whichever it is, keeps the source's own; some
            # that a source may be tagged with (YCgCo, ICtCp) libswscale would refuse.
            full = color_tags(picture).full_range
            from_range = to_range = ColorRange.JPEG if full else ColorRange.MPEG
            from_matrix = Colorspace.ITU709
        return self._reformatter.reformat(
            picture,
            self._width,
            self._height,
            self._target,
            src_colorspace=from_matrix,
            dst_colorspace=Colorspace.ITU709,
            interpolation=SWSCALE_FLAGS,
            src_color_range=from_range,
            dst_color_range=to_range,
        )


def _is_rgb(pixels: PixelFormat) -> bool:
    return bool(pixels.is_rgb or pixels.has_palette)


def has_alpha(pixels: PixelFormat) -> bool:
    """Whether its samples say how transparent they are."""
    return not pixels.has_palette and any(c.is_alpha for c in pixels.components)


def _is_grey(pixels: PixelFormat) -> bool:
    return len(pixels.components) <= 2 and not _is_rgb(pixels)  # 2 = grey with alpha
