"""Uncompressed video: Y4M and headerless planar YUV."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from neuralcodec.atomic_file import output_errors
from neuralcodec.media.planes import SAMPLE_TYPE
from neuralcodec.media.writing.sink import Sink
from neuralcodec.media.writing.writer import VideoWriter, lost_matrix
from neuralcodec.streams import StreamPacket
from neuralcodec.video import FieldOrder, Frame, VideoFormat

_CHROMA_CENTER = 2  # AVChromaLocation
_INTERLACING = {
    FieldOrder.PROGRESSIVE: "p",
    FieldOrder.TOP_FIRST: "t",
    FieldOrder.BOTTOM_FIRST: "b",
}


class RawWriter(VideoWriter):
    """Planes one after the other, little-endian, in Y4M frames or bare (`kind` 'yuv').

    Everything is flushed after each frame, so that a pipe's reader never waits for more.
    """

    def __init__(self, sink: Sink, fmt: VideoFormat, kind: str):
        super().__init__()
        self._sink = sink
        self._format = fmt
        self._is_y4m = kind == "y4m"
        self._rate = fmt.frame_rate or 1 / fmt.time_base
        self._first_pts: int | None = None
        self._frames = 0
        if fmt.display_matrix:
            self._notice(lost_matrix(kind, fmt.display_matrix))
        if not self._is_y4m and fmt.field_order != FieldOrder.PROGRESSIVE:
            self._notice(f"{kind} cannot hold which field of the frames is first: left out")

    def write(self, frame: Frame) -> None:
        if self._is_y4m:
            self._check_time(frame.pts)
        with output_errors(self._sink.path):
            if self._is_y4m:
                if not self._frames:
                    self._sink.file.write(y4m_header(self._format, self._rate))
                self._sink.file.write(b"FRAME\n")
            for plane in frame.planes:
                samples = np.ascontiguousarray(plane, SAMPLE_TYPE[self._format.bit_depth])
                self._sink.file.write(samples.data)
            self._sink.file.flush()
        self._frames += 1

    def write_packets(self, packets: Sequence[StreamPacket]) -> None:
        """Nothing: there is no place for them."""

    def close(self) -> None:
        if self._is_y4m and self.end_pts is not None:
            self._check_time(self.end_pts)
        self._sink.commit()

    def abort(self) -> None:
        self._sink.abort()

    def _check_time(self, pts: int) -> None:
        """Of the next frame, or of the end."""
        if self._first_pts is None:
            self._first_pts = pts
        expected = self._first_pts + self._frames / (self._rate * self._format.time_base)
        if abs(pts - expected) > 1:  # a tick of rounding is no change of rate
            self._notice(
                f"y4m has a constant rate of {float(self._rate):.5g} frames per second: "
                "the uneven time stamps of the source are left out"
            )


def y4m_header(fmt: VideoFormat, rate: Fraction) -> bytes:
    """The stream header line of a Y4M file of `rate` frames per second."""
    fields = _INTERLACING[fmt.field_order]
    aspect = fmt.sample_aspect_ratio
    if fmt.bit_depth == 10:
        chroma = "420p10 XYSCSS=420P10"
    elif fmt.color.full_range or fmt.color.chroma_location == _CHROMA_CENTER:
        chroma = "420jpeg"
    else:
        chroma = "420mpeg2"
    return (
        f"YUV4MPEG2 W{fmt.width} H{fmt.height} F{rate.numerator}:{rate.denominator} I{fields} "
        f"A{aspect.numerator}:{aspect.denominator if aspect else 0} C{chroma} "
        f"XCOLORRANGE={'FULL' if fmt.color.full_range else 'LIMITED'}\n"
    ).encode()
