"""Decodes thousands of damaged .nlc files: python scripts/mutate_files.py --files 10000

Each is a small whole file with one to four mutations, seeded by its number. Asserted of every one:
the decoder raises nothing but NcodecError, takes at most 10 seconds and less than 1 GiB, and, where
the header or a copy of it is whole and no field was forged, gives every frame of every GOP whose
chunk is whole, bit for bit and at its time. A worker process decodes; a crash or a hang is put down
to the file it was at.
"""

import argparse
import io
import multiprocessing
import random
import struct
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic

import numpy as np
import torch
from damage_samples import Chunk, Sample, load_tiny_model, make_samples

from neuralcodec.container import ContainerReader, GopRecord
from neuralcodec.decoder.decoder import Decoder, DecoderSettings
from neuralcodec.decoder.picture_limit import check_picture_size
from neuralcodec.errors import NcodecError
from neuralcodec.files import decode as decode_file
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.video import Frame

SECONDS = 10
MEMORY = 1 << 30
WHOLE_DECODES = 10  # every so many goes through `decode` into a Matroska file as well
HEADER_END_CHUNK = b"HEAD"
HEADER_COPY = b"head"
Mutation = Callable[[random.Random, bytearray, Sample], None]


def flip_bits(rng: random.Random, data: bytearray, sample: Sample) -> None:
    for _ in range(rng.choice((1, 1, 1, 3, 20))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def replace_run(rng: random.Random, data: bytearray, sample: Sample) -> None:
    start = rng.randrange(len(data))
    count = min(rng.choice((1, 4, 16, 200)), len(data) - start)
    data[start : start + count] = rng.randbytes(count)


def zero_run(rng: random.Random, data: bytearray, sample: Sample) -> None:
    start = rng.randrange(len(data))
    count = min(rng.choice((1, 8, 64, 500)), len(data) - start)
    data[start : start + count] = bytes(count)


def cut_end(rng: random.Random, data: bytearray, sample: Sample) -> None:
    del data[rng.randrange(12, len(data)) :]


def cut_out(rng: random.Random, data: bytearray, sample: Sample) -> None:
    start = rng.randrange(len(data))
    del data[start : start + rng.choice((1, 4, 50, 300))]


def insert_bytes(rng: random.Random, data: bytearray, sample: Sample) -> None:
    at = rng.randrange(len(data))
    data[at:at] = rng.randbytes(rng.choice((1, 3, 40, 400)))


def swap_chunks(rng: random.Random, data: bytearray, sample: Sample) -> None:
    if bytes(data) != sample.data:
        return flip_bits(rng, data, sample)
    a, b = sorted(rng.sample(sample.chunks[1:], 2), key=lambda c: c.start)
    whole = sample.data
    data[:] = (
        whole[: a.start]
        + whole[b.start : b.end]
        + whole[a.end : b.start]
        + whole[a.start : a.end]
        + whole[b.end :]
    )
    return None


def repeat_chunk(rng: random.Random, data: bytearray, sample: Sample) -> None:
    chunk = rng.choice(sample.chunks)
    at = rng.choice(sample.chunks).end if bytes(data) == sample.data else rng.randrange(len(data))
    data[at:at] = sample.data[chunk.start : chunk.end]


def forge_field(rng: random.Random, data: bytearray, sample: Sample) -> None:
    """Alters the payload of a chunk and makes its CRC-32 fit."""
    if bytes(data) != sample.data:
        return flip_bits(rng, data, sample)
    chunk = rng.choice(sample.chunks)
    payload = bytearray(sample.data[chunk.start + 8 : chunk.end - 4])
    at = rng.randrange(len(payload))
    if rng.random() < 0.5:
        payload[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    else:
        size = rng.choice((2, 4, 8))
        value = rng.choice(
            (0, 1, (1 << 8 * size) - 1, 1 << 8 * size - 1, rng.getrandbits(8 * size))
        )
        payload[at : at + size] = value.to_bytes(size, "little")
    if rng.random() < 0.2:
        payload += rng.randbytes(rng.choice((1, 30)))
    body = chunk.type + struct.pack("<I", len(payload)) + payload
    data[chunk.start : chunk.end] = body + struct.pack("<I", zlib.crc32(body))
    return None


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits,
    replace_run,
    zero_run,
    cut_end,
    cut_out,
    insert_bytes,
    swap_chunks,
    repeat_chunk,
    forge_field,
)


@dataclass(frozen=True)
class Outcome:
    """Of one file."""

    kind: str  # names of its mutations
    fault: str | None  # what should not have happened
    refused: bool  # by DamagedFile or the like, before a frame
    gops_whole: int  # GOPs whose chunks were whole, in order
    gops_given: int  # of them, those that were given


def mutated(number: int, samples: list[Sample]) -> tuple[Sample, bytes, str]:
    """The file of a number, always the same."""
    rng = random.Random(number)
    sample = samples[0] if rng.random() < 0.7 else samples[1]
    data = bytearray(sample.data)
    kinds = [MUTATIONS[number % len(MUTATIONS)]]
    if rng.random() < 0.3:
        kinds += rng.choices(MUTATIONS[:6], k=rng.randint(1, 3))
    for mutate in kinds:
        if len(data) > 12:
            mutate(rng, data, sample)
    return sample, bytes(data), "+".join(m.__name__ for m in kinds)


def whole_gops(sample: Sample, data: bytes) -> list[Chunk]:
    """Those that a reader that goes forward can have: whole, and none of later frames before."""
    places: list[tuple[int, int, Chunk]] = []
    for chunk in sample.chunks:
        if chunk.first_frame is None:
            continue
        at = data.find(sample.data[chunk.start : chunk.end])
        while at >= 0:
            places.append((at, chunk.first_frame, chunk))
            at = data.find(sample.data[chunk.start : chunk.end], at + 1)
    found: list[Chunk] = []
    latest = -1
    for _, number, chunk in sorted(places):
        if number > latest:
            found.append(chunk)
            latest = number
    return found


def decoded(installed: InstalledModel, data: bytes) -> list[tuple[int, Frame]]:
    """(number, frame) of all that can be had."""
    file = io.BytesIO(data)
    reader = ContainerReader(file, "mutated")
    header = reader.header
    if header.model_sha256 != installed.sha256:
        return []
    check_picture_size(header.format, 1 << 16, "mutated", file)
    settings = DecoderSettings(1, torch.device("cpu"), torch.float32, keep_going=True)
    decoder = Decoder(installed, header.format, settings, "mutated")
    given: list[GopRecord] = []

    def gops() -> "object":
        for gop, _ in reader.gops(keep_going=True):
            given.append(gop)
            yield gop

    shown = list(decoder.frames(gops()))  # type: ignore[arg-type]
    wrong = {damage.start for damage in decoder.left_out}
    numbers = [
        gop.first_frame + i
        for gop in given
        if gop.place is not None and gop.place.start not in wrong
        for i in range(len(gop.frames))
    ]
    return list(zip(numbers, shown, strict=True))


def try_file(
    number: int, installed: InstalledModel, samples: list[Sample], folder: Path
) -> Outcome:
    """Decodes the file of a number and compares."""
    sample, data, kind = mutated(number, samples)
    header_lost = not _has_header(sample, data)
    forged = "forge_field" in kind  # its CRC-32 holds: it is no damage, and may hide GOPs
    expected = whole_gops(sample, data)
    found: dict[int, Frame] = {}
    refused = False
    try:
        for frame_number, frame in decoded(installed, data):
            found.setdefault(frame_number, frame)
    except NcodecError:
        refused = True
    if number % WHOLE_DECODES == 0:
        path = folder / "mutated.nlc"
        path.write_bytes(data)
        with suppress(NcodecError):
            decode_file.decode(
                path,
                folder / "shown.mkv",
                overwrite=True,
                keep_going=True,
                device="cpu",
                precision="float32",
                max_pixels=1 << 16,
            )
    given = 0
    fault = None
    for gop in expected:
        assert gop.first_frame is not None
        numbers = range(gop.first_frame, gop.first_frame + sample.gop_frames[gop.first_frame])
        if all(n in found and _same(found[n], sample.frames[n]) for n in numbers):
            given += 1
        else:
            fault = f"the whole GOP of frame {gop.first_frame} was not given as it is"
    if header_lost or forged:
        return Outcome(kind, None, refused, 0, 0)
    return Outcome(kind, fault, refused, len(expected), given)


def _has_header(sample: Sample, data: bytes) -> bool:
    """Whether it is whole at the beginning, or a copy of it anywhere."""
    head = sample.chunks[0]
    assert head.type == HEADER_END_CHUNK
    copies = {sample.data[c.start : c.end] for c in sample.chunks if c.type == HEADER_COPY}
    return data.startswith(sample.data[: head.end]) or any(copy in data for copy in copies)


def _same(one: Frame, other: Frame) -> bool:
    planes = zip(one.planes, other.planes, strict=True)
    return one.pts == other.pts and all(np.array_equal(a, b) for a, b in planes)


def work(pipe: Connection, first: int, end: int) -> None:
    """Tells (number, outcome or error, peak memory) of each file."""
    with tempfile.TemporaryDirectory() as name:
        installed = load_tiny_model(Path(name))
        samples = make_samples(installed)
        # Loading the model each time would take longer than decoding.
        decode_file.find_model = lambda *wanted: installed  # type: ignore[attr-defined]
        for number in range(first, end):
            pipe.send((number, None, 0))
            try:
                outcome = try_file(number, installed, samples, Path(name))
            except Exception as error:
                _, _, kind = mutated(number, samples)
                outcome = Outcome(kind, f"{type(error).__name__}: {error}", False, 0, 0)
            pipe.send((number, outcome, _peak_memory()))


def _peak_memory() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) << 10
    return 0


