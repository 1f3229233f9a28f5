"""Clips as they are, in a few files of bounded size, to carry to another machine.

A bundle is a folder: `index.json`, shards `clips-0.tar`, `clips-1.tar`, ... and perhaps weights to
start from and wheels of packages that the other machine lacks.
"""

import hashlib
import io
import json
import math
import shutil
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from neuralcodec.atomic_file import AtomicFile, output_errors
from neuralcodec.errors import InputError, NcodecError, UsageError
from neuralcodec.training.footage import Footage
from neuralcodec.training.frame_cache import scale_of

MIB = 1 << 20
TAR_BLOCK = 512  # bytes: header of a member, and what members are padded to
TAR_END = 10240  # bytes: tar files are padded to multiples of this


@dataclass(frozen=True)
class ShardedClip:
    """A clip of a bundle. bpp: of its source per stored sample; scale: 2 where it is stored at
    half its size; matrix, full_range: its colours as in `video.ColorTags`."""

    name: str
    file: str
    shard: str
    frames: int | None  # about; None where the source does not say
    bpp: float
    scale: int
    bit_depth: int
    matrix: int
    full_range: bool
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Bundle:
    folder: Path
    clips: tuple[ShardedClip, ...]
    held_out: tuple[str, ...]

    @property
    def shards(self) -> tuple[str, ...]:
        return tuple(sorted({clip.shard for clip in self.clips}))

    def wheels(self) -> list[Path]:
        return sorted(self.folder.glob("*.whl"))


def pack(
    footage: Sequence[Footage], out: Path, held_out: Sequence[str], shard_bytes: int
) -> tuple[Bundle, list[str]]:
    """Writes the shards and the index; also returns what was left out, a line each.

    Raises InputError where there is nothing to pack, UsageError for a clip that exceeds a shard."""
    described: list[tuple[Path, ShardedClip]] = []
    notices = []
    for clip in footage:
        try:
            described.append((clip.path, _describe(clip)))
        except NcodecError as error:
            notices.append(f"left out: {error}")
    if not described:
        raise InputError("no clip to pack: name a folder of video files")
    names = {clip.name for _, clip in described}
    notices += [f"not held out, as it is not there: {name}" for name in held_out
                if name not in names]  # fmt: skip
    with output_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        for old in out.glob("clips-*.tar"):
            old.unlink()
    clips: list[ShardedClip] = []
    for number, members in enumerate(_share_out(described, shard_bytes)):
        shard = f"clips-{number}.tar"
        _write_shard(out / shard, members)
        clips += [replace(clip, shard=shard) for _, clip in members]
    bundle = Bundle(out, tuple(clips), tuple(name for name in held_out if name in names))
    plain = {"clips": [asdict(clip) for clip in clips], "held_out": list(bundle.held_out)}
    with AtomicFile(out / "index.json", overwrite=True) as file:
        file.file.write(json.dumps(plain, indent=1).encode())
    return bundle, notices


def read_bundle(folder: Path) -> Bundle:
    """Raises InputError where the folder holds no index of a bundle."""
    path = folder / "index.json"
    try:
        plain = json.loads(path.read_text())
        clips = tuple(ShardedClip(**clip) for clip in plain["clips"])
        return Bundle(folder, clips, tuple(plain["held_out"]))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(
            f"{path}: no index of a bundle ({error}); make one with scripts/pack_gpu_bundle.py"
        ) from error


def unpack_clip(bundle: Bundle, clip: ShardedClip, folder: Path) -> Path:
    """The clip's file, taken out of its shard. Raises InputError for a shard that is damaged."""
    shard = bundle.folder / clip.shard
    try:
        with tarfile.open(shard) as archive:
            member = archive.extractfile(clip.file)
            data = member.read() if member else b""
    except (OSError, tarfile.TarError, KeyError) as error:
        raise InputError(f"{shard}: cannot be read ({error}); send it once more") from error
    if hashlib.sha256(data).hexdigest() != clip.sha256:
        raise InputError(f"{shard}: {clip.file} is damaged; send the shard once more")
    path = folder / clip.file
    with output_errors(path):
        path.write_bytes(data)
    return path


def copy_extras(files: Iterable[Path], out: Path) -> list[Path]:
    """Wheels and weights go along as they are. Returns where they are now."""
    copies = []
    for file in files:
        with output_errors(out / file.name):
            copies.append(Path(shutil.copyfile(file, out / file.name)))
    return copies


def _describe(footage: Footage) -> ShardedClip:
    from neuralcodec.media import VideoReader  # PyAV, which who unpacks can do without

    path = footage.path
    if footage.pictures:
        raise InputError(f"{path}: a folder of pictures; make a video of it to pack it")
    with VideoReader(path) as reader:
        fmt, frames = reader.format, reader.frame_count_hint
    data = path.read_bytes()
    bpp = 8 * len(data) / (fmt.width * fmt.height * (frames or 200))
    scale = scale_of(fmt.width, fmt.height, bpp, path)
    return ShardedClip(
        name=footage.name,
        file=footage.name + path.suffix,
        shard="",
        frames=frames,
        bpp=bpp * scale**2,
        scale=scale,
        bit_depth=fmt.bit_depth,
        matrix=fmt.color.matrix,
        full_range=fmt.color.full_range,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _share_out(
    described: list[tuple[Path, ShardedClip]], shard_bytes: int
) -> list[list[tuple[Path, ShardedClip]]]:
    """Into as few shards as will do, about equally full: the largest first, to the emptiest."""
    room = shard_bytes - TAR_END

    def padded(clip: ShardedClip) -> int:
        return TAR_BLOCK * (1 + math.ceil(clip.bytes / TAR_BLOCK))

    for path, clip in described:
        if padded(clip) > room:
            raise UsageError(
                f"{path} has {clip.bytes / MIB:.1f} MiB, more than a shard: allow larger shards "
                "or leave it out"
            )
    count = max(1, math.ceil(sum(padded(clip) for _, clip in described) / room))
    while True:
        shards: list[list[tuple[Path, ShardedClip]]] = [[] for _ in range(count)]
        filled = [0] * count
        for path, clip in sorted(described, key=lambda pair: (-pair[1].bytes, pair[1].name)):
            emptiest = filled.index(min(filled))
            shards[emptiest].append((path, clip))
            filled[emptiest] += padded(clip)
        if max(filled) <= room:
            return shards
        count += 1


def _write_shard(path: Path, members: list[tuple[Path, ShardedClip]]) -> None:
    with (
        AtomicFile(path, overwrite=True) as out,
        tarfile.open(fileobj=out.file, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for source, clip in members:
            header = tarfile.TarInfo(clip.file)
            header.size = clip.bytes
            archive.addfile(header, io.BytesIO(source.read_bytes()))
