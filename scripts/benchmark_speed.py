"""How fast coding is, beside x264 medium on the same frames, cores and run, as machines differ.

    python scripts/benchmark_speed.py CLIP [--frames 96] [--repeats 3] [--quality 32]

Frames come from and go to Y4M files, for both codecs alike. Stages run in threads side by side, so
that their milliseconds a frame add up to more than the whole; waiting is left out.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import neuralcodec
from neuralcodec import own_process
from neuralcodec.bench.clips import write_y4m
from neuralcodec.bench.job import JobReport, JobRequest
from neuralcodec.bench.processes import run_job
from neuralcodec.media import VideoReader
from neuralcodec.video import Frame

STAGES = ("reading", "networks", "entropy coding", "writing")
X264_CRF = 26  # about the PSNR of q 32
GOP = 96


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quality", type=int, default=32)
    parser.add_argument("--preset", default="medium")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(options, Path(folder))


def measure(options: argparse.Namespace, folder: Path) -> None:
    source = folder / "source.y4m"
    own_process.wait_asleep()
    with VideoReader(options.clip) as reader:
        size, bit_depth = f"{reader.format.width}x{reader.format.height}", reader.format.bit_depth
        frames = write_y4m(islice(to_and_fro(list(reader)), options.frames), source)
    print(f"{options.clip.name}, {size}, {frames} frames, {len(os.sched_getaffinity(0))} cores")

    def job(name: str, verb: str, quality: int) -> JobReport:
        coded, shown = folder / f"{name}.coded", folder / "shown.y4m"
        files = (source, coded) if verb == "encode" else (coded, shown)
        for file in (files[1], folder / "report.json"):
            file.unlink(missing_ok=True)
        return run_job(
            JobRequest(
                verb=verb,
                source=str(files[0]),
                target=str(files[1]),
                report=str(folder / "report.json"),
                name=name,
                preset=options.preset if name == "ncodec" else "medium",
                low_delay=False,
                quality=quality,
                gop=GOP,
                bit_depth=bit_depth,
                model="fast",
                device="cpu",
            )
        )

    peer, encodes, decodes = [], [], []
    for _ in range(options.repeats):  # in turns: what else the machine does hits all alike
        peer.append(job("x264", "encode", X264_CRF))
        encodes.append(job("ncodec", "encode", options.quality))
        decodes.append(job("ncodec", "decode", options.quality))
    beside = statistics.median(run.frames / run.seconds for run in peer)
    print(f"{'':22}{'frames/s':>10}{'of x264':>10}{'peak MiB':>10}")
    for label, runs in (("x264 medium, encode", peer), ("encode", encodes), ("decode", decodes)):
        rate = statistics.median(run.frames / run.seconds for run in runs)
        memory = max(run.peak_memory or 0 for run in runs) / 2**20
        print(f"{label:22}{rate:10.1f}{rate / beside:10.3f}{memory:10.0f}")
    print_stages(options, source, folder)


def to_and_fro(frames: list[Frame]) -> Iterator[Frame]:
    """Without end, and without a cut: a short clip will do."""
    there_and_back = frames + frames[-2:0:-1]
    return cycle(there_and_back)


def print_stages(options: argparse.Namespace, source: Path, folder: Path) -> None:
    coded = folder / "stages.nlc"
    encode = neuralcodec.encode(source, coded, quality=options.quality, preset=options.preset)
    decode = neuralcodec.decode(coded, folder / "stages.y4m")
    print(f"{'ms a frame':22}" + "".join(f"{stage:>16}" for stage in STAGES))
    for label, done in (("encode", encode), ("decode", decode)):
        figures = (1000 * done.stage_seconds.get(stage, 0.0) / done.frames for stage in STAGES)
        print(f"{label:22}" + "".join(f"{figure:16.1f}" for figure in figures))


if __name__ == "__main__":
    main()
