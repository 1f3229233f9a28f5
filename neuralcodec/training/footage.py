"""What there is to train on: video files, and folders of numbered pictures, in any folder."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from neuralcodec.errors import InputError
from neuralcodec.video import Frame

# fmt: off
VIDEOS = frozenset((
    ".3gp", ".avi", ".flv", ".h264", ".h265", ".hevc", ".ivf", ".m2ts", ".m4v", ".mkv", ".mov",
    ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".obu", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
))
# fmt: on
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

    def parts(self, most: int, length: int) -> list["FootagePart"]:
        """At most `most` frames: the clip, or where it has more, parts of `length` spread evenly
        over it. Raises InputError for what cannot be read."""
        from neuralcodec.media import VideoReader  # PyAV: what only trains can do without

        if self.pictures:
            count, rate = len(self.pictures), Fraction(1)
        else:
            with VideoReader(self.path) as reader:
                count = reader.frame_count_hint or most
                rate = reader.format.frame_rate or Fraction(25)
        if count <= most or most <= length:
            return [FootagePart(self, self.name, Fraction(0), rate, most, count)]
        number = most // length
        starts = [i * (count - length) // max(number - 1, 1) for i in range(number)]
        return [
            FootagePart(self, f"{self.name}@{start}", Fraction(start), rate, length, count)
            for start in starts
        ]


@dataclass(frozen=True)
class FootagePart:
    """Frames of a clip that follow one another."""

    footage: Footage
    name: str
    start: Fraction  # frames
    rate: Fraction  # frames per second
    length: int  # frames at most
    of_frames: int  # in the clip, about

    def read(self) -> Iterator[tuple[Frame, int]]:
        """Frames with their bit depth. Raises InputError."""
        from neuralcodec.media import SourceOptions, VideoReader

        first = int(self.start)
        if self.footage.pictures:
            for path in self.footage.pictures[first : first + self.length]:
                with VideoReader(path, limit=1) as reader:
                    yield from ((frame, reader.format.bit_depth) for frame in reader)
            return
        options = SourceOptions(
            start=self.start / self.rate if first else None, limit=self.length, audio=False
        )
        with VideoReader(self.footage.path, options=options) as reader:
            for frame in reader:
                reader.take_packets()  # they would pile up
                yield frame, reader.format.bit_depth


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
