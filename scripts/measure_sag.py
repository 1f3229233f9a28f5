"""Whether pictures get worse over a long GOP: the first frames of it against the last ones.

    python scripts/measure_sag.py CLIP... [--frames 96] [--qualities 16 32 48] [--crf 20 27 34]

Codes the beginning of each clip as one GOP and compares the PSNR-YUV of frames 2 to 11 with that
of the last ten. A clip may get harder towards its end. So the last ten frames are also coded in a
GOP that begins shortly before them: what they gain by that is what a long GOP costs, the rest is
the clip's doing. x264 without B-frames is measured beside it.
"""

import argparse
import statistics
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch

from neuralcodec.bench.peer_files import decode_file, encode_to_file
from neuralcodec.bench.settings import CodecSetting
from neuralcodec.encoder.encoder import Encoder
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.media import VideoReader
from neuralcodec.metrics import frame_psnr, psnr_yuv
from neuralcodec.model.model_file import DEFAULT_MODEL, InstalledModel, load_model
from neuralcodec.video import Frame, VideoFormat

AGAIN = 21  # last frames, as a GOP of their own
X264 = CodecSetting("x264", "medium", low_delay=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--qualities", type=int, nargs="+", default=[16, 32, 48])
    parser.add_argument("--crf", type=int, nargs="+", default=[34, 27, 20])
    parser.add_argument("--model", default=DEFAULT_MODEL)
    options = parser.parse_args()
    installed = load_model(options.model)
    for clip in options.clips:
        with VideoReader(clip, limit=options.frames) as reader:
            fmt, frames = reader.format, list(reader)
        for quality in options.qualities:
            again = list(ours(installed, fmt, frames[-AGAIN:], quality))
            tell(clip, f"ncodec q {quality}", ours(installed, fmt, frames, quality), again)
        for crf in options.crf:
            tell(clip, f"x264 crf {crf}", theirs(fmt, frames, crf))


def ours(
    installed: InstalledModel, fmt: VideoFormat, frames: list[Frame], quality: int
) -> Iterator[float]:
    settings = EncoderSettings(quality, len(frames), torch.device("cpu"), torch.bfloat16)
    for coded in Encoder(installed, fmt, settings).gops(iter(frames)):
        yield from (psnr_yuv(*planes) for planes in coded.stats.psnr)


def theirs(fmt: VideoFormat, frames: list[Frame], crf: int) -> Iterator[float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x264.mkv"
        encode_to_file(frames, fmt, path, X264, quality=crf, gop=len(frames))
        for frame, shown in zip(frames, decode_file(path, X264, fmt.bit_depth), strict=True):
            psnr = frame_psnr(frame, shown)
            yield psnr_yuv(psnr.y, psnr.u, psnr.v)


def tell(
    clip: Path, codec: str, decibels: Iterable[float], again: Sequence[float] | None = None
) -> None:
    found = list(decibels)
    first, last = statistics.mean(found[1:11]), statistics.mean(found[-10:])
    print(
        f"{clip.stem:14} {codec:14} {len(found):3} frames: {first:.2f} dB at first, "
        f"{last:.2f} dB at last, {last - first:+.2f} dB"
        + (f"; in a new GOP {statistics.mean(again[-10:]):.2f} dB" if again else ""),
        flush=True,
    )


if __name__ == "__main__":
    main()
