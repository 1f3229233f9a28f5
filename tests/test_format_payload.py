"""The parser that is written from docs/format.md gives the symbols that were coded."""

from collections.abc import Iterable
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from codec_clips import (
    CPU,
    PLACES,
    city_frames,
    coded_gops,
    cropped,
    installed_from,
    random_symbols,
    tiny_model,
    write_nlc,
)
from file_parser import CodedFrame, Place, read_file, read_gop
from format_parser import GopParser
from format_parts import ModelFile
from gop_placements import chain_of, pyramids

from neuralcodec.codec.gop_symbols import FrameSymbols, GopSymbolEncoder, build_coder
from neuralcodec.container import FrameRecord, GopRecord
from neuralcodec.container.payloads import pack_gop
from neuralcodec.decoder.decoder import Decoder, DecoderSettings
from neuralcodec.encoder.structure.mini_gops import (
    INTRA_STEP,
    LOW_DELAY,
    P_FRAMES,
    GopOrder,
    Structure,
    largest_size,
)
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.references import Placement
from neuralcodec.video import Frame


@pytest.fixture(scope="module")
def model_file(installed_model: InstalledModel) -> ModelFile:
    weights = resources.files("neuralcodec.model") / "weights"
    return ModelFile((weights / f"{installed_model.name}.safetensors").read_bytes())


@pytest.mark.parametrize(
    ("width", "height", "quality", "gop", "structure"),
    [
        (64, 48, 32, 96, Structure(8, is_fixed=True)),
        (71, 50, 60, 5, LOW_DELAY),  # an odd size, with new vectors, in two GOPs
        (300, 48, 8, 96, Structure(4, is_fixed=True)),  # wide, with vectors of all steps
    ],
    ids=["pyramid", "low delay", "wide"],
)
def test_a_parser_written_from_the_specification_gives_the_symbols_that_were_coded(
    tmp_path: Path,
    installed_model: InstalledModel,
    model_file: ModelFile,
    width: int,
    height: int,
    quality: int,
    gop: int,
    structure: Structure,
):
    fmt, frames = cropped(*city_frames(17), width, height)
    frames = stopped(frames[::2])
    gops = coded_gops(installed_model, fmt, frames, quality=quality, gop=gop, structure=structure)
    settings = DecoderSettings(1, CPU, torch.float32)
    decoder = Decoder(installed_model, fmt, settings, "clip")
    file = read_file(write_nlc(tmp_path / "clip.nlc", installed_model, fmt, gops).read_bytes())
    assert file.model_sha256 == model_file.sha256
    seen = set[str]()
    for read, coded in zip(file.gops, gops, strict=True):
        records = coded.record.frames
        assert read.first_frame == coded.record.first_frame
        assert read.frames == [CodedFrame(as_read(f.place), f.q, f.pts, f.payload) for f in records]
        parser = GopParser(model_file, file.width, file.height)
        assert_parses(parser, read.frames, decoder.parse_gop(coded.record))
        assert parser.crc == read.symbols_crc
        seen |= parser.seen
    assert any(frame.place.level for frame in file.gops[0].frames)


def stopped(frames: list[Frame]) -> list[Frame]:
    """The last third shows the same picture."""
    last = len(frames) * 2 // 3
    return [*frames[:last], *(replace(frames[last], pts=f.pts) for f in frames[last:])]


def as_read(place: Placement) -> Place:
    return Place(place.shown, place.level, place.slots, place.stored)


def assert_parses(
    parser: GopParser, frames: Iterable[CodedFrame], expected: Iterable[FrameSymbols]
) -> None:
    for coded, symbols in zip(frames, expected, strict=True):
        parsed = parser.parse(coded.payload, coded.q, coded.place)
        assert np.array_equal(parsed.latent, symbols.latent)
        assert parsed.filtered == symbols.filtered
        assert (parsed.motion is None) == (symbols.motion is None)
        if parsed.motion is not None:
            assert np.array_equal(parsed.motion.transpose(2, 0, 1), symbols.motion)
            assert np.array_equal(parsed.skipped, symbols.skipped)


def placed(structure: Structure, frames: int) -> list[Placement]:
    """As the encoder places them."""
    order, places = GopOrder(structure.low_delay), [INTRA_STEP.place]
    while len(places) < frames:
        size = largest_size(min(structure.largest, frames - len(places)))
        places += [step.place for steps in order.add(size) for step in steps]
    return places


# Sizes that are no multiple of 4 positions, and one that is
GOPS = {
    "one reference": (11, 13, chain_of(4)),
    "the two frames before": (3, 5, placed(P_FRAMES, 5)),
    "low delay": (7, 9, placed(LOW_DELAY, 10)),
    "pyramid": (5, 6, placed(Structure(16), 19)),
    "depth first": (6, 11, pyramids(12, 8, depth_first=True)),
    "slots in another order": (4, 8, PLACES),
}


def test_the_specification_covers_symbols_that_no_picture_gives(tmp_path: Path):
    """Exceptions at index 0, escapes, vectors at their limits, every candidate; another model."""
    installed = installed_from(tiny_model(), tmp_path)
    model = ModelFile((tmp_path / "tiny.safetensors").read_bytes())
    coder, config = build_coder(installed), installed.model.config
    seen = set[str]()
    for name, (rows, columns, places) in GOPS.items():
        encoder = GopSymbolEncoder(installed, coder, rows, columns)
        parser = GopParser(model, 16 * columns, 16 * rows)
        symbols = random_symbols(np.random.default_rng(5), rows, columns, config, places)
        frames = []
        for t, (of_frame, place) in enumerate(zip(symbols, places, strict=True)):
            q = 21 * t % 64
            frames.append(CodedFrame(as_read(place), q, t, encoder.encode(of_frame, q, place)))
        assert_parses(parser, frames, symbols)
        assert parser.crc == encoder.checksum, name
        seen |= parser.seen
    assert seen == {
        *("exceptions", "outside"),
        *(f"candidate {k}" for k in range(6)),
        *(f"new vector, {which}" for which in range(3)),
        *("nothing skipped", "whole", "single"),
    }


@pytest.mark.parametrize(
    "places",
    [chain_of(9), pyramids(33, 8), pyramids(40, 16, depth_first=True), PLACES],
    ids=["chain", "pyramids of 8", "pyramids of 16", "every kind"],
)
@pytest.mark.parametrize("times", ["constant", "changing", "random"])
def test_rows_and_times_are_those_that_the_specification_says(places: list[Placement], times: str):
    rng = np.random.default_rng(len(places))
    steps = {
        "constant": np.full(len(places), 512),
        "changing": np.resize([33, 33, 34], len(places)),
        "random": rng.integers(-(2**59), 2**59, len(places)),
    }[times]
    pts = [int(time) % 2**60 for time in np.cumsum(steps)]
    frames = tuple(
        FrameRecord(pts[p.shown], int(rng.integers(64)), rng.bytes(int(rng.integers(300))), p)
        for p in places
    )
    read = read_gop(pack_gop(GopRecord(7, 0x12345678, frames)))
    assert (read.first_frame, read.symbols_crc) == (7, 0x12345678)
    assert [CodedFrame(as_read(f.place), f.q, f.pts, f.payload) for f in frames] == read.frames
