"""Coverage-guided fuzzing: python scripts/fuzz_container.py TARGET [--seconds 120]

TARGET: container (all reading of a file), gop (the payload of a GOPS chunk, and its symbols) or
decode (bytes to frames with a tiny model). The corpus is tests/fuzz_corpus/TARGET; new finds of
coverage go into --corpus, by default a folder that is dropped. Checksums are made to fit before a
target sees the bytes, as a forger would. Needs atheris: pip install 'neuralcodec[fuzz]'.
"""

import argparse
import contextlib
import io
import struct
import sys
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["neuralcodec.container", "neuralcodec.codec"]):
    from damage_samples import load_tiny_model, make_samples

    from neuralcodec.codec.gop_symbols import GopSymbolDecoder, build_coder
    from neuralcodec.container import ContainerReader, ContainerWriter, GopContent
    from neuralcodec.container.layout import Malformed
    from neuralcodec.container.payloads import parse_gop
    from neuralcodec.decoder.decoder import Decoder, DecoderSettings
    from neuralcodec.decoder.picture_limit import check_picture_size
    from neuralcodec.entropy.coder import Malformed as MalformedSymbols
    from neuralcodec.errors import NcodecError

import torch

CORPUS = Path(__file__).parent.parent / "tests" / "fuzz_corpus"
MAX_PIXELS = 1 << 12  # so that a forged size makes an input slow, not an hour long
MAX_FRAMES = 12
_TINY = Path(tempfile.mkdtemp())
_INSTALLED = load_tiny_model(_TINY)
_CODER = build_coder(_INSTALLED)


def with_crcs(data: bytes) -> bytes:
    """The chunks that the lengths make of the bytes, with CRC-32s that hold."""
    out, at = bytearray(data[:12]), 12
    while at + 12 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        end = at + 8 + length
        if end + 4 > len(data):
            break
        body = data[at:end]
        out += body + struct.pack("<I", zlib.crc32(body))
        at = end + 4
    return bytes(out) + data[at:]


def read_container(data: bytes) -> None:
    """Forward with and without keep_going, by the index, and written anew."""
    data = with_crcs(data)
    for keep_going in (False, True):
        with contextlib.suppress(NcodecError):
            reader = ContainerReader(io.BytesIO(data), "fuzzed")
            for content in reader.contents(keep_going):
                str(content)[:100]
            [str(damage) for damage in reader.damage]
    with contextlib.suppress(NcodecError):
        reader = ContainerReader(io.BytesIO(data), "fuzzed")
        ContainerWriter(io.BytesIO(), reader.header)
        for entry in reader.index():
            with contextlib.suppress(NcodecError):
                reader.read_gop(entry)


def parse_payload(data: bytes) -> None:
    """A GOPS payload and the symbols in it, at 16x16."""
    with contextlib.suppress(Malformed, MalformedSymbols):
        gop = parse_gop(data)
        decoder = GopSymbolDecoder(_INSTALLED, _CODER, 1, 1)
        for frame in gop.frames[:MAX_FRAMES]:
            decoder.decode(frame.payload, frame.q, frame.place)


def decode(data: bytes) -> None:
    """As `ncodec decode --keep-going` does, up to the frames, whatever the symbols' checksums."""
    with contextlib.suppress(NcodecError):
        file = io.BytesIO(with_crcs(data))
        reader = ContainerReader(file, "fuzzed")
        fmt = reader.header.format
        check_picture_size(fmt, MAX_PIXELS, "fuzzed", file)
        settings = DecoderSettings(1, torch.device("cpu"), torch.float32, keep_going=True)
        decoder = Decoder(_INSTALLED, fmt, settings, "fuzzed")
        gops = (
            replace(content.gop, symbols_crc=None)
            for content in reader.contents(keep_going=True)
            if isinstance(content, GopContent) and len(content.gop.frames) <= MAX_FRAMES
        )
        for frame in decoder.frames(gops):
            assert frame.y.shape == (fmt.height, fmt.width)
        [str(damage) for damage in (*reader.damage, *decoder.left_out)]


TARGETS: dict[str, Callable[[bytes], None]] = {
    "container": read_container,
    "gop": parse_payload,
    "decode": decode,
}


def write_corpus() -> None:
    """The samples, whole, for all targets."""
    for target in TARGETS:
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
    for number, sample in enumerate(make_samples(_INSTALLED)):
        for target in ("container", "decode"):
            (CORPUS / target / f"sample{number}").write_bytes(sample.data)
        for chunk in sample.chunks:
            if chunk.first_frame is not None:
                payload = sample.data[chunk.start + 8 : chunk.end - 4]
                (CORPUS / "gop" / f"sample{number}-{chunk.first_frame}").write_bytes(payload)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=[*TARGETS, "write-corpus"])
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--corpus", type=Path, help="a folder that new finds go into")
    arguments = parser.parse_args()
    if arguments.target == "write-corpus":
        write_corpus()
        sys.exit()
    finds = arguments.corpus or Path(tempfile.mkdtemp())
    finds.mkdir(parents=True, exist_ok=True)
    libfuzzer = [
        f"-max_total_time={arguments.seconds}",
        "-max_len=4096",
        "-timeout=10",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
        f"-artifact_prefix={finds}/",
    ]
    folders = [str(finds), str(CORPUS / arguments.target)]
    atheris.Setup([sys.argv[0], *libfuzzer, *folders], TARGETS[arguments.target])
    atheris.Fuzz()
