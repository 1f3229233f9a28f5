"""Reads odd media files and compares with FFmpeg: python scripts/fuzz_media.py -o FOLDER CLIPS...

The files are those of `media_samples`: made by FFmpeg's command line out of the clips and of test
pictures, seeded. Asserted of each: VideoReader raises nothing but NcodecError, takes at most 20
seconds and 1 GiB more than before, and gives what FFmpeg's command line gives: as many frames, at
the same times, with the same samples, and as many packets of sound at the same times beside them.
A difference has to be of a kind that `media_differences` knows and explains. With --ffmpeg given
several times, what one of them reads as we do is a difference between versions of FFmpeg.
"""

import argparse
import multiprocessing
import resource
import subprocess
import sys
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from media_differences import Reading, differences, explain
from media_pieces import make_pieces
from media_samples import KINDS, Maker

from neuralcodec.errors import NcodecError
from neuralcodec.media import VideoReader
from neuralcodec.media.planes import planes_of
from neuralcodec.media.sources.source import open_source
from neuralcodec.media.sources.source_options import SourceOptions
from neuralcodec.streams import AUDIO

SECONDS = 20
MEMORY = 1 << 30


def read_ours(path: Path, pipe: Connection) -> None:
    """Tells the index of the video stream that VideoReader chose, -1 if none, and what it gave."""
    _limit_memory()
    options = SourceOptions(deinterlace=False)
    reading = Reading()
    video = -1
    try:
        source = open_source(path, options)
        video = source.streams.video.index
        source.container.close()
        with VideoReader(path, options=options) as reader:
            unit = reader.format.time_base
            units = {s.number: s.time_base for s in reader.streams if s.kind == AUDIO}
            sounds: dict[int, list[float]] = {number: [] for number in units}
            packets = []
            for frame in reader:
                reading.times.append(float(frame.pts * unit))
                data = b"".join(plane.tobytes() for plane in frame.planes)
                reading.pictures.append(zlib.adler32(data, 0))
                packets += reader.take_packets()
            packets += reader.take_packets()
            for packet in packets:
                if packet.stream in sounds:
                    ticks = packet.dts if packet.pts is None else packet.pts
                    _append(sounds[packet.stream], ticks, units[packet.stream])
            reading.sounds = list(sounds.values())
            reading.notices = [*reader.notices, *([reader.truncated] if reader.truncated else [])]
    except NcodecError as error:
        reading.refused = str(error)
    except BaseException as error:
        reading.fault = f"{type(error).__name__}: {error}"
    pipe.send((video, reading))


@dataclass(frozen=True)
class Place:
    """Of a packet in the file; an object, as PyAV tells what it hands through by its address."""

    number: int


def read_plainly(path: Path, video: int, pipe: Connection) -> None:
    """What the libraries that PyAV brings give, without anything of ours."""
    _limit_memory()
    reading = Reading()
    try:
        with av.open(f"file:{path}", metadata_errors="replace") as container:
            sounds: dict[int, list[float]] = {s.index: [] for s in container.streams.audio}
            places: dict[int, list[int]] = {index: [] for index in sounds}
            chosen = container.streams[video] if video >= 0 else container.streams.video[0]
            assert isinstance(chosen, av.VideoStream)
            chosen.thread_type = "AUTO"
            chosen.codec_context.copy_opaque = True
            is_avi = container.format.name == "avi"
            packets = _packets(container, chosen)
            decoded: dict[int, float] = {}  # when, by the packet's place
            for place, packet in enumerate(chain(packets, [None])):
                if packet is not None and packet.stream_index in sounds:
                    ticks = packet.dts if packet.pts is None else packet.pts
                    _append(sounds[packet.stream_index], ticks, packet.time_base)
                    places[packet.stream_index].append(place)
                    continue
                if packet is not None:
                    packet.opaque = Place(place)
                    if packet.dts is not None:
                        decoded[place] = float(packet.dts * packet.time_base)
                        if is_avi:
                            reading.decoding_times.append(decoded[place])
                try:
                    frames = chosen.decode(packet)
                except FFmpegError:
                    continue
                for frame in frames:
                    _append(reading.times, frame.pts, chosen.time_base)
                    reading.untimed += frame.pts is None
                    of_packet = frame.opaque if isinstance(frame.opaque, Place) else Place(place)
                    reading.places.append(of_packet.number)
                    reading.decoded.append(decoded.get(of_packet.number, reading.times[-1]))
                    is_coded_as_is = frame.format.name in ("yuv420p", "yuvj420p")
                    planes = planes_of(frame, 8) if is_coded_as_is else ()
                    data = b"".join(plane.tobytes() for plane in planes)
                    reading.pictures.append(zlib.adler32(data, 0))
            reading.sounds = list(sounds.values())
            reading.sound_places = list(places.values())
    except Exception as error:
        reading.fault = f"{type(error).__name__}: {error}"
        reading.sounds = list(sounds.values()) if "sounds" in locals() else []
    pipe.send((video, reading))


