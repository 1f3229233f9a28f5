"""What there is to train on: video files, and folders of numbered pictures, in any folder."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from neuralcodec.errors import InputError
from neuralcodec.video import Frame, VideoFormat

# fmt: off
VIDEOS = frozenset((
    ".3gp", ".avi", ".flv", ".h264", ".h265", ".hevc", ".ivf", ".m2ts", ".m4v", ".mkv", ".mov",
    ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".obu", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
))
# fmt: on
TRIES = 8  # to find the end of a clip whose header promises more
LAST = 24  # frames that are read there
PICTURES = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))


@dataclass(frozen=True)
class Footage:
    """A clip: a video file, or a folder of pictures in the order of their numbers."""

    name: str  # unique among all
    path: Path
    pictures: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        return self.pictures or (self.path,)

    @property
    def bytes(self) -> int:
        return sum(file.stat().st_size for file in self.files)

    def parts(self, most: int, length: int, until: int | None = None) -> list["FootagePart"]:
        """At most `most` frames of those before number `until`: all, or where there are more, parts
        of `length` spread evenly over them. Raises InputError for what cannot be read."""
        promised, rate = self._promised()
        count = promised or most
        usable = count if until is None else min(until, count)
        if usable <= most or most <= length:
            return [FootagePart(self, self.name, 0, rate, min(most, until or most), count, until)]
        number = most // length
        starts = [i * (usable - length) // max(number - 1, 1) for i in range(number)]
        return [
            FootagePart(self, f"{self.name}@{start}", start, rate, length, count, until)
            for start in starts
        ]

    def part(self, name: str, start: int, length: int, count: int) -> "FootagePart":
        """Frames that follow one another, of a clip that has `count`."""
        return FootagePart(self, name, start, self._promised()[1], length, count)

    def count(self) -> int | None:
        """Frames that there are; None where the end cannot be found. A header may promise more, as
        where the sound is longer: the end is looked at. Raises InputError."""
        count, _ = self._promised()
        if self.pictures or count is None:
            return count
        for _ in range(TRIES):
            start = max(count - LAST, 0)
            found = self.part(self.name, start, min(LAST, count), count).length_found()
            if found:
                return start + found
            count = count * 3 // 4
        return None

    def _promised(self) -> tuple[int | None, Fraction]:
        """Frames, where a header tells, and their rate; a picture is a second."""
        from neuralcodec.media import VideoReader  # PyAV: what only trains can do without

        if self.pictures:
            return len(self.pictures), Fraction(1)
        with VideoReader(self.path) as reader:
            return reader.frame_count_hint, reader.format.frame_rate or Fraction(25)


@dataclass(frozen=True)
class FootagePart:
    """Frames of a clip that follow one another."""

    footage: Footage
    name: str
    start: int  # frames
    rate: Fraction  # frames per second
    length: int  # frames at most
    of_frames: int  # in the clip, about
    until: int | None = None  # before this one in any case, whatever the frames' own times are

    def read(self) -> Iterator[tuple[Frame, VideoFormat]]:
        """Raises InputError."""
        from neuralcodec.media import SourceOptions, VideoReader

        if self.footage.pictures:
            for path in self.footage.pictures[self.start : self.start + self.length]:
                with VideoReader(path, limit=1) as reader:
                    yield from ((frame, reader.format) for frame in reader)
            return
        options = SourceOptions(
            start=self.start / self.rate if self.start else None,
            duration=None if self.until is None else (self.until - self.start) / self.rate,
            limit=self.length,
            audio=False,
        )
        with VideoReader(self.footage.path, options=options) as reader:
            for frame in reader:
                reader.take_packets()  # they would pile up
                yield frame, reader.format

    def length_found(self) -> int:
        """Frames that there really are; 0 where the clip ends before."""
        try:
            return sum(1 for _ in self.read())
        except InputError:
            return 0


def find_footage(data: Sequence[Path]) -> list[Footage]:
    """All clips in files and folders, in the order of their names.

    Raises InputError for a name that is not there, and where nothing is found."""
    found: list[tuple[Path, Footage]] = []
    for path in data:
        if not path.exists():
            raise InputError(f"{path} does not exist; check the name")
        if path.is_dir():
            found += [(path, footage) for footage in _in_folder(path)]
        else:
            found.append((path.parent, Footage(path.stem, path)))
    if not found:
        shown = ", ".join(map(str, data))
        raise InputError(f"{shown}: no video and no folder of numbered pictures in it")
    stems = [footage.name for _, footage in found]
    named, taken = [], set[str]()
    for root, footage in found:
        name = footage.name
        if stems.count(name) > 1:
            name = "_".join(footage.path.relative_to(root).parts) or name
        while name in taken:
            name += "_"
        taken.add(name)
        named.append(replace(footage, name=name))
    return named


def _in_folder(folder: Path) -> Iterator[Footage]:
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    pictures = [path for path in files if path.suffix.lower() in PICTURES]
    if len(pictures) > 1:
        yield Footage(folder.resolve().name, folder, tuple(sorted(pictures, key=_by_number)))
    for path in files:
        if path.is_dir():
            yield from _in_folder(path)
        elif path.suffix.lower() in VIDEOS:
            yield Footage(path.stem, path)


def _by_number(path: Path) -> list[tuple[int, str]]:
    """frame2 before frame10."""
    parts = re.split(r"(\d+)", path.stem)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
