"""The frame cache of a bundle, decoded on all cores; what is there already stays."""

import json
import multiprocessing
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import repeat
from pathlib import Path

import numpy as np

from neuralcodec.atomic_file import AtomicFile, output_errors
from neuralcodec.errors import InputError, NcodecError
from neuralcodec.training.clip_shards import Bundle, ShardedClip, unpack_clip
from neuralcodec.training.frame_cache import FRAME_LIMIT, CachedClip, planar_frame
from neuralcodec.training.opencv_reader import read_by_opencv
from neuralcodec.video import Frame

READERS = ("av", "opencv")


@dataclass(frozen=True)
class CacheReport:
    reader: str
    clips: int  # in the cache now
    decoded: int  # of them, by this call
    notices: tuple[str, ...]  # what is missing, a line each


def fill_cache(
    bundle: Bundle,
    cache: Path,
    workers: int,
    reader: str | None = None,
    frame_limit: int = FRAME_LIMIT,
) -> CacheReport:
    """Decodes the clips of all shards that are there; index.json names those in the cache.

    reader: one of READERS; None takes PyAV where it is."""
    with output_errors(cache):
        cache.mkdir(parents=True, exist_ok=True)
    missing = [shard for shard in bundle.shards if not (bundle.folder / shard).exists()]
    reader = reader or choose_reader(bundle, cache)
    job = _Job(bundle, cache, reader, frame_limit)
    absent = [clip for clip in bundle.clips if not job.stored(clip).exists()]
    wanted = [clip for clip in absent if clip.shard not in missing]
    wanted.sort(key=lambda clip: -clip.bytes)  # the longest work first
    notices = [
        f"{bundle.folder / shard} is not here: its clips are left out"
        for shard in sorted({clip.shard for clip in absent} & set(missing))
    ]
    notices += [notice for notice in _decode_all(job, wanted, workers) if notice]
    present = [clip for clip in bundle.clips if job.stored(clip).exists()]
    entries = [
        CachedClip(clip.name, len(np.load(job.stored(clip), mmap_mode="r")), clip.bpp, clip.name)
        for clip in present
    ]
    with AtomicFile(cache / "index.json", overwrite=True) as file:
        file.file.write(json.dumps([vars(entry) for entry in entries], indent=1).encode())
    decoded = sum(clip in present for clip in wanted)
    return CacheReport(reader, len(present), decoded, tuple(notices))


def choose_reader(bundle: Bundle, folder: Path) -> str:
    """PyAV where it is installed or among the bundle's wheels; OpenCV otherwise."""
    if find_spec("av") is None:
        for wheel in bundle.wheels():
            _unpack_wheel(wheel, folder / "site")
    return "av" if find_spec("av") is not None else "opencv"


def _unpack_wheel(wheel: Path, site: Path) -> None:
    """A wheel is a zip file of what goes into site-packages."""
    if not (site / wheel.stem).exists():
        with output_errors(site), zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
            (site / wheel.stem).touch()
    _use(site)


def _use(site: Path) -> None:
    if site.exists() and str(site) not in sys.path:
        sys.path.append(str(site))


@dataclass(frozen=True)
class _Job:
    bundle: Bundle
    cache: Path
    reader: str
    frame_limit: int

    def stored(self, clip: ShardedClip) -> Path:
        return self.cache / f"{clip.name}.npy"


def _decode_all(job: _Job, clips: list[ShardedClip], workers: int) -> Iterator[str | None]:
    if workers <= 1 or len(clips) <= 1:
        yield from map(_decode, repeat(job), clips)
        return
    # spawned: a forked process inherits locks of whatever threads run by now
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(clips)), context) as pool:
        yield from pool.map(_decode, repeat(job), clips)


def _decode(job: _Job, clip: ShardedClip) -> str | None:
    """Why the clip is left out, if it is."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = unpack_clip(job.bundle, clip, Path(folder))
            frames = [
                planar_frame(frame, clip.bit_depth, clip.scale == 2)
                for frame in _pictures(job, clip, path)
            ]
        if len({frame.shape for frame in frames}) != 1:
            raise InputError(f"{clip.file}: its pictures are not all of one size")
        with AtomicFile(job.stored(clip), overwrite=True) as file:
            np.save(file.file, np.stack(frames))
    except NcodecError as error:
        return f"left out: {error}"
    return None


def _pictures(job: _Job, clip: ShardedClip, path: Path) -> Iterator[Frame]:
    if job.reader == "opencv":
        if clip.bit_depth != 8:
            raise InputError(f"{clip.file}: {clip.bit_depth} bits, which only PyAV reads")
        yield from read_by_opencv(path, clip.matrix, clip.full_range, job.frame_limit)
        return
    _use(job.cache / "site")
    from neuralcodec.media import VideoReader

    with VideoReader(path, limit=job.frame_limit) as reader:
        yield from reader
