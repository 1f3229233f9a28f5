"""Measure whether memory grows with the length of a video.

Codes and decodes a moving synthetic video of two lengths, through pipes as a live source would
come, each in a process of its own, and compares their peaks of resident memory.
Exits with 1 if the longer video takes more than 10 % above or below the shorter one.

    python scripts/measure_memory.py --frames 400 2000
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO

import numpy as np

LIMIT = 0.10
NCODEC = [sys.executable, "-P", "-c", "from neuralcodec.cli import main; main()"]
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes in a unit of ru_maxrss
MEBIBYTE = 2**20


def main() -> int:
    arguments = parse_arguments()
    width, height = (int(n) for n in arguments.size.split("x"))
    options = [f"--gop={arguments.gop}"]
    peaks: dict[str, list[float]] = {"encode": [], "decode": []}
    with tempfile.TemporaryDirectory() as folder:
        for frames in arguments.frames:
            coded = Path(folder, f"{frames}.nlc")
            with coded.open("wb") as file:
                peaks["encode"].append(peak_of_encode(width, height, frames, options, file))
            peaks["decode"].append(peak_of_decode(coded, arguments.batch))
            coded.unlink()
    first, second = arguments.frames
    print(f"peak memory in MiB, {arguments.size}, GOPs of {arguments.gop}")
    print(f"{'':8}{first:>8} frames{second:>8} frames  change")
    worst = 0.0
    for verb, (short, long) in peaks.items():
        change = long / short - 1
        worst = max(worst, abs(change))
        print(f"{verb:8}{short:15.1f}{long:15.1f}{change:+8.1%}")
    if worst > LIMIT:
        print(f"memory differs by more than {LIMIT:.0%}")
    return int(worst > LIMIT)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, nargs=2, default=[400, 2000], metavar="N")
    parser.add_argument("--size", default="854x480", metavar="WxH", help="[default: 854x480]")
    parser.add_argument("--gop", type=int, default=96, metavar="FRAMES", help="[default: 96]")
    parser.add_argument("--batch", type=int, default=1, metavar="GOPS", help="[default: 1]")
    return parser.parse_args()


def peak_of_encode(
    width: int, height: int, frames: int, options: list[str], coded: IO[bytes]
) -> float:
    """Peak resident memory in MiB of an encoder whose source is a pipe."""
    encoder = subprocess.Popen(
        [*NCODEC, "encode", "-", "-", "--quiet", *options], stdin=subprocess.PIPE, stdout=coded
    )
    assert encoder.stdin
    feeder = threading.Thread(target=feed, args=(encoder.stdin, width, height, frames))
    feeder.start()
    peak = wait_for_peak(encoder)
    feeder.join()
    return peak


def peak_of_decode(coded: Path, batch: int) -> float:
    """Peak resident memory in MiB of a decoder between two pipes."""
    with coded.open("rb") as file:
        decoder = subprocess.Popen(
            [*NCODEC, "decode", "-", "-", "--quiet", f"--batch={batch}"],
            stdin=file,
            stdout=subprocess.PIPE,
        )
    assert decoder.stdout
    while decoder.stdout.read(MEBIBYTE):
        pass
    decoder.stdout.close()
    return wait_for_peak(decoder)


def wait_for_peak(process: subprocess.Popen[bytes]) -> float:
    # `wait4` tells of this one child; RUSAGE_CHILDREN is the highest of all so far.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"ncodec failed with exit code {process.returncode}")
    return usage.ru_maxrss * RSS_UNIT / MEBIBYTE


def feed(pipe: IO[bytes], width: int, height: int, frames: int) -> None:
    """Writes a Y4M of textures that move at different speeds, a frame at a time."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 40, (height, 2 * width))
    rows, columns = np.mgrid[:height, : 2 * width]
    waves = 70 * np.sin(columns / 23) + 50 * np.cos((rows + columns) / 31) + 108
    texture = np.clip(waves + noise, 0, 255).astype(np.uint8)
    chroma = np.ascontiguousarray(texture[::2, ::2])
    half = (width + 1) // 2
    try:
        with pipe:
            header = f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C420jpeg\n"
            pipe.write(header.encode())
            for number in range(frames):
                at = 3 * number % width
                luma = texture[:, at : at + width].copy()
                luma[: height // 2] = np.roll(luma[: height // 2], number, axis=0)
                plane = chroma[:, at // 2 : at // 2 + half].tobytes()
                pipe.write(b"FRAME\n" + luma.tobytes() + plane + plane)
    except BrokenPipeError:
        pass  # the encoder has failed and said why


if __name__ == "__main__":
    sys.exit(main())
