"""Measure how far pictures decoded in bfloat16 drift from those decoded in float32 in one long GOP.

    python scripts/measure_drift.py CLIP... [--frames 300] [--size 240x136] [-q 32]

The clip is coded once, in float32, as one GOP as far as the encoder lets it; a shorter clip is
played forward and backward until there are enough frames. Both decodes see the same symbols: what
differs is rounding, which the recurrence carries from frame to frame.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, cycle, islice
from pathlib import Path

import numpy as np
import torch

from neuralcodec.decoder.decoder import Decoder, DecoderSettings
from neuralcodec.encoder.encoder import Encoder
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.media import SourceOptions, VideoReader
from neuralcodec.metrics import frame_psnr
from neuralcodec.model.model_file import DEFAULT_MODEL, InstalledModel, load_model
from neuralcodec.video import Frame, VideoFormat

SHOWN_AT = (1, 2, 5, 10, 20, 50, 100, 200, 300, 500, 1000)  # frames


@dataclass(frozen=True)
class Drift:
    """Of one frame."""

    psnr: float  # YUV, dB, of bfloat16 to float32
    loss: float  # dB PSNR-YUV to the source, float32 less bfloat16
    largest: int  # difference of a sample, of any plane


def main() -> None:
    options = parse_arguments()
    installed = load_model(DEFAULT_MODEL)
    device = torch.device(options.device)
    width, height = (int(n) for n in options.size.split("x"))
    for clip in options.clips:
        with VideoReader(clip, options=SourceOptions(scale=(width, height), audio=False)) as reader:
            fmt, pictures = reader.format, list(islice(reader, options.frames))
        frames = list(lengthened(pictures, options.frames))
        lengths, drifts = measure(installed, fmt, frames, options.quality, device)
        print(f"{clip.name}: {fmt.width}x{fmt.height}, q {options.quality}, GOPs of {lengths}")
        print(f"{'frame':>6}{'bf16 to fp32':>14}{'lost':>10}{'largest':>9}")
        for number, drift in enumerate(drifts, 1):
            if number in SHOWN_AT or number == len(drifts):
                print(
                    f"{number:6}{drift.psnr:11.2f} dB{drift.loss:7.3f} dB{drift.largest:9}",
                    flush=True,
                )
        print(
            f"all: least {min(d.psnr for d in drifts):.2f} dB, "
            f"mean loss {np.mean([d.loss for d in drifts]):.4f} dB, "
            f"most {max(d.loss for d in drifts):.3f} dB, "
            f"largest difference {max(d.largest for d in drifts)}"
        )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP")
    parser.add_argument("--frames", type=int, default=300, metavar="N")
    parser.add_argument("--size", default="240x136", metavar="WxH", help="[default: 240x136]")
    parser.add_argument("-q", "--quality", type=int, default=32)
    parser.add_argument("--device", default="cpu", help="where bfloat16 is decoded [default: cpu]")
    return parser.parse_args()


def lengthened(frames: list[Frame], count: int) -> Iterator[Frame]:
    there_and_back = chain(frames, frames[-2:0:-1])
    for number, frame in enumerate(islice(cycle(there_and_back), count)):
        yield replace(frame, pts=number)


def measure(
    installed: InstalledModel,
    fmt: VideoFormat,
    frames: list[Frame],
    quality: int,
    device: torch.device,
) -> tuple[list[int], list[Drift]]:
    """How long the GOPs are, and the drift of each frame."""
    cpu = torch.device("cpu")
    settings = EncoderSettings(quality, len(frames), cpu, torch.float32)
    gops = [coded.record for coded in Encoder(installed, fmt, settings).gops(iter(frames))]
    exact, reduced = (
        Decoder(installed, fmt, DecoderSettings(1, where, precision), "drift").frames(gops)
        for where, precision in ((cpu, torch.float32), (device, torch.bfloat16))
    )
    drifts = [
        Drift(
            frame_psnr(one, other).yuv,
            frame_psnr(source, one).yuv - frame_psnr(source, other).yuv,
            max(
                int(np.abs(a.astype(np.int32) - b).max())
                for a, b in zip(one.planes, other.planes, strict=True)
            ),
        )
        for source, one, other in zip(frames, exact, reduced, strict=True)
    ]
    return [len(gop.frames) for gop in gops], drifts


if __name__ == "__main__":
    main()
