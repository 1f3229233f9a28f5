"""How much quality each frame of a GOP should get: BD-rate of several choices over the shipped one.

    python scripts/measure_hierarchy.py CLIP... [--frames 48] [--side 256] [--qualities 8 22 36 50]

Codes the middle of each clip as one GOP at several q, once for each choice, and compares bits and
PSNR-YUV. Negative figures: fewer bits than with `gop_structure.frame_quality` as it stands.
"""

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from neuralcodec.encoder import encoder as encoder_module
from neuralcodec.encoder.encoder import Encoder
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.encoder.gop_structure import frame_quality
from neuralcodec.media import VideoReader
from neuralcodec.metrics import psnr_yuv
from neuralcodec.metrics.bd_rate import RatePoint, bd_rate
from neuralcodec.model.config import QUALITIES
from neuralcodec.model.model_file import DEFAULT_MODEL, InstalledModel, load_model
from neuralcodec.video import Frame, VideoFormat

Choice = Callable[[int], int]  # position in the GOP -> what is added to q


def bonus(*first: int) -> Choice:
    """So much for the first frames, nothing for the others."""
    return lambda position: first[position] if position < len(first) else 0


def boosted(intra: int, every: int, by: int) -> Choice:
    """Every so many frames one that gets more."""
    return lambda position: intra if position == 0 else by * (position % every == 0)


CHOICES: dict[str, Choice] = {
    "intra +8": bonus(8),
    "intra +16": bonus(16),
    "intra +12, then +6 +3 +1": bonus(12, 6, 3, 1),
    "intra +12, every 2nd +2": boosted(12, 2, 2),
    "intra +12, every 4th +4": boosted(12, 4, 4),
    "intra +12, every 8th +6": boosted(12, 8, 6),
}


def middle(clip: Path, frames: int, side: int) -> tuple[VideoFormat, list[Frame]]:
    with VideoReader(clip, limit=frames) as reader:
        fmt, pictures = reader.format, list(reader)
    width, height = min(side, fmt.width), min(side, fmt.height)
    left, top = (fmt.width - width) // 4 * 2, (fmt.height - height) // 4 * 2
    small = VideoFormat(width, height, fmt.time_base, fmt.bit_depth, fmt.frame_rate)

    def cut(plane: np.ndarray, step: int) -> np.ndarray:
        w, h, x, y = (-(-n // step) for n in (width, height, left, top))
        return np.ascontiguousarray(plane[y : y + h, x : x + w])

    return small, [Frame(cut(f.y, 1), cut(f.u, 2), cut(f.v, 2), f.pts) for f in pictures]


def measure(
    installed: InstalledModel, fmt: VideoFormat, frames: list[Frame], q: int, choice: Choice | None
) -> RatePoint:
    def chosen(quality: int, position: int, intra_bonus: int = 0) -> int:
        assert choice is not None
        return min(quality + choice(position), QUALITIES - 1)

    encoder_module.frame_quality = frame_quality if choice is None else chosen  # type: ignore[attr-defined]
    settings = EncoderSettings(q, len(frames), 1, torch.device("cpu"), torch.float32)
    bits, psnr = 0, []
    for coded in Encoder(installed, fmt, settings).gops(iter(frames)):
        bits += sum(8 * len(f.payload) for f in coded.record.frames)
        psnr += [psnr_yuv(*planes) for planes in coded.stats.psnr]
    return RatePoint(bits, statistics.mean(psnr))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--qualities", type=int, nargs="+", default=[8, 22, 36, 50])
    options = parser.parse_args()
    installed = load_model(DEFAULT_MODEL)
    figures: dict[str, list[float]] = {name: [] for name in CHOICES}
    for clip in options.clips:
        fmt, frames = middle(clip, options.frames, options.side)
        shipped = [measure(installed, fmt, frames, q, None) for q in options.qualities]
        for name, choice in CHOICES.items():
            points = [measure(installed, fmt, frames, q, choice) for q in options.qualities]
            try:
                figures[name].append(bd_rate(shipped, points))
                told = f"{figures[name][-1]:+6.2f} %"
            except ValueError as refusal:  # of a noisy clip the PSNR need not rise with the bits
                told = f"none: {refusal}"
            print(f"{clip.stem:24} {name:28} {told}", flush=True)
    for name, each in figures.items():
        told = f"{statistics.mean(each):+6.2f} % of {len(each)}" if each else "none"
        print(f"{'mean':24} {name:28} {told}")


if __name__ == "__main__":
    main()
