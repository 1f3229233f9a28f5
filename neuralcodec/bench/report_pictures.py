"""The pictures of a report: lossless WebP in data URIs.

Never lossy: a JPEG or WebP near a codec's own rate is some 40 dB from what the codec decoded, and
would hide the very artefacts that are looked for. Lossless WebP has about 60 % of a PNG's bytes,
in every browser. Where all pictures would make a file that browsers struggle with, each is cut
to its middle instead.
"""

import base64
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

import av
import numpy as np

from neuralcodec.bench.results import BenchResults
from neuralcodec.errors import InputError

MAX_BYTES = 64_000_000
"""Of all pictures as WebP, roughly; a report has a third more, for it is base64."""

_WEBP_PER_PNG = 0.6  # measured 0.57..0.6 on natural pictures
_LEAST_SIDE = 16


@dataclass(frozen=True)
class Album:
    """Pictures as data URIs, and the number under which each path's stands."""

    uris: list[str]
    numbers: dict[str, int]
    note: str  # how they are stored, in a sentence for the reader; empty without pictures

    @classmethod
    def of(cls, results: BenchResults, max_bytes: int = MAX_BYTES) -> Self:
        """All pictures that the results name. Raises InputError for one that cannot be read."""
        shown = [picture for clip in results.clips for picture in clip.pictures]
        shown += [picture for point in results.points for picture in point.pictures]
        paths = list(dict.fromkeys(picture.path for picture in shown))
        if not paths:
            return cls([], {}, "")
        files = [_read(path) for path in paths]
        expected = _WEBP_PER_PNG * sum(map(len, files))
        kept = min(1.0, math.sqrt(max_bytes / expected))
        uris = [_data_uri(file, path, kept) for file, path in zip(files, paths, strict=True)]
        note = "stored without loss (WebP, 8-bit RGB): what looks wrong is the codec's doing"
        if kept < 1:
            note += f"; cut to the middle {100 * kept:.0f} % of width and height to save space"
        return cls(uris, {path: number for number, path in enumerate(paths)}, note)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); run the bench again"
        ) from error


def _data_uri(png: bytes, path: str, kept: float) -> str:
    try:
        webp = _lossless_webp(_middle(_decode_png(png), kept))
    except (av.FFmpegError, ValueError) as error:
        raise InputError(f"{path}: not a picture ({error}); run the bench again") from error
    return "data:image/webp;base64," + base64.b64encode(webp).decode()


def _decode_png(png: bytes) -> np.ndarray:
    """(H, W, 3) uint8."""
    decoder = av.CodecContext.create("png", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    pictures = decoder.decode(av.Packet(png)) + decoder.decode(None)
    if len(pictures) != 1:
        raise ValueError("no picture in it")
    return pictures[0].to_ndarray(format="rgb24")


def _middle(rgb: np.ndarray, kept: float) -> np.ndarray:
    """The middle of a picture, `kept` (0..1) of its width and of its height."""
    for axis in (0, 1):
        size = rgb.shape[axis]
        length = min(size, max(_LEAST_SIDE, round(size * kept)))
        begin = (size - length) // 2
        rgb = rgb.take(range(begin, begin + length), axis)
    return rgb


def _lossless_webp(rgb: np.ndarray) -> bytes:
    height, width = rgb.shape[:2]
    encoder = av.CodecContext.create("libwebp", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "bgra"
    encoder.time_base = Fraction(1)
    # More effort than 2 takes many times as long for less than 1 % of the bytes.
    encoder.options = {"lossless": "1", "compression_level": "2"}
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    packets = encoder.encode(picture.reformat(format="bgra")) + encoder.encode(None)
    return b"".join(bytes(packet) for packet in packets)
