"""Numbered PNG pictures in RGB."""

import os
from collections.abc import Sequence
from pathlib import Path

import av
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from neuralcodec.atomic_file import (
    output_errors,
    remove_temporary,
    signals_held,
    temporary_path,
)
from neuralcodec.media.conversion import SWSCALE_FLAGS
from neuralcodec.media.picture_numbers import PicturePattern
from neuralcodec.media.planes import to_picture
from neuralcodec.media.writing.writer import VideoWriter, lost_matrix
from neuralcodec.streams import StreamPacket
from neuralcodec.video import FieldOrder, Frame, VideoFormat

_RGB = {8: "rgb24", 10: "rgb48be"}  # 10 bits do not fit in 8
# libswscale's coefficients by matrix code point of ITU-T H.273.
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}


def first_file(pattern: str | os.PathLike[str]) -> Path:
    """The name of the first picture of a sequence such as 'frame%04d.png'.

    Raises UsageError if the name holds no such number, or more than one.
    """
    return PicturePattern(pattern).file(1)


class PngWriter(VideoWriter):
    """One PNG per frame, numbered from 1; 16 bits per sample for 10-bit video.

    The pictures gather in a hidden folder beside their names and get them on `close`.
    Time stamps, aspect ratio and display matrix are not kept.
    """

    def __init__(self, pattern: str | os.PathLike[str], fmt: VideoFormat):
        super().__init__()
        self._pattern = PicturePattern(pattern)
        self._name = os.fspath(pattern)
        self._format = fmt
        self._count = 0
        self._done = False
        self._reformatter = VideoReformatter()
        self._encoder = _png_encoder(fmt)
        self._folder = temporary_path(first_file(pattern))
        if fmt.display_matrix:
            self._notice(lost_matrix("png", fmt.display_matrix))
        if fmt.field_order != FieldOrder.PROGRESSIVE:
            self._notice("png cannot hold which field of the frames is first: left out")
        with output_errors(pattern):
            self._folder.mkdir()

    def write(self, frame: Frame) -> None:
        self._count += 1
        packets = self._encoder.encode(self._to_rgb(to_picture(frame, self._format)))
        with output_errors(self._name), self._gathered(self._count).open("wb") as file:
            for packet in packets:
                file.write(bytes(packet))

    def write_packets(self, packets: Sequence[StreamPacket]) -> None:
        """Nothing: there is no place for them."""

    def close(self) -> None:
        if self._done:
            return
        with output_errors(self._name), signals_held():
            for number in range(1, self._count + 1):
                self._gathered(number).replace(self._pattern.file(number))
            remove_temporary(self._folder)
        self._done = True

    def abort(self) -> None:
        if not self._done:
            self._done = True
            remove_temporary(self._folder)

    def _gathered(self, number: int) -> Path:
        return self._folder / f"{number}.png"

    def _to_rgb(self, picture: av.VideoFrame) -> av.VideoFrame:
        color = self._format.color
        return self._reformatter.reformat(
            picture,
            format=_RGB[self._format.bit_depth],
            src_colorspace=_MATRICES.get(color.matrix, _usual_matrix(self._format)),
            src_color_range=ColorRange.JPEG if color.full_range else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=SWSCALE_FLAGS,
        )


def _usual_matrix(fmt: VideoFormat) -> Colorspace:
    """What players take an untagged video for."""
    is_hd = fmt.width >= 1280 or fmt.height > 576
    return Colorspace.ITU709 if is_hd else Colorspace.ITU601


def _png_encoder(fmt: VideoFormat) -> VideoCodecContext:
    encoder = av.CodecContext.create("png", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height = fmt.width, fmt.height
    encoder.pix_fmt = _RGB[fmt.bit_depth]
    encoder.time_base = fmt.time_base
    return encoder
