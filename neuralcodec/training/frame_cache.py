"""`python -m neuralcodec.training.frame_cache`: a folder of clips -> memory-mapped 4:2:0 frames."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from neuralcodec.atomic_file import AtomicFile, output_errors
from neuralcodec.errors import InputError, NcodecError
from neuralcodec.training.footage import Footage, FootagePart, find_footage
from neuralcodec.training.set_aside import Division
from neuralcodec.video import Frame

POOR_SOURCE_BPP = 0.08  # what was compressed this hard is clean again at half the size
MANY_ROWS = 1000  # half of 1080p has more detail per sample, and trains as well
SMALLEST_SIDE = 240  # luma samples
FRAME_LIMIT = 200  # of each clip
PART = 200  # frames that follow one another, of a clip that is longer than asked for


@dataclass(frozen=True)
class CachedClip:
    """An entry of index.json: NAME.npy holds (T, 3H/2, W) uint8, planar 4:2:0."""

    name: str
    frames: int
    bpp: float  # of the source: how good its pictures are
    clip: str  # that it is a part of


def build_cache(
    footage: Sequence[Footage],
    out: Path,
    frame_limit: int,
    *,
    end_apart: int = 0,
    division: Division | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> list[CachedClip]:
    """Writes NAME.npy per clip, even sizes; and index.json, when all others are written.

    frame_limit: of each clip. end_apart: so many frames at the end of the last part become an
    entry of their own, NAME@end, to be held out. division: of a clip that is alone, instead: which
    frames that entry has, and before which the others end. What cannot be read, or is too small,
    is told and left out. Raises OutputError."""
    with output_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        (out / "index.json").unlink(missing_ok=True)
    entries: list[CachedClip] = []
    for clip in footage:
        try:
            parts = clip.parts(frame_limit, PART, division.trained if division else None)
            for part in parts:
                apart = end_apart if part is parts[-1] else 0
                entries += _cache_part(part, out, apart)
            if division:
                entries += _cache_part(division.checked_part(clip), out, 0)
        except NcodecError as error:
            tell(f"left out: {error}")
            entries = [entry for entry in entries if entry.clip != clip.name]
            continue
        count = sum(entry.frames for entry in entries if entry.clip == clip.name)
        tell(f"{clip.name}: {count} frames")
    with AtomicFile(out / "index.json", overwrite=True) as file:
        file.file.write(json.dumps([vars(entry) for entry in entries], indent=1).encode())
    return entries


def _cache_part(part: FootagePart, out: Path, end_apart: int) -> list[CachedClip]:
    planar: list[np.ndarray] = []
    scale = 1
    bpp = 0.0
    for frame, fmt in part.read():
        if not planar:
            height, width = frame.y.shape
            bpp = 8 * part.footage.bytes / (width * height * max(part.of_frames, 1))
            scale = scale_of(width, height, bpp, part.footage.path)
        planar.append(planar_frame(frame, fmt.bit_depth, scale == 2))
        if planar[-1].shape != planar[0].shape:
            raise InputError(f"{part.footage.path}: its pictures are not all of one size")
    if len(planar) <= end_apart:
        raise InputError(f"{part.footage.path} has {len(planar)} frames; more are needed")
    kept = len(planar) - end_apart
    entries = []
    for name, frames in ((part.name, planar[:kept]), (f"{part.footage.name}@end", planar[kept:])):
        if frames:
            with output_errors(out):
                np.save(out / f"{name}.npy", np.stack(frames))
            entries.append(CachedClip(name, len(frames), bpp * scale**2, part.footage.name))
    return entries


def scale_of(width: int, height: int, bpp: float, path: Path) -> int:
    """2 for a clip that is stored at half its size. Raises InputError for one too small."""
    if min(width, height) < SMALLEST_SIDE:
        raise InputError(
            f"{path} is {width}x{height}; at least {SMALLEST_SIDE}x{SMALLEST_SIDE} is needed"
        )
    is_large = min(width, height) >= 2 * SMALLEST_SIDE
    return 2 if is_large and (bpp < POOR_SOURCE_BPP or height >= MANY_ROWS) else 1


def planar_frame(frame: Frame, bit_depth: int, halve: bool) -> np.ndarray:
    """(3H/2, W) uint8 of even sizes."""
    planes = [_plane(p, bit_depth, halve) for p in frame.planes]
    rows, columns = (2 * (n // 2) for n in planes[0].shape)
    y = planes[0][:rows, :columns]
    chroma = [p[: rows // 2, : columns // 2].ravel() for p in planes[1:]]
    return np.concatenate([y.ravel(), *chroma]).reshape(rows * 3 // 2, columns)


def _plane(plane: np.ndarray, bit_depth: int, halve: bool) -> np.ndarray:
    samples = plane.astype(np.float32) / (1 << (bit_depth - 8))
    if halve:
        rows, columns = (2 * (n // 2) for n in plane.shape)
        samples = samples[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2).mean((1, 3))
    return np.clip(np.round(samples), 0, 255).astype(np.uint8)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("clips", type=click.Path(exists=True, path_type=Path), nargs=-1, required=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Cache folder.")
@click.option("--frames", default=FRAME_LIMIT, help="At most so many frames of each clip.")
@click.option("--exclude", multiple=True, metavar="NAME", help="Clip to leave out.")
def main(clips: tuple[Path, ...], out: Path, frames: int, exclude: tuple[str, ...]) -> None:
    """Decode CLIPS (files, or folders of files or of pictures) into a cache to train from."""
    footage = [f for f in find_footage(clips) if f.name not in exclude]
    build_cache(footage, out, frames, tell=lambda text: click.echo(text, err=True))


if __name__ == "__main__":
    main()
