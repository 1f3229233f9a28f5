"""What the presets save and cost: all of them in one run, on the middle of each clip.

    python scripts/measure_presets.py CLIP... [--size 256] [--frames 24] [--out presets.json]

Bits are those of the frames' payloads, PSNR-YUV (6:1:1) that of what a decoder shows. Time is the
processor's, of all threads: it does not depend on what else the machine does.
"""

import argparse
import json
import math
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from neuralcodec.codec.device import DEFAULT_PRECISION
from neuralcodec.encoder.encoder import Encoder
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.encoder.presets import BFRAMES, DEFAULT_PRESET, PRESETS
from neuralcodec.encoder.structure.mini_gops import Structure, largest_size
from neuralcodec.media import VideoReader
from neuralcodec.metrics import bd_rate
from neuralcodec.metrics.bd_rate import RatePoint
from neuralcodec.model.model_file import DEFAULT_MODEL, InstalledModel, load_model
from neuralcodec.video import Frame, VideoFormat


@dataclass(frozen=True)
class Measurement:
    """One clip at one quality with one preset; seconds per frame."""

    clip: str
    preset: str
    quality: int
    bpp: float
    psnr_yuv: float
    cpu_seconds: float
    wall_seconds: float


def read_middle(path: Path, size: int, count: int) -> tuple[VideoFormat, list[Frame]]:
    """At most `size` samples square, so many frames."""
    with VideoReader(path, limit=count) as reader:
        fmt, frames = reader.format, list(reader)
    width, height = min(size, fmt.width // 2 * 2), min(size, fmt.height // 2 * 2)
    left, top = (fmt.width - width) // 4 * 2, (fmt.height - height) // 4 * 2

    def cut(plane: np.ndarray, scale: int) -> np.ndarray:
        rows = slice(top // scale, (top + height) // scale)
        return np.ascontiguousarray(plane[rows, left // scale : (left + width) // scale])

    small = VideoFormat(width, height, fmt.time_base, fmt.bit_depth, fmt.frame_rate)
    return small, [Frame(cut(f.y, 1), cut(f.u, 2), cut(f.v, 2), f.pts) for f in frames]


def measure(
    installed: InstalledModel, clip: str, fmt: VideoFormat, frames: list[Frame], q: int, preset: str
) -> Measurement:
    """The whole clip as one GOP."""
    device = torch.device("cpu")
    structure = Structure(largest_size(BFRAMES[preset] + 1))
    settings = EncoderSettings(
        q, len(frames), device, DEFAULT_PRECISION, effort=PRESETS[preset], structure=structure
    )
    cpu, wall = time.process_time(), time.perf_counter()
    gops = list(Encoder(installed, fmt, settings).gops(iter(frames)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    size = sum(len(f.payload) for gop in gops for f in gop.record.frames)
    psnr = [(6 * y + u + v) / 8 for gop in gops for y, u, v in gop.stats.psnr]
    bpp = 8 * size / (fmt.width * fmt.height * len(frames))
    return Measurement(
        clip, preset, q, bpp, statistics.mean(psnr), cpu / len(frames), wall / len(frames)
    )


def compare(found: list[Measurement], clip: str, preset: str) -> float:
    """BD-rate over the default preset in percent; NaN where the curves cannot be compared."""

    def curve(name: str) -> list[RatePoint]:
        return [RatePoint(m.bpp, m.psnr_yuv) for m in found if (m.clip, m.preset) == (clip, name)]

    try:
        return bd_rate(curve(DEFAULT_PRESET), curve(preset))
    except ValueError:
        return math.nan


def time_factor(found: list[Measurement], preset: str, unit: str) -> float:
    def total(name: str) -> float:
        return sum(float(getattr(m, unit)) for m in found if m.preset == name)

    return total(preset) / total(DEFAULT_PRESET)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--qualities", type=int, nargs="+", default=[8, 24, 40, 56])
    parser.add_argument("--presets", nargs="+", default=list(PRESETS), choices=list(PRESETS))
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--out", type=Path, help="all measurements, as JSON")
    options = parser.parse_args()
    installed = load_model(options.model)
    presets = [DEFAULT_PRESET, *(p for p in options.presets if p != DEFAULT_PRESET)]
    found: list[Measurement] = []
    for path in options.clips:
        fmt, frames = read_middle(path, options.size, options.frames)
        for q in options.qualities:
            for preset in presets:
                done = measure(installed, path.stem, fmt, frames, q, preset)
                found.append(done)
                print(
                    f"{done.clip} {preset:8} q {q:2}: {done.bpp:.4f} bpp {done.psnr_yuv:.2f} dB "
                    f"{1000 * done.cpu_seconds:.0f} ms",
                    flush=True,
                )
    names = [path.stem for path in options.clips]
    print(f"\n| preset | {' | '.join(names)} | mean BD-rate | CPU time | wall time |")
    print("| --- |" + " ---: |" * (len(names) + 3))
    for preset in presets:
        gains = [compare(found, name, preset) for name in names]
        cells = [f"{g:+.1f} %" for g in (*gains, statistics.mean(gains))]
        factors = [time_factor(found, preset, u) for u in ("cpu_seconds", "wall_seconds")]
        print(
            f"| {preset} | {' | '.join(cells)} | " + " | ".join(f"{f:.2f}x" for f in factors) + " |"
        )
    if options.out:
        options.out.write_text(json.dumps([asdict(m) for m in found], indent=1) + "\n")


if __name__ == "__main__":
    main()
