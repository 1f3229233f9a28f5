"""Large files that go back in pieces of bounded size, and together again.

The pieces of a file are named for its step and the SHA-256 of the whole:
checkpoint-00000400-0c52ab10-1of3.part. So pieces of different files cannot be mixed up, and a file
cut short is known for it.
"""

import hashlib
import re
from collections import defaultdict
from pathlib import Path

from neuralcodec.atomic_file import AtomicFile
from neuralcodec.errors import InputError

_NAME = re.compile(
    r"(?P<stem>.+)-(?P<step>\d+)-(?P<digest>[0-9a-f]{8})-(?P<n>\d+)of(?P<m>\d+)\.part"
)


def write_pieces(folder: Path, stem: str, step: int, data: bytes, largest: int) -> list[Path]:
    """In place of the pieces of an older file of this stem. largest: bytes of a piece."""
    count = max(1, -(-len(data) // largest))
    digest = hashlib.sha256(data).hexdigest()[:8]
    names = [f"{stem}-{step:08}-{digest}-{n}of{count}.part" for n in range(1, count + 1)]
    files = [AtomicFile(folder / name, overwrite=True) for name in names]
    for n, file in enumerate(files):
        file.file.write(data[n * largest : (n + 1) * largest])
    for old in _pieces(folder, stem):
        if old.name not in names:
            old.unlink()
    for file in files:
        file.commit()
    return [folder / name for name in names]


def read_pieces(folder: Path, stem: str) -> tuple[int, bytes] | None:
    """Step and content of the newest whole file of this stem; None where there is none.

    Raises InputError where there are pieces, but not all of any file."""
    groups: dict[tuple[int, str, int], dict[int, Path]] = defaultdict(dict)
    for path in _pieces(folder, stem):
        match = _NAME.fullmatch(path.name)
        assert match
        key = int(match["step"]), match["digest"], int(match["m"])
        groups[key][int(match["n"])] = path
    for (step, digest, count), paths in sorted(groups.items(), reverse=True):
        data = b"".join(paths[n].read_bytes() for n in sorted(paths))
        if len(paths) == count and hashlib.sha256(data).hexdigest().startswith(digest):
            return step, data
    if groups:
        raise InputError(f"{folder}: pieces of {stem} are missing or cut short; fetch them again")
    return None


def _pieces(folder: Path, stem: str) -> list[Path]:
    matches = ((path, _NAME.fullmatch(path.name)) for path in sorted(folder.glob("*.part")))
    return [path for path, match in matches if match and match["stem"] == stem]
