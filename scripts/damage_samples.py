"""Small whole .nlc files of a few pixels, for mutate_files.py and fuzz_container.py, and what a
decoder must give of them."""

import io
import struct
import sys
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

sys.path.append(str(Path(__file__).parent.parent / "tests"))

from carried_clips import RATE, pcm_stream
from codec_clips import CPU, installed_from, random_symbols, tiny_model
from gop_placements import pyramids

from neuralcodec.codec.gop_symbols import GopSymbolEncoder, build_coder
from neuralcodec.codec.tensors import grid_size
from neuralcodec.container import (
    ContainerReader,
    ContainerWriter,
    Extras,
    FrameRecord,
    GopRecord,
    GopStats,
    StreamHeader,
)
from neuralcodec.decoder.decoder import Decoder, DecoderSettings
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.streams import (
    ATTACHMENT,
    Chapter,
    FileTags,
    OtherStream,
    StreamPacket,
)
from neuralcodec.video import ColorTags, Frame, VideoFormat

FONT = (("filename", "a.ttf"), ("mimetype", "font/ttf"))
STREAMS = (
    replace(pcm_stream(0, 2), time_base=Fraction(1, RATE)),
    replace(pcm_stream(1, 1), time_base=Fraction(1, 1000)),
    OtherStream(2, ATTACHMENT, "ttf", Fraction(1, 1000), metadata=FONT, data=b"a font"),
)
TAGS = FileTags((("title", "Film"),), (), 1, (Chapter(0, 9, Fraction(1, 25)),))


@dataclass(frozen=True)
class Chunk:
    """A chunk of a sample file."""

    type: bytes
    start: int
    end: int
    first_frame: int | None  # of a GOP


@dataclass(frozen=True)
class Sample:
    """A whole file, its chunks, and its frames by their numbers."""

    data: bytes
    chunks: tuple[Chunk, ...]
    frames: dict[int, Frame]
    gop_frames: dict[int, int]  # first frame -> number of frames


def load_tiny_model(folder: Path) -> InstalledModel:
    """Random weights, seeded: it decodes symbols to noise, in a few milliseconds."""
    torch.set_num_threads(1)
    return installed_from(tiny_model(), folder)


def make_samples(installed: InstalledModel) -> list[Sample]:
    """One with two tracks of sound, an attachment, tags and a chapter; one of 10 bits without."""
    return [
        _make(installed, VideoFormat(16, 16, Fraction(1, 25), 8, Fraction(25)), (1, 4, 1, 2), True),
        _make(
            installed,
            VideoFormat(
                17, 16, Fraction(1, 90000), 10, Fraction(30000, 1001), color=ColorTags(9, 16, 9)
            ),
            (2, 1, 1),
            False,
        ),
    ]


def _make(
    installed: InstalledModel, fmt: VideoFormat, gops: tuple[int, ...], with_streams: bool
) -> Sample:
    rng = np.random.default_rng(5)
    rows, columns = grid_size(fmt)
    coder = build_coder(installed)
    file = io.BytesIO()
    header = StreamHeader(fmt, max(gops), installed.name, installed.sha256)
    extras = Extras(TAGS, STREAMS) if with_streams else Extras()
    writer = ContainerWriter(file, header, extras)
    assert fmt.frame_rate is not None
    step = int(1 / (fmt.frame_rate * fmt.time_base))
    first = 0
    for count in gops:
        encoder = GopSymbolEncoder(installed, coder, rows, columns)
        frames = []
        places = pyramids(count, 3)
        symbols = random_symbols(rng, rows, columns, installed.model.config, places)
        for i, (one, place) in enumerate(zip(symbols, places, strict=True)):
            q, pts = 20 + 7 * i, step * (first + place.shown)
            frames.append(FrameRecord(pts, q, encoder.encode(one, q, place), place))
        if with_streams:
            sound = StreamPacket(0, 1920 * first, None, 1920, True, rng.bytes(24))
            more = StreamPacket(1, 40 * first, None, 40, True, b"Hello")
            writer.write_packets([sound, more])
        stats = GopStats(first, ((30.0, 31.0, 32.0),) * count)
        writer.write_gop(GopRecord(first, encoder.checksum, tuple(frames)), stats)
        first += count
    writer.finish()
    data = file.getvalue()
    reader = ContainerReader(io.BytesIO(data), "sample")
    records = [gop for gop, _ in reader.gops()]
    settings = DecoderSettings(1, CPU, torch.float32)
    shown = Decoder(installed, fmt, settings, "sample").frames(records)
    return Sample(
        data,
        tuple(_chunks(data)),
        dict(enumerate(shown)),
        {gop.first_frame: len(gop.frames) for gop in records},
    )


def _chunks(data: bytes) -> list[Chunk]:
    found, at = [], 12
    while at < len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        end = at + 12 + length
        number = struct.unpack_from("<Q", data, at + 8)[0] if kind == b"GOPS" else None
        found.append(Chunk(kind, at, end, number))
        at = end
    return found
