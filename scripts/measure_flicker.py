"""Whether what stands still in the source flickers once it is coded.

    python scripts/measure_flicker.py CLIP... [--frames 48] [--qualities 8 24 40] [--crf 36 30 24]

Luma samples that change by at most 2 levels of 255 from a frame to the next are taken to stand
still. Prints, over these, the root mean square of how much more the coded frames change than the
source does, in levels: the mean over all pairs of frames, and the largest of a pair; and the PSNR
of luma. One GOP; x264 is measured beside it, at medium with its B-frames.
"""

import argparse
import math
import statistics
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from neuralcodec.bench.peer_files import decode_file, encode_to_file
from neuralcodec.bench.settings import CodecSetting
from neuralcodec.encoder.frame_encoder import FrameEncoder, FrameTask
from neuralcodec.encoder.structure.gop_structure import INTRA_BONUS, frame_quality
from neuralcodec.media import VideoReader
from neuralcodec.metrics import frame_psnr
from neuralcodec.model.model_file import DEFAULT_MODEL, load_model
from neuralcodec.model.recurrence import Recurrence
from neuralcodec.references import chain
from neuralcodec.video import Frame, VideoFormat

X264 = CodecSetting("x264", "medium")
STILL = 2  # levels of 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--qualities", type=int, nargs="+", default=[8, 24, 40])
    parser.add_argument("--crf", type=int, nargs="+", default=[36, 30, 24])
    options = parser.parse_args()
    for clip in options.clips:
        with VideoReader(clip, limit=options.frames) as reader:
            fmt, frames = reader.format, list(reader)
        for quality in options.qualities:
            tell(
                clip, f"ncodec q {quality}", frames, ours(options.model, fmt, frames, quality), fmt
            )
        for crf in options.crf:
            tell(clip, f"x264 crf {crf}", frames, theirs(fmt, frames, crf), fmt)


def ours(name: str, fmt: VideoFormat, frames: list[Frame], quality: int) -> Iterator[Frame]:
    model = load_model(name).model
    encoder = FrameEncoder(model, fmt, torch.device("cpu"), torch.float32)
    before: Recurrence | None = None
    for position, frame in enumerate(frames):
        task = FrameTask(
            frame=frame,
            q=frame_quality(quality, 0 if position else INTRA_BONUS),
            place=chain(position),
            references=None if before is None else (before, before),
        )
        [coded] = encoder.encode([task])
        before = coded.recurrence
        yield coded.shown


def theirs(fmt: VideoFormat, frames: list[Frame], crf: int) -> Iterator[Frame]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x264.mkv"
        encode_to_file(frames, fmt, path, X264, quality=crf, gop=len(frames))
        yield from decode_file(path, X264, fmt.bit_depth)


def flicker(sources: tuple[Frame, Frame], shown: tuple[Frame, Frame], levels: float) -> float:
    """levels: of one of 255."""
    before, now = (frame.y.astype(np.float64) / levels for frame in sources)
    moved = now - before
    still = np.abs(moved) <= STILL
    before, now = (frame.y.astype(np.float64) / levels for frame in shown)
    change = (now - before - moved)[still]
    return math.sqrt(np.square(change).mean()) if change.size else 0.0


def tell(
    clip: Path, codec: str, frames: list[Frame], coded: Iterator[Frame], fmt: VideoFormat
) -> None:
    shown = list(coded)
    levels = (2**fmt.bit_depth - 1) / 255
    pairs = zip(pairwise(frames), pairwise(shown), strict=True)
    found = [flicker(sources, decoded, levels) for sources, decoded in pairs]
    luma = statistics.mean(frame_psnr(*both).y for both in zip(frames, shown, strict=True))
    print(
        f"{clip.stem:14} {codec:14} {luma:.2f} dB luma: {statistics.mean(found):.2f} levels, "
        f"at most {max(found):.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
