"""Names of numbered pictures, such as frame%04d.png, as FFmpeg understands them."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from neuralcodec.errors import InputError, UsageError

LARGEST_NUMBER = 2**31 - 1  # that FFmpeg counts to
_FIELD = re.compile(r"%%|%(\d{0,3})d")


class PicturePattern:
    """The name of a file with one number in it: %d, or %04d for at least four digits; %% is a
    percent sign. What is special in the folder's name is not.

    Raises UsageError for a name with no number, or more than one.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self._path = Path(path)
        fields = [m for m in _FIELD.finditer(self._path.name) if m[0] != "%%"]
        if len(fields) != 1:
            raise UsageError(f"{path} needs one number pattern, as in frame%04d.png")
        (field,) = fields
        self._digits = int(field[1] or 0)
        self._start = self._path.name[: field.start()].replace("%%", "%")
        self._end = self._path.name[field.end() :].replace("%%", "%")

    def file(self, number: int) -> Path:
        """The picture of that number."""
        return self._path.with_name(f"{self._start}{number:0{self._digits}d}{self._end}")

    def numbers(self) -> list[int]:
        """Those of the pictures there are, in order."""
        name = re.compile(re.escape(self._start) + r"(\d{1,10})" + re.escape(self._end))
        try:
            there = set(os.listdir(self._path.parent))
        except OSError as error:
            raise InputError(f"cannot read {self._path.parent}: {error.strerror}") from error
        found = [int(match[1]) for match in map(name.fullmatch, there) if match]
        # Of 7 and 007 one is meant.
        return sorted(n for n in set(found) if n <= LARGEST_NUMBER and self.file(n).name in there)

    def for_ffmpeg(self) -> str:
        """The name with which FFmpeg finds the same files, whatever the folder is called."""
        folder = os.path.dirname(self._path)
        return os.path.join(folder.replace("%", "%%"), self._path.name)


@dataclass(frozen=True)
class PictureRun:
    """Pictures whose numbers follow one another, and what comes after them."""

    first: int
    gap: str | None  # what is missing, where later pictures are there; a sentence


def find_run(pattern: PicturePattern, name: str, first: int | None) -> PictureRun:
    """The pictures from number `first` on, or from the lowest number there is.

    Raises InputError where there are none.
    """
    numbers = [n for n in pattern.numbers() if first is None or n >= first]
    if not numbers or (first is not None and numbers[0] != first):
        which = f"there is no picture {pattern.file(1)}, or of any other number"
        if first is not None:
            which = f"there is no picture {pattern.file(first)}"
        raise InputError(f"{name}: {which}; check the name")
    last = numbers[0]
    for number in numbers[1:]:
        if number != last + 1 or not _holds_something(pattern.file(number)):
            break
        last = number
    later = numbers[last - numbers[0] + 1 :]
    return PictureRun(numbers[0], _gap(name, last, later) if later else None)


def is_pattern(name: str) -> bool:
    """Whether a name that is that of no file is one of numbered pictures."""
    if os.path.exists(name):
        return False
    try:
        PicturePattern(name)
    except (UsageError, ValueError):
        return False
    return True


def _holds_something(file: Path) -> bool:
    """At what does not, FFmpeg ends without a word."""
    try:
        return file.stat().st_size > 0
    except OSError:
        return False


def _gap(name: str, last: int, later: list[int]) -> str:
    if later[0] == last + 1:
        return f"{name} breaks off after number {last}: the next picture is empty"
    missing = (
        f"number {last + 1} is"
        if later[0] == last + 2
        else (f"numbers {last + 1} to {later[0] - 1} are")
    )
    left = f"{len(later)} pictures from {later[0]} on are" if len(later) > 1 else f"{later[0]} is"
    return f"{name} breaks off after number {last}: {missing} missing, and {left} left out"
