"""MP4, MOV and Matroska: compressed video with time stamps and tags."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

import av
from av.codec.context import Flags
from av.error import FFmpegError
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from neuralcodec.atomic_file import AtomicFile
from neuralcodec.errors import OutputError
from neuralcodec.media.conversion import SWSCALE_FLAGS
from neuralcodec.media.planes import PIXEL_FORMAT, to_picture
from neuralcodec.media.writer import VideoWriter
from neuralcodec.video import Frame, VideoFormat

_X264_OPTIONS = {"crf": "12", "preset": "veryfast"}  # visually lossless, and fast
_FFV1_OPTIONS = {"level": "3", "slicecrc": "1", "g": "1"}  # each frame stands alone, checked
_FULL_CHROMA = {8: "yuv444p", 10: "yuv444p10le"}


@dataclass(frozen=True)
class Container:
    """How one kind of file is written: FFmpeg's names for muxer and encoder."""

    muxer: str
    encoder: str
    options: dict[str, str]


CONTAINERS = {
    "mp4": Container("mp4", "libx264", _X264_OPTIONS),
    "mov": Container("mov", "libx264", _X264_OPTIONS),
    "mkv": Container("matroska", "ffv1", _FFV1_OPTIONS),
}


class ContainerWriter(VideoWriter):
    """Frames as H.264 in MP4/MOV or FFV1 in Matroska.

    PTS, sample aspect ratio, colour tags, range and rotation are kept; but Matroska counts
    milliseconds, so finer time stamps are rounded there, and has no aspect ratio.
    """

    def __init__(self, target: AtomicFile, fmt: VideoFormat, kind: str):
        super().__init__()
        self._target = target
        self._format = fmt
        self._is_matroska = kind == "mkv"
        self._pixel_format = PIXEL_FORMAT[fmt.bit_depth]
        if CONTAINERS[kind].encoder == "libx264" and (fmt.width % 2 or fmt.height % 2):
            self._pixel_format = _FULL_CHROMA[fmt.bit_depth]
            self._notice(
                f"H.264 in 4:2:0 has even sizes only: {fmt.width}x{fmt.height} "
                f"is written as {self._pixel_format}"
            )
        if self._is_matroska and fmt.sample_aspect_ratio not in (0, 1):
            # Its muxer takes the ratio from a field that PyAV does not let us set.
            self._notice(f"mkv is written without the pixel shape {fmt.sample_aspect_ratio}")
        rate = fmt.frame_rate
        self._frame_duration = max(1, round(1 / (rate * fmt.time_base))) if rate else 1
        # Players drop what lies before zero, so the whole video moves up if it starts there.
        self._shift: int | None = None
        self._reformatter = VideoReformatter()
        self._done = False
        try:
            self._open(CONTAINERS[kind])
        except BaseException:
            target.abort()
            raise

    def write(self, frame: Frame) -> None:
        if self._is_matroska and (frame.pts * self._format.time_base * 1000).denominator != 1:
            self._notice("mkv keeps time in milliseconds: time stamps are rounded to them")
        if self._shift is None:
            self._shift = max(0, -frame.pts)
            if self._shift:
                self._notice("the video starts before time zero: all of it is moved to start there")
        picture = self._tagged(to_picture(frame, self._format))
        picture.pts = frame.pts + self._shift
        # Without one MP4 ends at the start of the last frame, which is then never shown.
        picture.duration = self._frame_duration
        if self._pixel_format != PIXEL_FORMAT[self._format.bit_depth]:
            picture = self._upsampled(picture)
        with self._failures():
            self._container.mux(self._stream.encode(picture))

    def close(self) -> None:
        if self._done:
            return
        with self._failures():
            self._container.mux(self._stream.encode(None))
            self._container.close()
        self._target.commit()
        self._done = True

    def abort(self) -> None:
        self._done = True
        # Closed first: PyAV then drops its container without writing an end to it.
        self._target.abort()

    def _open(self, container: Container) -> None:
        # MP4 places the first frame in these units; its default of milliseconds would round.
        ticks = str(self._format.time_base.denominator)
        options = {} if self._is_matroska else {"movie_timescale": ticks}
        with self._failures():
            self._container = av.open(
                self._target.file, "w", format=container.muxer, options=options
            )
            self._stream = self._add_stream(container)

    def _add_stream(self, container: Container) -> VideoStream:
        fmt, color = self._format, self._format.color
        stream = self._container.add_stream(
            container.encoder,
            fmt.frame_rate,
            container.options,
            width=fmt.width,
            height=fmt.height,
            time_base=fmt.time_base,
        )
        assert isinstance(stream, VideoStream)
        stream.pix_fmt = self._pixel_format
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
        if fmt.rotation:
            stream.set_display_rotation(fmt.rotation)
        return stream

    def _tagged(self, picture: av.VideoFrame) -> av.VideoFrame:
        color = self._format.color
        picture.color_range = ColorRange.JPEG if color.full_range else ColorRange.MPEG
        picture.colorspace = color.matrix
        return picture

    def _upsampled(self, picture: av.VideoFrame) -> av.VideoFrame:
        """The same picture in 4:4:4; luma samples do not change."""
        upsampled = self._reformatter.reformat(
            picture,
            format=self._pixel_format,
            # Some matrix, the same on both sides: only the chroma's size is to change.
            src_colorspace=Colorspace.ITU709,
            dst_colorspace=Colorspace.ITU709,
            interpolation=SWSCALE_FLAGS,
        )
        return self._tagged(upsampled)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn FFmpeg's errors into OutputError; BrokenPipeError passes."""
        try:
            yield
        except BrokenPipeError:
            raise
        except FFmpegError as error:
            raise OutputError(f"cannot write {self._target.path}: {error.strerror}") from error
