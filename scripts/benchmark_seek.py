"""What it costs to fetch one frame out of the middle of a file, against the file's length.

    python scripts/benchmark_seek.py CLIP [--minutes 1 10] [--gop 48]

Codes one GOP of CLIP, writes files of each length that repeat it, and takes one frame in the last
quarter of each: with `decode --start --frames 1`, the first frame of a GOP and its last.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import neuralcodec
from neuralcodec.container import ContainerReader, ContainerWriter, GopRecord, GopStats
from neuralcodec.video import VideoFormat


def repeat_gop(coded: Path, target: Path, minutes: float) -> tuple[VideoFormat, GopRecord]:
    """A file of at least `minutes` that shows the GOP of `coded` again and again."""
    with coded.open("rb") as file:
        reader = ContainerReader(file, str(coded))
        header = reader.header
        record, stats = next(reader.gops())
    assert stats is not None and header.format.frame_rate is not None
    ticks = 1 / (header.format.frame_rate * header.format.time_base)
    length = len(record.frames)
    count = -(-round(60 * minutes * header.format.frame_rate) // length)
    with target.open("wb") as file:
        writer = ContainerWriter(file, header)
        for number in range(count):
            first = number * length
            shift = round(first * ticks)
            frames = tuple(replace(f, pts=f.pts + shift) for f in record.frames)
            writer.write_gop(
                GopRecord(first, record.symbols_crc, frames), GopStats(first, stats.psnr)
            )
        writer.finish()
    return header.format, record


def time_of_fetch(path: Path, folder: Path, second: Fraction, repeats: int) -> float:
    """Median seconds of `decode --start second --frames 1`, without the start of Python."""
    taken = []
    for _ in range(repeats):
        begin = time.perf_counter()
        part = neuralcodec.PartOptions(start=second, frames=1)
        neuralcodec.decode(path, folder / "frame.y4m", part=part, overwrite=True)
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[0.1, 1, 10])
    parser.add_argument("--gop", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        coded = folder / "gop.nlc"
        neuralcodec.encode(options.clip, coded, gop=options.gop, frames=options.gop, scenecut=False)
        print(f"{options.clip.name}, GOPs of {options.gop} frames, median of {options.repeats}")
        print(f"{'minutes':>8} {'MiB':>8} {'first of GOP':>13} {'last of GOP':>12}")
        for minutes in options.minutes:
            long = folder / "long.nlc"
            fmt, record = repeat_gop(coded, long, minutes)
            assert fmt.frame_rate is not None
            seconds = len(record.frames) / fmt.frame_rate  # of one GOP
            first = int(0.75 * 60 * minutes / seconds) * seconds
            last = first + seconds - 1 / fmt.frame_rate
            times = [
                time_of_fetch(long, folder, second, options.repeats) for second in (first, last)
            ]
            print(
                f"{minutes:8.1f} {long.stat().st_size / 2**20:8.2f} "
                f"{1000 * times[0]:10.0f} ms {1000 * times[1]:9.0f} ms"
            )


if __name__ == "__main__":
    main()
