"""Rates, sizes and qualities as users write them. Every parser raises UsageError."""

import math
import re

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
