"""Small seeded clips for the tests of reading and writing."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from neuralcodec.video import Frame, VideoFormat


def seeded_frames(fmt: VideoFormat, pts: Sequence[int]) -> list[Frame]:
    """Smooth moving frames with a little noise; every sample value of the depth may occur."""
    rng = np.random.default_rng(fmt.width * 1000 + fmt.height)
    sample_type = np.uint8 if fmt.bit_depth == 8 else np.uint16
    top = 2**fmt.bit_depth - 1

    def plane(width: int, height: int, phase: int) -> np.ndarray:
        rows, columns = np.mgrid[:height, :width]
        wave = (np.sin(columns / 9 + phase / 5) + np.cos(rows / 7 + phase / 3)) / 4 + 0.5
        noise = rng.normal(0, 0.01, (height, width))
        return np.clip((wave + noise) * top, 0, top).round().astype(sample_type)

    return [
        Frame(
            plane(fmt.width, fmt.height, index),
            plane(*fmt.chroma_size, index + 20),
            plane(*fmt.chroma_size, index + 40),
            time,
        )
        for index, time in enumerate(pts)
    ]


def encode_clip(
    path: Path,
    codec: str,
    pixel_format: str,
    *,
    size: tuple[int, int] = (64, 48),
    pts: Sequence[int] = range(10),
    time_base: Fraction = Fraction(1, 25),
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> None:
    """Encode moving RGB noise with FFmpeg alone, without the product's writers."""
    width, height = size
    rng = np.random.default_rng(7)
    with av.open(path, "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, 25, options or {}, time_base=time_base)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        picture = rng.integers(0, 256, (height, width, 3), np.uint8)
        for time in pts:
            rgb = av.VideoFrame.from_ndarray(np.roll(picture, time, axis=1).copy(), "rgb24")
            frame = rgb.reformat(format=pixel_format)
            frame.pts, frame.time_base = time, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def same_samples(one: Frame, other: Frame) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one.planes, other.planes, strict=True))


def psnr(one: np.ndarray, other: np.ndarray, top: int) -> float:
    """Peak signal-to-noise ratio in dB for samples of 0..top."""
    error = np.mean((one.astype(float) - other.astype(float)) ** 2)
    return float(10 * np.log10(top**2 / max(error, 1e-9)))
