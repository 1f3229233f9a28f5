"""What was measured before, by the content of everything that it depends on.

A folder for each source by the SHA-256 of its file; in it a JSON file for each encoding, named by
the SHA-256 of what identifies it, and the pictures of the chosen frames.
"""

import hashlib
import json
import os
import sys
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import neuralcodec
from neuralcodec.atomic_file import output_errors
from neuralcodec.bench.quality import FrameQuality, Quality
from neuralcodec.bench.results import from_plain

_LAYOUT = 2  # raised when records change or are measured in another way
_CODING = ("codec", "container", "entropy", "media", "model")  # packages that decide about bytes


@dataclass(frozen=True)
class Identity:
    """Everything that a measurement depends on."""

    source_sha256: str
    frames: int  # from the first on
    codec: str
    version: str  # of the encoder's library; of ncodec and its model
    parameters: str
    metrics: tuple[str, ...]
    machine: str  # speeds are those of one machine

    @property
    def key(self) -> str:
        text = json.dumps([_LAYOUT, asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Timing:
    """One run of an encoder and of a decoder."""

    encode_fps: float
    decode_fps: float
    encode_memory: int | None  # bytes
    decode_memory: int | None


@dataclass(frozen=True)
class Measurement:
    """One encoding, measured once, timed at least once."""

    frames: int
    payload_bytes: int
    container_bytes: int
    quality: Quality
    pictures: tuple[FrameQuality, ...]  # of the frames that are kept as pictures
    timings: tuple[Timing, ...]

    def timed_again(self, timing: Timing) -> "Measurement":
        return replace(self, timings=(*self.timings, timing))


class BenchCache:
    """Measurements in a folder, which is made if need be."""

    def __init__(self, folder: Path):
        self.folder = folder
        with output_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def picture_path(self, identity: Identity, frame: int) -> Path:
        return self.clip_folder(identity.source_sha256) / f"{identity.key}-{frame}.png"

    def clip_folder(self, sha256: str) -> Path:
        folder = self.folder / sha256[:32]
        with output_errors(folder):
            folder.mkdir(exist_ok=True)
        return folder

    def find(self, identity: Identity) -> Measurement | None:
        """None for what was never measured, or can no longer be read."""
        try:
            return from_plain(Measurement, json.loads(self._path(identity).read_text())["found"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, identity: Identity, measurement: Measurement) -> None:
        """Whole or not at all: an interrupted bench keeps what it had."""
        record = {"identity": asdict(identity), "found": asdict(measurement)}
        path = self._path(identity)
        partial = path.with_suffix(f".{os.getpid()}.part")
        with output_errors(path):
            partial.write_text(json.dumps(record, indent=1, allow_nan=False))
            partial.replace(path)

    def _path(self, identity: Identity) -> Path:
        return self.clip_folder(identity.source_sha256) / f"{identity.key}.json"


def default_folder() -> Path:
    """Where the platform keeps a user's caches."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "neuralcodec" / "bench"


@cache
def coding_digest() -> str:
    """Of the code that decides about ncodec's bytes and speed: it changes more often than its
    version does."""
    digest = hashlib.sha256()
    root = Path(neuralcodec.__file__).parent
    for package in _CODING:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
