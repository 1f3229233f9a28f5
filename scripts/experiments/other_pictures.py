"""Experiment 5: pictures unlike the training clips, made out of clips: noise, darkness, a screen.

    python scripts/experiments/other_pictures.py CLIP OUT_FOLDER
    ncodec bench OUT_FOLDER/*.y4m ANIMATION --codecs ncodec,x264,x265 --points 4 --metrics psnr \\
        --repeats 1 --frames 24 --markdown results/experiments/other-pictures.md --plot curves.png

Writes the clip as it is, with noise (σ = 8), darkened to a quarter of its contrast, and a page of
text that is scrolled.
"""

import argparse
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from neuralcodec.bench.clips import write_y4m
from neuralcodec.media import VideoReader
from neuralcodec.video import Frame, VideoFormat

FRAMES = 48
BLACK = 16  # of limited range
NOISE = 8.0  # standard deviation, samples
SCROLL = 3  # rows a frame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with VideoReader(arguments.clip, limit=FRAMES) as reader:
        fmt, frames = reader.format, list(reader)
    random = np.random.default_rng(0)

    def noisy(plane: np.ndarray, is_luma: bool) -> np.ndarray:
        return plane + NOISE * random.standard_normal(plane.shape)

    def dark(plane: np.ndarray, is_luma: bool) -> np.ndarray:
        black = BLACK if is_luma else 128
        return (plane.astype(float) - black) / 4 + black

    write_y4m(frames, arguments.out / "plain.y4m", fmt)
    write_y4m(_changed(frames, noisy), arguments.out / "noise.y4m", fmt)
    write_y4m(_changed(frames, dark), arguments.out / "dark.y4m", fmt)
    screen = list(_screen(fmt))
    plain = VideoFormat(fmt.width, fmt.height, Fraction(1, 30), 8, Fraction(30))
    write_y4m(screen, arguments.out / "screen.y4m", plain)


def _changed(
    frames: list[Frame], change: Callable[[np.ndarray, bool], np.ndarray]
) -> Iterator[Frame]:
    def samples(plane: np.ndarray, is_luma: bool) -> np.ndarray:
        return np.clip(np.round(change(plane, is_luma)), 0, 255).astype(np.uint8)

    for frame in frames:
        yield replace(
            frame, y=samples(frame.y, True), u=samples(frame.u, False), v=samples(frame.v, False)
        )


def _screen(fmt: VideoFormat) -> Iterator[Frame]:
    """This file's own text, coloured line by line, scrolled."""
    height = fmt.height + SCROLL * FRAMES
    lines = Path(__file__).read_text().splitlines()
    figure = plt.figure(figsize=(fmt.width / 100, height / 100), dpi=100)
    for number, line in enumerate(lines):
        colour = "darkgreen" if '"' in line else "navy" if "def " in line else "black"
        place = 1 - (number + 1) * 14 / height
        figure.text(0.01, place, line, family="monospace", fontsize=8, color=colour)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="rgba", dpi=100)
    plt.close(figure)
    rgba = np.frombuffer(buffer.getvalue(), np.uint8).reshape(-1, fmt.width, 4)
    y, u, v = _limited_bt709(rgba[..., :3] / 255)
    for number in range(FRAMES):
        rows = slice(number * SCROLL, number * SCROLL + fmt.height)
        chroma = [
            p[rows].reshape(fmt.height // 2, 2, fmt.width // 2, 2).mean((1, 3)) for p in (u, v)
        ]
        planes = [np.round(plane).astype(np.uint8) for plane in (y[rows], *chroma)]
        yield Frame(planes[0], planes[1], planes[2], number)


def _limited_bt709(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """RGB (H, W, 3) in [0, 1] -> Y, U, V of full size (ITU-R BT.709, limited range)."""
    luma = rgb @ np.array([0.2126, 0.7152, 0.0722])
    u, v = (rgb[..., 2] - luma) / 1.8556, (rgb[..., 0] - luma) / 1.5748
    return 16 + 219 * luma, 128 + 224 * u, 128 + 224 * v


if __name__ == "__main__":
    main()