def _packets(container: InputContainer, video: av.VideoStream) -> "Iterator[Packet[Stream]]":
    """Of the pictures and of sound, whatever streams begin in the middle."""
    while True:
        try:
            for packet in container.demux(video, *container.streams.audio):
                if packet.size:
                    yield packet
            return
        except IndexError:  # PyAV's answer to such streams
            continue


def read_by_ffmpeg(program: str, path: Path, video: int, *options: str) -> Reading:
    """What the command line gives, with its discontinuity correction and clock from zero."""
    demuxing = [program, "-nostdin", "-v", "error", "-noautorotate", *options]
    demuxing += ["-i", f"file:{path}"]
    coding = ["-c:v", "rawvideo", "-fps_mode", "passthrough", "-enc_time_base", "-1"]
    pictures = ["-map", f"0:{video if video >= 0 else 'v:0'}", *coding, "-f", "framecrc", "-"]
    # Subtitles too: what is not asked for is left alone, and cannot end the reading by a fault.
    others = ["-map", "0:a?", "-map", "0:s?", "-c:a", "copy", "-c:s", "copy", "-copyinkf"]
    try:
        for wanted in ([*others, "-max_muxing_queue_size", "9999"], []):
            command = [*demuxing, *pictures[:2], *wanted, *pictures[2:]]
            done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
            if done.stdout:  # where the sound is not known it cannot be copied
                break
    except subprocess.TimeoutExpired:
        return Reading(fault=f"took more than {SECONDS} s")
    reading = Reading(notices=done.stderr.decode(errors="replace").splitlines())
    units: dict[int, float] = {}
    sounds: dict[int, list[float]] = {}  # by their number in the output
    for line in done.stdout.decode(errors="replace").splitlines():
        if line.startswith("#tb "):
            number, unit = line[4:].split(": ")
            ticks, second = unit.split("/")
            units[int(number)] = int(ticks) / int(second)
        elif line.startswith("#media_type ") and line.endswith(": audio"):
            sounds[int(line[12:].split(":")[0])] = []
        elif line and not line.startswith("#"):
            number, _, pts, _, _, check = line.split(",")[:6]
            place, time = int(number), int(pts) * units[int(number)]
            if place == 0:
                reading.times.append(time)
                reading.pictures.append(int(check, 16))
            elif place in sounds:
                sounds[place].append(time)
    reading.sounds = list(sounds.values())
    return reading


def _append(times: list[float], ticks: int | None, unit: Fraction | None) -> None:
    """What has no time is where the one before it is."""
    before = times[-1] if times else 0.0
    times.append(before if ticks is None or unit is None else float(ticks * unit))


def _limit_memory() -> None:
    used = next(
        int(line.split()[1]) << 10
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmSize")
    )
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))


