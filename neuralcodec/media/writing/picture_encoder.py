"""Frames as H.264 or FFV1, with every tag that the encoder can hold."""

from dataclasses import dataclass
from fractions import Fraction

import av
from av.codec.context import Flags
from av.container import OutputContainer
from av.packet import Packet
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from neuralcodec.media.conversion import SWSCALE_FLAGS
from neuralcodec.media.field_order import FieldMarker
from neuralcodec.media.planes import PIXEL_FORMAT, to_picture
from neuralcodec.video import FieldOrder, Frame, VideoFormat

_X264_OPTIONS = {"crf": "12", "preset": "veryfast"}  # visually lossless, and fast
_FFV1_OPTIONS = {"level": "3", "slicecrc": "1", "g": "1"}  # each frame stands alone, checked
_OPTIONS = {"libx264": _X264_OPTIONS, "ffv1": _FFV1_OPTIONS}
_FULL_CHROMA = {8: "yuv444p", 10: "yuv444p10le"}
# FFmpeg's names of AVChromaLocation from 1 on.
_CHROMA_LOCATIONS = ("left", "center", "topleft", "top", "bottomleft", "bottom")
_AV_FIELD_ORDERS = {FieldOrder.TOP_FIRST: 2, FieldOrder.BOTTOM_FIRST: 3}  # AV_FIELD_TT, _BB
_LARGEST_COORDINATE = 50_000  # 1 in units of 0.00002


@dataclass(frozen=True)
class Picture:
    """What to encode: a frame and how long it is shown, in the format's time base."""

    frame: Frame
    duration: int


class PictureEncoder:
    """The video stream of a container, and the encoder of its packets.

    H.264 in 4:2:0 has even sizes only; others are written in 4:4:4 (`is_upsampled`). Interlaced
    it has heights only that each field can have (`is_field_order_lost`).
    """

    def __init__(self, container: OutputContainer, encoder: str, fmt: VideoFormat):
        self._format = fmt
        self.pixel_format = PIXEL_FORMAT[fmt.bit_depth]
        self.is_upsampled = encoder == "libx264" and bool(fmt.width % 2 or fmt.height % 2)
        if self.is_upsampled:
            self.pixel_format = _FULL_CHROMA[fmt.bit_depth]
        is_interlaced = fmt.field_order != FieldOrder.PROGRESSIVE
        rows = 2 if self.is_upsampled else 4
        self.is_field_order_lost = is_interlaced and encoder == "libx264" and fmt.height % rows != 0
        self._fields: FieldMarker | None = None
        if is_interlaced and not self.is_field_order_lost:
            self._fields = FieldMarker(fmt.field_order)
        self._reformatter = VideoReformatter()
        self.stream = self._add_stream(container, encoder)
        self._start: int | None = None  # of the first frame
        self._end = 0  # of the latest frame
        self._first_dts: int | None = None

    def encode(self, picture: Picture, shift: int) -> list["Packet[VideoStream]"]:
        """Packets that are ready; `shift` is added to the frame's PTS."""
        coded = self._tagged(to_picture(picture.frame, self._format))
        pts = picture.frame.pts + shift
        coded.pts = pts
        coded.duration = picture.duration
        if self.is_upsampled:
            coded = self._upsampled(coded)
        if self._start is None:
            self._start = pts
        self._end = pts + picture.duration
        if self._fields:
            coded.time_base = self._format.time_base
            coded = self._fields.mark(coded)
        return self._noted(self.stream.encode(coded))

    def finish(self) -> list["Packet[VideoStream]"]:
        """The packets that were still to come."""
        packets = self._noted(self.stream.encode(None))
        if packets and self._start is not None and self._first_dts is not None:
            last = packets[-1]
            assert last.dts is not None
            # MP4 lasts as long as decoding does, where another frame may be the last one.
            duration = self._end - self._start - (last.dts - self._first_dts)
            last.duration = max(duration, last.duration or 0)
        return packets

    def _noted(self, packets: list["Packet[VideoStream]"]) -> list["Packet[VideoStream]"]:
        if packets and self._first_dts is None:
            self._first_dts = packets[0].dts
        return packets

    def _add_stream(self, container: OutputContainer, encoder: str) -> VideoStream:
        fmt, color = self._format, self._format.color
        stream = container.add_stream(
            encoder,
            fmt.frame_rate,
            self._options(encoder),
            width=fmt.width,
            height=fmt.height,
            time_base=fmt.time_base,
        )
        assert isinstance(stream, VideoStream)
        stream.pix_fmt = self.pixel_format
        context = stream.codec_context
        context.flags |= Flags.frame_duration
        if fmt.frame_rate is None:
            context.framerate = Fraction(0)  # PyAV would claim 24
        if fmt.sample_aspect_ratio:
            context.sample_aspect_ratio = fmt.sample_aspect_ratio
        context.color_primaries = color.primaries
        context.color_trc = color.transfer
        context.colorspace = color.matrix
        context.color_range = ColorRange.JPEG if color.full_range else ColorRange.MPEG
        if self._fields:
            context.flags |= Flags.interlaced_dct
            context.field_order = _AV_FIELD_ORDERS[fmt.field_order]
        if fmt.display_matrix:
            stream.set_display_matrix(fmt.display_matrix.numbers)
        return stream

    def _options(self, encoder: str) -> dict[str, str]:
        options = dict(_OPTIONS[encoder])
        location = self._format.color.chroma_location
        if 1 <= location <= len(_CHROMA_LOCATIONS) and not self.is_upsampled:
            options["chroma_sample_location"] = _CHROMA_LOCATIONS[location - 1]
        hdr = x264_hdr(self._format)
        if encoder == "libx264" and hdr:
            options["x264-params"] = hdr
        return options

    def _tagged(self, picture: av.VideoFrame) -> av.VideoFrame:
        color = self._format.color
        picture.color_range = ColorRange.JPEG if color.full_range else ColorRange.MPEG
        picture.colorspace = color.matrix
        return picture

    def _upsampled(self, picture: av.VideoFrame) -> av.VideoFrame:
        """The same picture in 4:4:4; luma samples do not change."""
        upsampled = self._reformatter.reformat(
            picture,
            format=self.pixel_format,
            # Some matrix, the same on both sides: only the chroma's size is to change.
            src_colorspace=Colorspace.ITU709,
            dst_colorspace=Colorspace.ITU709,
            interpolation=SWSCALE_FLAGS,
        )
        return self._tagged(upsampled)


def x264_hdr(fmt: VideoFormat) -> str:
    """x264's parameters for the SEI messages of HDR10; empty if there is nothing to say."""
    parameters = []
    if is_mastering_display_whole(fmt):
        display = fmt.mastering_display
        assert display and display.primaries and display.white_point and display.luminance
        red, green, blue = (f"({x},{y})" for x, y in display.primaries)
        white = "({},{})".format(*display.white_point)
        lowest, highest = display.luminance
        parameters.append(f"mastering-display=G{green}B{blue}R{red}WP{white}L({highest},{lowest})")
    if fmt.content_light:
        parameters.append(f"cll={fmt.content_light.max_cll},{fmt.content_light.max_fall}")
    return ":".join(parameters)


def is_mastering_display_whole(fmt: VideoFormat) -> bool:
    """Whether all is known of the display, and possible; H.264 cannot hold a part of it."""
    display = fmt.mastering_display
    if not (display and display.primaries and display.white_point and display.luminance):
        return False
    coordinates = [v for point in (*display.primaries, display.white_point) for v in point]
    return max(coordinates) <= _LARGEST_COORDINATE and display.luminance[0] < display.luminance[1]
