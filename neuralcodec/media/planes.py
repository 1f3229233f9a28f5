"""Samples between FFmpeg's padded planes and numpy arrays."""

from typing import Any

import av
import numpy as np
from av.video.plane import VideoPlane

from neuralcodec.video import Frame, VideoFormat

# What planar 4:2:0 is called in FFmpeg, and its samples in numpy, by bit depth.
PIXEL_FORMAT = {8: "yuv420p", 10: "yuv420p10le"}
SAMPLE_TYPE: dict[int, np.dtype[Any]] = {8: np.dtype("u1"), 10: np.dtype("<u2")}


def planes_of(picture: av.VideoFrame, bit_depth: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Copies of the Y, U and V planes of a 4:2:0 picture of `bit_depth` 8 or 10."""
    y, u, v = (_samples(plane, SAMPLE_TYPE[bit_depth]).copy() for plane in picture.planes)
    return y, u, v


def to_picture(frame: Frame, fmt: VideoFormat) -> av.VideoFrame:
    """A 4:2:0 picture with the samples and PTS of `frame`."""
    picture = av.VideoFrame(fmt.width, fmt.height, PIXEL_FORMAT[fmt.bit_depth])
    for plane, samples in zip(picture.planes, frame.planes, strict=True):
        _samples(plane, SAMPLE_TYPE[fmt.bit_depth])[:] = samples
    picture.pts = frame.pts
    picture.time_base = fmt.time_base
    return picture


def _samples(plane: VideoPlane, sample_type: np.dtype[Any]) -> np.ndarray:
    """A view (H, W) of a plane without the padding at the end of each line."""
    buffer: Any = plane  # a buffer in fact, which PyAV's types do not say
    padded: np.ndarray = np.frombuffer(buffer, sample_type).reshape(plane.height, -1)
    rows = padded[:, : plane.width]
    # A negative line size means that the last line comes first in memory.
    return rows[::-1] if plane.line_size < 0 else rows
