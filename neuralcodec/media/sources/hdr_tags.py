"""Mastering display and content light of HDR pictures, out of FFmpeg's side data."""

import struct
from collections.abc import Mapping
from fractions import Fraction

from neuralcodec.video import ContentLight, MasteringDisplay

# AVMasteringDisplayMetadata: x and y of R, G, B and white, lowest and highest luminance, all as
# two ints of a fraction, then whether there are primaries (white included), and luminances.
_MASTERING = struct.Struct("=20i2i")
_LIGHT = struct.Struct("=2I")  # AVContentLightMetadata: MaxCLL, MaxFALL
_CHROMATICITY_UNIT = Fraction(1, 50000)
_LUMINANCE_UNIT = Fraction(1, 10000)  # cd/m²
_CHROMATICITY_TOP = 0xFFFF  # what HEVC's message can hold
_LUMINANCE_TOP = 0xFFFFFFFF


def mastering_display(side_data: Mapping[str, bytes]) -> MasteringDisplay | None:
    """What a picture says of the display it was graded on; None if nothing, or nonsense."""
    data = _beginning(side_data, "MASTERING_DISPLAY_METADATA", _MASTERING.size)
    if data is None:
        return None
    *numbers, has_primaries, has_luminance = _MASTERING.unpack(data)
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    chromaticities = [_units(*pair, _CHROMATICITY_UNIT, _CHROMATICITY_TOP) for pair in pairs[:8]]
    luminances = [_units(*pair, _LUMINANCE_UNIT, _LUMINANCE_TOP) for pair in pairs[8:]]
    points = _points(chromaticities) if has_primaries else []
    limits = _points(luminances) if has_luminance else []
    if not points and not limits:
        return None
    return MasteringDisplay(
        primaries=(points[0], points[1], points[2]) if points else None,
        white_point=points[3] if points else None,
        luminance=limits[0] if limits else None,
    )


def content_light(side_data: Mapping[str, bytes]) -> ContentLight | None:
    """Brightness of the content as a picture states it; None if it does not."""
    data = _beginning(side_data, "CONTENT_LIGHT_LEVEL", _LIGHT.size)
    if data is None:
        return None
    max_cll, max_fall = _LIGHT.unpack(data)
    light = ContentLight(min(max_cll, 0xFFFF), min(max_fall, 0xFFFF))
    return light if light != ContentLight(0, 0) else None


def _beginning(side_data: Mapping[str, bytes], kind: str, size: int) -> bytes | None:
    data = side_data.get(kind, b"")
    return data[:size] if len(data) >= size else None


def _units(numerator: int, denominator: int, unit: Fraction, top: int) -> int | None:
    if denominator <= 0 or numerator < 0:
        return None
    value = round(Fraction(numerator, denominator) / unit)
    return value if value <= top else None


def _points(values: list[int | None]) -> list[tuple[int, int]]:
    """The numbers in pairs; none where a number is unknown."""
    known = [value for value in values if value is not None]
    return list(zip(known[::2], known[1::2], strict=True)) if len(known) == len(values) else []
