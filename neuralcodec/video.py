"""What a video is to the codec: planes, time stamps and the tags that say how to show them."""

from dataclasses import dataclass, field
from enum import IntEnum
from fractions import Fraction

import numpy as np

from neuralcodec.display_matrix import DisplayMatrix


@dataclass(frozen=True)
class ColorTags:
    """Colour description, as code points of ITU-T H.273; carried, never converted."""

    primaries: int = 2  # 2 = unspecified, in all three
    transfer: int = 2
    matrix: int = 2
    full_range: bool = False
    chroma_location: int = 0  # as in FFmpeg's AVChromaLocation: 0 unspecified, 1 left, ...


@dataclass(frozen=True)
class MasteringDisplay:
    """SMPTE ST 2086 in the units of HEVC's SEI message: chromaticities in 0.00002, luminances in
    0.0001 cd/m²; None where the source does not say."""

    primaries: tuple[tuple[int, int], tuple[int, int], tuple[int, int]] | None  # (x, y): R, G, B
    white_point: tuple[int, int] | None
    luminance: tuple[int, int] | None  # lowest, highest


@dataclass(frozen=True)
class ContentLight:
    """CTA-861.3, in cd/m²; 0 = unknown."""

    max_cll: int  # brightest sample
    max_fall: int  # brightest mean of a frame


class FieldOrder(IntEnum):
    """Which rows of interlaced pictures are shown first."""

    PROGRESSIVE = 0  # all at once, or it is unknown
    TOP_FIRST = 1
    BOTTOM_FIRST = 2


USUAL_RATE = Fraction(25)  # frames per second, as FFmpeg assumes where nothing says how many


@dataclass(frozen=True)
class VideoFormat:
    """Everything about a video stream that is the same for all of its frames (4:2:0 always)."""

    width: int  # luma samples
    height: int
    time_base: Fraction  # seconds per PTS unit
    bit_depth: int = 8  # 8 or 10
    frame_rate: Fraction | None = None  # frames per second, nominal
    sample_aspect_ratio: Fraction = Fraction(0)  # 0 = unknown
    display_matrix: DisplayMatrix | None = None  # None = shown as it is
    field_order: FieldOrder = FieldOrder.PROGRESSIVE
    color: ColorTags = field(default_factory=ColorTags)
    mastering_display: MasteringDisplay | None = None
    content_light: ContentLight | None = None

    @property
    def chroma_size(self) -> tuple[int, int]:
        """(width, height) of each chroma plane, rounded up for odd luma sizes."""
        return (self.width + 1) // 2, (self.height + 1) // 2


@dataclass(frozen=True)
class Frame:
    """One picture: planes of uint8 (8 bit) or uint16 (10 bit, values 0..1023)."""

    y: np.ndarray  # (H, W)
    u: np.ndarray  # (ceil(H/2), ceil(W/2))
    v: np.ndarray
    pts: int  # in VideoFormat.time_base units

    @property
    def planes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.y, self.u, self.v
