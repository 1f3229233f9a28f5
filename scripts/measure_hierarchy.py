"""How much quality each level of a mini-GOP should get: BD-rate of other offsets of q.

    python scripts/measure_hierarchy.py CLIP... [--size 8] [--frames 49] [--side 256]
        [--qualities 8 22 36 50] [--try 5,1,-2,-4 --try 3,1,-1,-3]

Codes the middle of each clip as one GOP at several q in mini-GOPs of one size, once for each
choice, and compares bits and PSNR-YUV. Negative figures: fewer bits than with
`gop_structure.OFFSETS`.
"""

import argparse
import statistics
from pathlib import Path

from measure_structure import measure, middle

from neuralcodec.encoder.structure.gop_structure import OFFSETS
from neuralcodec.encoder.structure.mini_gops import Structure
from neuralcodec.metrics.bd_rate import bd_rate
from neuralcodec.model.model_file import DEFAULT_MODEL, load_model

Offsets = tuple[int, ...]


def neighbours(shipped: Offsets) -> list[Offsets]:
    """Each level one more or one less, and all further apart or nearer."""
    steps = [
        (*(shipped[:level]), shipped[level] + step, *(shipped[level + 1 :]))
        for level in range(len(shipped))
        for step in (-1, 1)
    ]
    return [*steps, *(tuple(round(scale * n) for n in shipped) for scale in (0.5, 1.5))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--size", type=int, default=8)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--qualities", type=int, nargs="+", default=[8, 22, 36, 50])
    parser.add_argument("--preset", default="medium")
    parser.add_argument("--try", dest="tried", action="append", metavar="OFFSETS")
    options = parser.parse_args()
    installed = load_model(DEFAULT_MODEL)
    structure, shipped = Structure(options.size, is_fixed=True), OFFSETS[options.size]
    tried = [tuple(map(int, text.split(","))) for text in options.tried or ()]
    choices = tried or neighbours(shipped)
    figures: dict[Offsets, list[float]] = {choice: [] for choice in choices}
    for path in options.clips:
        clip = middle(path, options.frames, options.side)
        points = {}
        for choice in (shipped, *choices):
            OFFSETS[options.size] = choice
            points[choice] = [
                measure(installed, clip, q, structure, options.preset) for q in options.qualities
            ]
        for choice in choices:
            try:
                figures[choice].append(bd_rate(points[shipped], points[choice]))
                told = f"{figures[choice][-1]:+6.2f} %"
            except ValueError as refusal:  # of a noisy clip the PSNR need not rise with the bits
                told = f"none: {refusal}"
            print(f"{clip.name:24} {choice!s:28} {told}", flush=True)
    for choice, each in figures.items():
        told = f"{statistics.mean(each):+6.2f} % of {len(each)}" if each else "none"
        print(f"{'mean':24} {choice!s:28} {told}")


if __name__ == "__main__":
    main()
