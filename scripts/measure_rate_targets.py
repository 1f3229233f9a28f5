"""How near the results of rate control come to what was asked for.

    python scripts/measure_rate_targets.py CLIP... [--frames N] [--modes bitrate size bpp psnr]

Each clip is coded at a constant q first: its bitrate, size and PSNR, and some less and more of
each, are then asked for: from the file (two passes) and from standard input (one pass).
"""

import argparse
import io
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import neuralcodec
from neuralcodec.files.encode_summary import EncodeSummary
from neuralcodec.rate.target import RateKind, RateTarget

SHARES = (0.6, 1.5)  # of the rate at constant q
DB_MORE = (-2.0, 2.0)


@contextmanager
def standard_input_from(clip: Path) -> Iterator[None]:
    """A pipe that holds the clip's pictures, as `-` reads it."""
    copy = "import shutil, sys; shutil.copyfileobj(open(sys.argv[1], 'rb'), sys.stdout.buffer)"
    command = [sys.executable, "-c", copy, str(clip)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        before = sys.stdin
        sys.stdin = io.TextIOWrapper(cast(BinaryIO, process.stdout))
        try:
            yield
        finally:
            sys.stdin = before


def targets(summary: EncodeSummary, kinds: list[RateKind]) -> Iterator[RateTarget]:
    at_constant_q = {
        RateKind.BITRATE: summary.bitrate,
        RateKind.SIZE: float(summary.bytes),
        RateKind.BPP: summary.bpp,
    }
    for kind in kinds:
        if kind is RateKind.PSNR:
            yield from (RateTarget(kind, round(summary.psnr_yuv + more, 1)) for more in DB_MORE)
        else:
            yield from (RateTarget(kind, float(f"{s * at_constant_q[kind]:.3g}")) for s in SHARES)


def measure(clip: Path, target: RateTarget, passes: str, frames: int | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        coded = Path(folder, "clip.nlc")
        if passes == "two":
            done = neuralcodec.encode(clip, coded, rate=target, frames=frames)
        else:
            with standard_input_from(clip):
                done = neuralcodec.encode("-", coded, rate=target, frames=frames)
        with neuralcodec.open(coded) as video:
            assert len(video) == done.frames
    assert done.rate is not None
    achieved = done.rate.achieved
    if target.kind is RateKind.PSNR:
        difference = f"{achieved - target.value:+.3f} dB"
    else:
        difference = f"{100 * (achieved / target.value - 1):+.2f} %"
    print(
        f"| {clip.stem} | {target.kind.value} | {passes} | {target.text(target.value)} | "
        f"{target.text(achieved)} | {difference} | {done.psnr_yuv:.2f} dB |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--frames", type=int)
    kinds = [kind.value for kind in RateKind]
    parser.add_argument("--modes", nargs="+", choices=kinds, default=kinds)
    options = parser.parse_args()
    print("| clip | target | passes | asked | got | difference | PSNR-YUV |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: |")
    for clip in options.clips:
        with tempfile.TemporaryDirectory() as folder:
            plain = neuralcodec.encode(clip, Path(folder, "clip.nlc"), frames=options.frames)
        for target in targets(plain, [RateKind(mode) for mode in options.modes]):
            measure(clip, target, "two", options.frames)
            if target.kind is not RateKind.SIZE:
                measure(clip, target, "one", options.frames)


if __name__ == "__main__":
    main()
