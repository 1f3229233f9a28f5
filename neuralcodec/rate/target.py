"""What the user asks for instead of a quality, and how near the result came."""

import math
import re
from dataclasses import dataclass
from enum import Enum

from neuralcodec.errors import UsageError

_NUMBER = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)\s*", re.IGNORECASE)
_BITRATE_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_SIZE_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
}
MOST_DB = 60.0
MOST_BPP = 24.0
BITS_TOLERANCE = 0.02  # of what was asked
PSNR_TOLERANCE = 0.1  # dB


class RateKind(Enum):
    BITRATE = "bitrate"  # bits per second, of the video
    SIZE = "size"  # bytes, of the whole file
    BPP = "bpp"  # bits per luma sample, of the video
    PSNR = "psnr"  # dB, mean PSNR-YUV (6:1:1) over the frames


@dataclass(frozen=True)
class RateTarget:
    """Constant quality needs none. Raises UsageError for a value that is not above 0."""

    kind: RateKind
    value: float

    def __post_init__(self) -> None:
        if not 0 < self.value < float("inf"):
            raise UsageError(f"a {self.kind.value} of {self.value} is not above 0")

    def text(self, value: float) -> str:
        """A figure of this kind, for people."""
        if self.kind is RateKind.PSNR:
            return f"{value:.2f} dB"
        if self.kind is RateKind.BPP:
            return f"{value:.4f} bpp"
        if self.kind is RateKind.BITRATE:
            if value >= 1e6:
                return f"{value / 1e6:.2f} Mbit/s"
            return f"{value / 1e3:.1f} kbit/s" if value >= 1e3 else f"{value:g} bit/s"
        for unit in ("bytes", "KiB", "MiB"):
            if value < 1024:
                return f"{value:.0f} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
            value /= 1024
        return f"{value:.2f} GiB"

    def is_met(self, value: float) -> bool:
        if self.kind is RateKind.PSNR:
            return abs(value - self.value) <= PSNR_TOLERANCE
        return abs(value / self.value - 1) <= BITS_TOLERANCE


@dataclass(frozen=True)
class RateOutcome:
    target: RateTarget
    achieved: float  # in the target's unit
    met: bool  # within BITS_TOLERANCE or PSNR_TOLERANCE
    notice: str | None  # what to tell the user where it was not met


def judge_outcome(
    target: RateTarget, achieved: float, is_smallest: bool, is_best: bool
) -> RateOutcome:
    """is_smallest, is_best: whether every frame has the lowest or the highest q that a target can
    bring."""
    if target.is_met(achieved):
        return RateOutcome(target, achieved, True, None)
    asked, got = target.text(target.value), target.text(achieved)
    if is_smallest if achieved > target.value else is_best:
        notice = f"{asked} is out of reach: {got} is the nearest"
    else:
        notice = f"{asked} was asked for, the result has {got}"
    return RateOutcome(target, achieved, False, notice)


def parse_bitrate(text: str) -> float:
    """'800k', '2.5M' or '640000' -> bits per second; k, M, G are thousands."""
    return _parse(text, _BITRATE_UNITS, "bitrate", "800k or 2.5M (bits per second)")


def parse_size(text: str) -> float:
    """'12MiB', '10MB', '700KB' or '5000' -> bytes; KB is 1000 bytes, KiB 1024."""
    return _parse(text, _SIZE_UNITS, "size", "10MB, 12MiB or 700KB")


def parse_psnr(text: str) -> float:
    """'38.5' or '38.5dB' -> dB."""
    value = _parse(text, {"": 1, "db": 1}, "PSNR", "38.5 (dB)")
    if value > MOST_DB:
        raise UsageError(f"a PSNR of {text.strip()} is more than {MOST_DB:.0f} dB")
    return value


def parse_bpp(text: str) -> float:
    """'0.12' -> bits per luma sample."""
    value = _parse(text, {"": 1, "bpp": 1}, "bpp", "0.12 (bits per luma sample)")
    if value > MOST_BPP:
        raise UsageError(f"{text.strip()} bits per luma sample are more than {MOST_BPP:.0f}")
    return value


def _parse(text: str, units: dict[str, int], what: str, examples: str) -> float:
    match = _NUMBER.fullmatch(text)
    unit = units.get(match[2].lower()) if match else None
    if match is None or unit is None:
        raise UsageError(f"'{text}' is no {what}; write it like {examples}")
    value = float(match[1]) * unit
    if not 0 < value < math.inf:
        raise UsageError(f"a {what} of {text.strip()} is not above 0")
    return value
