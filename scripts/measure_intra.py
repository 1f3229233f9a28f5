"""Intra frames against those of x264, quality by quality: where a mean over all would hide it.

    python scripts/measure_intra.py CLIP... [--model fast] [--qualities 8 20 32 48 63]

The first frame of each clip is coded by itself; x264 (medium, no other frame to look at) codes it
at many crf. Prints PSNR-YUV, bits per pixel, and how many more bits that is than x264 takes for the
same PSNR-YUV, interpolated between crf.
"""

import argparse
import math
import tempfile
from pathlib import Path

import numpy as np
import torch

from neuralcodec.bench.peer_files import decode_file, encode_to_file
from neuralcodec.bench.settings import CodecSetting
from neuralcodec.encoder.encoder import Encoder
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.encoder.structure.gop_structure import INTRA_BONUS
from neuralcodec.media import VideoReader
from neuralcodec.metrics import frame_psnr, psnr_yuv
from neuralcodec.metrics.bd_rate import RatePoint
from neuralcodec.model.model_file import DEFAULT_MODEL, InstalledModel, load_model
from neuralcodec.video import Frame, VideoFormat

X264 = CodecSetting("x264", "medium", low_delay=True)
CRFS = range(8, 48, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--qualities", type=int, nargs="+", default=[8, 20, 32, 48, 63])
    options = parser.parse_args()
    installed = load_model(options.model)
    for clip in options.clips:
        with VideoReader(clip, limit=1) as reader:
            fmt, frames = reader.format, list(reader)
        peer = sorted((theirs(fmt, frames, crf) for crf in CRFS), key=lambda point: point.psnr)
        for quality in options.qualities:
            point = ours(installed, fmt, frames, quality)
            more = point.rate / rate_at(peer, point.psnr) - 1
            print(
                f"{clip.name} q {quality}: {point.psnr:.2f} dB, {point.rate:.4f} bpp, "
                f"{100 * more:+.0f} % of x264",
                flush=True,
            )


def ours(
    installed: InstalledModel, fmt: VideoFormat, frames: list[Frame], quality: int
) -> RatePoint:
    below = quality - INTRA_BONUS  # of the GOP: its intra frame gets more
    settings = EncoderSettings(below, 1, torch.device("cpu"), torch.float32)
    (coded,) = Encoder(installed, fmt, settings).gops(iter(frames))
    size = sum(len(frame.payload) for frame in coded.record.frames)
    ((y, u, v),) = coded.stats.psnr
    return RatePoint(8 * size / fmt.width / fmt.height, psnr_yuv(y, u, v))


def theirs(fmt: VideoFormat, frames: list[Frame], crf: int) -> RatePoint:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x264.mkv"
        size = encode_to_file(frames, fmt, path, X264, quality=crf, gop=1).payload_bytes
        (shown,) = decode_file(path, X264, fmt.bit_depth)
    psnr = frame_psnr(frames[0], shown)
    return RatePoint(8 * size / fmt.width / fmt.height, psnr.yuv)


def rate_at(points: list[RatePoint], psnr: float) -> float:
    logs = [math.log(point.rate) for point in points]
    return math.exp(np.interp(psnr, [point.psnr for point in points], logs))


if __name__ == "__main__":
    main()
