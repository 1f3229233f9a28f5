"""How fast coding is, and where the time goes: float32 against bfloat16 in one run.

    python scripts/benchmark_speed.py CLIP [--frames 48] [--repeats 3]

Stages run in threads side by side, so that their seconds add up to more than the whole. A stage's
seconds are those of its own work, waiting left out; the slowest stage sets the pace, unless the
sum of all exceeds the cores there are.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import torch

import neuralcodec

STAGES = ("reading", "networks", "entropy coding", "writing")


def measure(clip: Path, frames: int, repeats: int, precision: str, quality: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        coded = Path(folder, "clip.nlc")
        encodes = [
            neuralcodec.encode(
                clip, coded, frames=frames, quality=quality, precision=precision, overwrite=True
            )
            for _ in range(repeats)
        ]
        decodes = [
            neuralcodec.decode(coded, Path(folder, "clip.y4m"), precision=precision, overwrite=True)
            for _ in range(repeats)
        ]
    for verb, runs in (("encode", encodes), ("decode", decodes)):
        figures = [
            statistics.median(1000 * run.stage_seconds.get(stage, 0.0) / run.frames for run in runs)
            for stage in STAGES
        ]
        rates = [run.fps for run in runs]
        print(
            f"{verb} {precision:9}"
            + "".join(f"{figure:16.1f}" for figure in figures)
            + f"{statistics.median(rates):10.1f} ({min(rates):.1f}..{max(rates):.1f})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quality", type=int, default=32)
    options = parser.parse_args()
    print(f"{options.clip.name}, {options.frames} frames, {torch.get_num_threads()} threads")
    print(f"{'':16}" + "".join(f"{stage:>16}" for stage in STAGES) + f"{'fps':>10}  (ms a frame)")
    for precision in ("bfloat16", "float32"):
        measure(options.clip, options.frames, options.repeats, precision, options.quality)


if __name__ == "__main__":
    main()
