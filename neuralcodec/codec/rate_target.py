"""What the user asks for instead of a quality, and how near the result came."""

from dataclasses import dataclass
from enum import Enum

from neuralcodec.errors import UsageError

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


def judge_outcome(target: RateTarget, achieved: float, lowest: int, highest: int) -> RateOutcome:
    """lowest, highest: q of the frames that are not the first of their GOP, and of all frames."""
    if target.is_met(achieved):
        return RateOutcome(target, achieved, True, None)
    asked, got = target.text(target.value), target.text(achieved)
    too_much = achieved > target.value
    if (too_much and highest == 0) or (not too_much and lowest == 63):
        end = 0 if too_much else 63
        notice = f"{asked} is out of reach: {got} at q {end} is the nearest"
    else:
        notice = f"{asked} was asked for, the result has {got}"
    return RateOutcome(target, achieved, False, notice)
