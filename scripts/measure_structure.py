"""What mini-GOPs of each size are worth: BD-rate over P frames, of each size and of the choice.

    python scripts/measure_structure.py CLIP... [--frames 49] [--side 256] [--qualities 8 22 36 50]

Codes the middle of each clip as one GOP at several q: in mini-GOPs of 1, 2, 4, 8 and 16 frames, in
those that the look-ahead chooses, and with low delay. Negative figures: fewer bits than P frames at
equal PSNR-YUV. The last column is what the choice loses against the best size of the clip. Then,
for each size, what the look-ahead thinks that it costs against P frames, in percent.
"""

import argparse
import statistics
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from neuralcodec.encoder.encoder import Encoder
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.encoder.presets import PRESETS
from neuralcodec.encoder.structure.mini_gops import LARGEST, LOW_DELAY, SIZES, Structure
from neuralcodec.encoder.structure.structure_choice import StructureChoice, estimated_cost
from neuralcodec.media import VideoReader
from neuralcodec.metrics.bd_rate import RatePoint, bd_rate
from neuralcodec.model.model_file import DEFAULT_MODEL, InstalledModel, load_model
from neuralcodec.video import Frame, VideoFormat

STRUCTURES = {str(size): Structure(size, is_fixed=True) for size in SIZES}
STRUCTURES |= {"choice": Structure(LARGEST), "low delay": LOW_DELAY}


@dataclass(frozen=True)
class Clip:
    name: str
    fmt: VideoFormat
    frames: list[Frame]


def middle(path: Path, frames: int, side: int) -> Clip:
    with VideoReader(path, limit=frames) as reader:
        fmt, pictures = reader.format, list(reader)
    width, height = min(side, fmt.width), min(side, fmt.height)
    left, top = (fmt.width - width) // 4 * 2, (fmt.height - height) // 4 * 2
    small = VideoFormat(width, height, fmt.time_base, fmt.bit_depth, fmt.frame_rate)

    def cut(plane: np.ndarray, step: int) -> np.ndarray:
        w, h, x, y = (-(-n // step) for n in (width, height, left, top))
        return np.ascontiguousarray(plane[y : y + h, x : x + w])

    cropped = [Frame(cut(f.y, 1), cut(f.u, 2), cut(f.v, 2), f.pts) for f in pictures]
    return Clip(path.stem, small, cropped)


def measure(
    installed: InstalledModel, clip: Clip, q: int, structure: Structure, preset: str
) -> RatePoint:
    cpu = torch.device("cpu")
    settings = EncoderSettings(
        q, len(clip.frames), cpu, torch.float32, effort=PRESETS[preset], structure=structure
    )
    results = Encoder(installed, clip.fmt, settings).results(iter(clip.frames))
    return RatePoint(sum(r.bits for r in results), statistics.mean(r.psnr for r in results))


def chosen_sizes(clip: Clip) -> list[int]:
    choice = StructureChoice(STRUCTURES["choice"])
    choice.begin(clip.frames[0])
    rest = clip.frames[1:]
    return [n for i in range(0, len(rest), LARGEST) for n in choice.sizes(rest[i : i + LARGEST])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--qualities", type=int, nargs="+", default=[8, 22, 36, 50])
    parser.add_argument("--preset", default="medium")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    options = parser.parse_args()
    installed = load_model(options.model)
    names = [name for name in STRUCTURES if name != "1"]
    print(f"{'':16}" + "".join(f"{name:>10}" for name in names) + f"{'loss':>10}", flush=True)
    rows = []
    for path in options.clips:
        clip = middle(path, options.frames, options.side)
        points = {
            name: [
                measure(installed, clip, q, structure, options.preset) for q in options.qualities
            ]
            for name, structure in STRUCTURES.items()
        }
        try:
            saved = [bd_rate(points["1"], points[name]) for name in names]
        except ValueError as error:  # where nothing moves, PSNR may not rise with the bits
            print(f"{clip.name}: {error}", flush=True)
            continue
        fixed = [bd for name, bd in zip(names, saved, strict=True) if name.isdigit()]
        chosen = saved[names.index("choice")]
        rows.append([*saved, 100 * ((100 + chosen) / (100 + min(0.0, *fixed)) - 1)])
        print(f"{clip.name:16}" + "".join(f"{figure:+10.1f}" for figure in rows[-1]))
        costs = [estimated_cost(clip.frames, size) for size in SIZES]
        seen = "".join(f"{100 * cost / costs[0] - 100:+10.1f}" for cost in costs[1:])
        print(f"{'   as it seems':16}{seen}   {chosen_sizes(clip)}", flush=True)
    means = (statistics.mean(column) for column in zip(*rows, strict=True))
    print(f"{'mean':16}" + "".join(f"{mean:+10.1f}" for mean in means))


if __name__ == "__main__":
    main()