def run(first: int, end: int) -> int:
    """Prints figures and every fault; the number of faults."""
    faults: list[str] = []
    kinds: Counter[str] = Counter()
    refused = whole = given = 0
    peak, slowest = 0, 0.0
    number = first
    context = multiprocessing.get_context("spawn")
    started = monotonic()
    while number < end:
        ours, theirs = context.Pipe(duplex=False)
        worker = context.Process(target=work, args=(theirs, number, end))
        worker.start()
        theirs.close()
        began = None
        while number < end:
            try:
                if not ours.poll(60 if began is None else SECONDS):
                    faults.append(f"{number}: took more than {SECONDS} s")
                    break
                at, outcome, memory = ours.recv()
            except EOFError:
                faults.append(f"{number}: the process ended")
                break
            if outcome is None:
                began = monotonic()
                continue
            slowest = max(slowest, monotonic() - (began or 0))
            peak = max(peak, memory)
            number = at + 1
            for kind in outcome.kind.split("+"):
                kinds[kind] += 1
            refused += outcome.refused
            whole += outcome.gops_whole
            given += outcome.gops_given
            if outcome.fault:
                faults.append(f"{at} ({outcome.kind}): {outcome.fault}")
                print(faults[-1], flush=True)
            if (number - first) % 500 == 0:
                print(f"{number - first} files, {monotonic() - started:.0f} s", flush=True)
        else:
            worker.join()
            continue
        worker.kill()
        worker.join()
        print(faults[-1], flush=True)
        number += 1
    if peak >= MEMORY:
        faults.append(f"took {peak >> 20} MiB")
    for name, count in kinds.most_common():
        print(f"{name:14} {count}")
    print(
        f"{end - first} files, {monotonic() - started:.0f} s; slowest {slowest:.1f} s, peak memory "
        f"{peak >> 20} MiB; {refused} refused; {given} of {whole} whole GOPs given; "
        f"{len(faults)} faults"
    )
    return len(faults)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    arguments = parser.parse_args()
    sys.exit(run(arguments.first, arguments.first + arguments.files) > 0)