def in_a_process(work: "object", *arguments: object) -> tuple[int, Reading]:
    """What the work tells, done in a process of its own, so that it may crash or hang."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    worker = context.Process(target=work, args=(*arguments, theirs))  # type: ignore[arg-type]
    worker.start()
    theirs.close()
    try:
        if ours.poll(SECONDS):
            told: tuple[int, Reading] = ours.recv()
            return told
        return -1, Reading(fault=f"took more than {SECONDS} s")
    except EOFError:
        worker.join()
        return -1, Reading(fault=f"the process ended with {worker.exitcode}")
    finally:
        worker.kill()
        worker.join()


def try_file(path: Path, programs: list[str]) -> dict[str, str | None]:
    """Each difference between our reading and FFmpeg's, with its explanation if it has one."""
    video, ours = in_a_process(read_ours, path)
    if ours.fault:
        return {f"fault: {ours.fault}": None}
    theirs = read_by_ffmpeg(programs[0], path, video)
    found: dict[str, str | None] = {}
    for difference in differences(ours, theirs):
        _, plain = in_a_process(read_plainly, path, video)
        others = other_readings(path, video, programs)
        if "times" not in difference.aspect:  # FFmpeg's command line alone corrects them
            others = chain(others, [("PyAV alone reads as we do", plain)])
        found[difference.sentence] = explain(difference, ours, theirs, plain, others)
    return found


def other_readings(path: Path, video: int, programs: list[str]) -> Iterator[tuple[str, Reading]]:
    """Other readings by FFmpeg, with what it means if they are as ours."""
    for program in programs[1:]:
        yield "another version of FFmpeg reads as we do", read_by_ffmpeg(program, path, video)
    for program in programs:
        reading = read_by_ffmpeg(program, path, video, "-threads", "1")
        yield "with one thread FFmpeg reads as we do", reading


def run(arguments: argparse.Namespace) -> int:
    """Prints what differs and a table; the number of files with something unexplained."""
    programs = arguments.ffmpeg or ["ffmpeg"]
    folder = arguments.output
    pieces = make_pieces(programs[0], folder / "pieces", arguments.clips, arguments.seed)
    maker = Maker(programs[0], folder, pieces, arguments.seed)
    tried: Counter[str] = Counter()
    same: Counter[str] = Counter()
    unexplained: Counter[str] = Counter()
    explained: defaultdict[str, Counter[str]] = defaultdict(Counter)
    started = monotonic()
    for number in range(arguments.first, arguments.first + arguments.files):
        sample = maker.make(number)
        if not sample.path.exists():
            print(f"{number}: FFmpeg did not make {sample.how[-1]}")
            continue
        tried[sample.kind] += 1
        found = try_file(sample.path, programs)
        same[sample.kind] += not found
        for reason in {reason for reason in found.values() if reason}:
            explained[reason][sample.kind] += 1
        wrong = [sentence for sentence, reason in found.items() if reason is None]
        if wrong:
            unexplained[sample.kind] += 1
            print(f"{sample.path}: {'; '.join(wrong)}")
            print("\n".join(f"    {command}" for command in sample.how), flush=True)
        elif not arguments.keep:
            for made in folder.glob(f"{number:04}.*"):
                made.unlink()
    print(f"{'':56}" + "".join(f"{kind:>6}" for kind in [*KINDS, "all"]))
    for name, counts in [("files", tried), ("same as FFmpeg", same), *sorted(explained.items())]:
        print(_row(name, counts))
    print(_row("unexplained", unexplained))
    print(f"{tried.total()} files, {monotonic() - started:.0f} s")
    return unexplained.total()


def _row(name: str, counts: "Counter[str]") -> str:
    cells = [counts[kind] for kind in KINDS]
    return f"{name:56}" + "".join(f"{cell or '':>6}" for cell in [*cells, sum(cells)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="*", type=Path, help="real videos to take pieces of")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the files")
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--ffmpeg",
        action="append",
        help="a program to compare with; the first also makes the files",
    )
    parser.add_argument("--keep", action="store_true", help="keep files that need no look")
    sys.exit(run(parser.parse_args()) > 0)
