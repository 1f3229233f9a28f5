"""Times, sizes and rates as users write them on the command line."""

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from neuralcodec.endpoints import input_name
from neuralcodec.errors import UsageError
from neuralcodec.rate.target import parse_bitrate, parse_bpp, parse_psnr, parse_size

_TIME = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:\.\d*)?|\.\d+)")
_SIZE = re.compile(r"(\d{1,5})[x:](\d{1,5})")
_RATE = re.compile(r"(\d{1,9})/(\d{1,9})|(\d{1,9}(?:\.\d{0,9})?)")


class Value(click.ParamType):
    """An option's value that `parse` understands; it raises UsageError for all other text."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


def parse_time(text: str) -> Fraction:
    """'12.5', '1:30' or '1:02:03.25' -> seconds."""
    match = _TIME.fullmatch(text)
    if not match:
        raise UsageError(f"'{text}' is no time; write it like 12.5, 1:30 or 1:02:03.25")
    hours, minutes, seconds = match.groups()
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + Fraction(seconds)


def parse_dimensions(text: str) -> tuple[int, int]:
    """'1280x720' -> (1280, 720)."""
    match = _SIZE.fullmatch(text)
    if not match:
        raise UsageError(f"'{text}' is no picture size; write it like 1280x720")
    return int(match[1]), int(match[2])


def parse_rate(text: str) -> Fraction:
    """'25', '29.97' or '30000/1001' -> frames per second."""
    match = _RATE.fullmatch(text)
    if not match or Fraction(match[2] or 1) == 0:
        raise UsageError(f"'{text}' is no frame rate; write it like 25 or 30000/1001")
    return Fraction(int(match[1]), int(match[2])) if match[1] else Fraction(match[3])


SOURCE = Value("source", lambda text: Path(input_name(text)))
TIME = Value("time", parse_time)
DIMENSIONS = Value("size", parse_dimensions)
RATE = Value("rate", parse_rate)
BITRATE = Value("bitrate", parse_bitrate)
FILE_SIZE = Value("bytes", parse_size)
PSNR = Value("dB", parse_psnr)
BPP = Value("bpp", parse_bpp)
