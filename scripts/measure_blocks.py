"""How far the edges of 8x8 blocks can be seen in decoded luma.

    python scripts/measure_blocks.py CLIP... [--frames 12] [--qualities 0 8 21] [--crf 40 36 30]

At the edges of the grid, and halfway between them: by how much the step from one sample to the next
exceeds the mean of the steps beside it, in levels of 255, the mean of its magnitude over rows and
columns of the last frame. Their ratio is 1 where no grid can be seen. The source's is printed too,
since many clips have been coded before; x264 is measured beside it, at medium with its B-frames.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from measure_flicker import ours, theirs

from neuralcodec.media import VideoReader
from neuralcodec.metrics import frame_psnr
from neuralcodec.model.model_file import DEFAULT_MODEL
from neuralcodec.video import Frame

SIDE = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--qualities", type=int, nargs="+", default=[0, 8, 21])
    parser.add_argument("--crf", type=int, nargs="+", default=[40, 36, 30])
    options = parser.parse_args()
    for clip in options.clips:
        with VideoReader(clip, limit=options.frames) as reader:
            fmt, frames = reader.format, list(reader)
        levels = (2**fmt.bit_depth - 1) / 255
        print(f"{clip.stem}: source {described(frames[-1], levels)}", flush=True)
        for quality in options.qualities:
            tell(
                f"ncodec q {quality}", ours(options.model, fmt, frames, quality), frames[-1], levels
            )
        for crf in options.crf:
            tell(f"x264 crf {crf}", theirs(fmt, frames, crf), frames[-1], levels)


def tell(codec: str, coded: Iterable[Frame], source: Frame, levels: float) -> None:
    shown = list(coded)[-1]
    luma = frame_psnr(source, shown).y
    print(f"  {codec:14} {luma:.2f} dB luma: {described(shown, levels)}", flush=True)


def described(frame: Frame, levels: float) -> str:
    luma = frame.y.astype(np.float64) / levels
    at_edges, between = excess(luma, 0), excess(luma, SIDE // 2)
    return f"{at_edges:.2f} levels at edges, {between:.2f} between, ratio {at_edges / between:.2f}"


def excess(luma: np.ndarray, offset: int) -> float:
    """offset: from the edges of the grid, in samples."""
    found = []
    for plane in (luma, luma.T):
        steps = np.diff(plane, axis=1)
        at = np.arange(SIDE + offset - 1, steps.shape[1] - 1, SIDE)
        found.append(np.abs(steps[:, at] - (steps[:, at - 1] + steps[:, at + 1]) / 2).ravel())
    return float(np.concatenate(found).mean())


if __name__ == "__main__":
    main()
