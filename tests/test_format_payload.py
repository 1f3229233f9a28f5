"""The parser that is written from docs/format.md gives the symbols that were coded."""

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
from format_parser import CodedFrame, GopParser, Parsed, Place, read_first_gop, read_gop
from format_parts import ModelFile
from gop_placements import chain_of, pyramids

from neuralcodec.codec.gop_symbols import FrameSymbols, GopSymbolEncoder, build_coder
from neuralcodec.container import FrameRecord, GopRecord
from neuralcodec.container.payloads import pack_gop
from neuralcodec.decoder.decoder import Decoder, DecoderSettings
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.references import Placement


@pytest.fixture(scope="module")
def model_file(installed_model: InstalledModel) -> ModelFile:
    weights = resources.files("neuralcodec.model") / "weights"
    return ModelFile((weights / f"{installed_model.name}.safetensors").read_bytes())


# A small moving picture, an odd size with new vectors, and a wide one with vectors of all steps
@pytest.mark.parametrize(("width", "height", "quality"), [(64, 48, 32), (71, 50, 60), (300, 48, 8)])
def test_a_parser_written_from_the_specification_gives_the_symbols_that_were_coded(
    tmp_path: Path,
    installed_model: InstalledModel,
    model_file: ModelFile,
    width: int,
    height: int,
    quality: int,
):
    fmt, frames = cropped(*city_frames(7), width, height)
    gops = coded_gops(installed_model, fmt, frames[::3], quality=quality)
    settings = DecoderSettings(1, CPU, torch.float32)
    product = Decoder(installed_model, fmt, settings, "clip").parse_gop(gops[0].record)

    file = read_first_gop(write_nlc(tmp_path / "clip.nlc", installed_model, fmt, gops).read_bytes())
    parser = GopParser(model_file, file.width, file.height)
    assert file.model_sha256 == model_file.sha256
    assert len(file.frames) == 3
    for coded, record, expected in zip(file.frames, gops[0].record.frames, product, strict=True):
        assert (coded.q, coded.pts, coded.payload) == (record.q, record.pts, record.payload)
        assert coded.place == as_parsed(record.place)
        parsed = parser.parse(coded.payload, coded.q, coded.place)
        assert_same(parsed, expected)
        assert np.abs(parsed.latent).max() > 0
    assert parser.crc == file.symbols_crc


def test_the_specification_covers_symbols_that_no_picture_gives(tmp_path: Path):
    """Exceptions at index 0, escapes, vectors at their limits, every candidate; another model."""
    installed = installed_from(tiny_model(), tmp_path)
    model = ModelFile((tmp_path / "tiny.safetensors").read_bytes())
    rows, columns = 11, 13
    encoder = GopSymbolEncoder(installed, build_coder(installed), rows, columns)
    parser = GopParser(model, 16 * columns, 16 * rows)
    rng = np.random.default_rng(5)
    frames = random_symbols(rng, rows, columns, installed.model.config, PLACES)
    for t, (symbols, place) in enumerate(zip(frames, PLACES, strict=True)):
        q = 63 - 9 * t
        parsed = parser.parse(encoder.encode(symbols, q, place), q, as_parsed(place))
        assert_same(parsed, symbols)
    assert parser.crc == encoder.checksum
    assert parser.seen == {
        "exceptions",
        "outside",
        "skipped",
        *(f"candidate {k}" for k in range(6)),
        *(f"new vector, {which}" for which in range(3)),
        *(f"{network}: {yes}" for network in ("area", "position") for yes in (True, False)),
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
    crc, found = read_gop(pack_gop(GopRecord(7, 0x12345678, frames)))
    assert crc == 0x12345678
    assert [CodedFrame(f.q, as_parsed(f.place), f.pts, f.payload) for f in frames] == found


def as_parsed(place: Placement) -> Place:
    return Place(place.shown, place.level, place.slots or (), place.stored)


def assert_same(parsed: Parsed, expected: FrameSymbols) -> None:
    assert np.array_equal(parsed.latent, expected.latent)
    assert parsed.filtered == expected.filtered
    assert (parsed.motion is None) == (expected.motion is None)
    if expected.motion is not None:
        assert parsed.motion is not None and parsed.skipped is not None
        assert np.array_equal(parsed.motion.transpose(2, 0, 1), expected.motion)
        assert expected.skipped is not None and np.array_equal(parsed.skipped, expected.skipped)
