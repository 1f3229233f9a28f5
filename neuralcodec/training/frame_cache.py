"""`python -m neuralcodec.training.frame_cache`: a folder of clips -> memory-mapped 4:2:0 frames."""

import json
from pathlib import Path

import click
import numpy as np

from neuralcodec.errors import NcodecError
from neuralcodec.media import VideoReader
from neuralcodec.video import Frame

POOR_SOURCE_BPP = 0.08  # what was compressed this hard is clean again at half the size
MANY_ROWS = 1000  # half of 1080p has more detail per sample, and trains as well
SMALLEST_SIDE = 256  # luma samples; validation crops need them


def build_cache(clips: list[Path], out: Path, frame_limit: int) -> list[dict[str, object]]:
    """Writes NAME.npy per clip, (T, 3H/2, W) uint8, planar, even sizes; and index.json."""
    out.mkdir(parents=True, exist_ok=True)
    entries = []
    for path in clips:
        try:
            entry = _cache_clip(path, out, frame_limit)
        except NcodecError as error:
            click.echo(f"left out: {error}", err=True)
            continue
        if entry:
            click.echo(f"{entry['name']}: {entry['frames']} frames", err=True)
            entries.append(entry)
    (out / "index.json").write_text(json.dumps(entries, indent=1))
    return entries


def _cache_clip(path: Path, out: Path, frame_limit: int) -> dict[str, object] | None:
    with VideoReader(path, limit=frame_limit) as reader:
        fmt = reader.format
        expected = reader.frame_count_hint or frame_limit
        bpp = 8 * path.stat().st_size / (fmt.width * fmt.height * max(expected, 1))
        halve = bpp < POOR_SOURCE_BPP or fmt.height >= MANY_ROWS
        scale = 2 if halve else 1
        if min(fmt.width, fmt.height) < scale * SMALLEST_SIDE - 16:
            return None
        frames = [_planar(frame, fmt.bit_depth, halve) for frame in reader]
    np.save(out / f"{path.stem}.npy", np.stack(frames))
    return {"name": path.stem, "frames": len(frames), "bpp": bpp * scale**2}


def _planar(frame: Frame, bit_depth: int, halve: bool) -> np.ndarray:
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
@click.option("--frames", default=200, help="At most so many frames of each clip.")
@click.option("--exclude", multiple=True, metavar="NAME", help="Clip to leave out.")
def main(clips: tuple[Path, ...], out: Path, frames: int, exclude: tuple[str, ...]) -> None:
    """Decode CLIPS (files, or folders of files) into a cache to train from."""
    files = [f for c in clips for f in (sorted(c.rglob("*")) if c.is_dir() else [c])]
    videos = [f for f in files if f.is_file() and f.stem not in exclude and f.suffix != ".tsv"]
    build_cache(videos, out, frames)


if __name__ == "__main__":
    main()
