"""The parser that is written from docs/format.md gives the symbols that were coded."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from codec_clips import (
    CPU,
    city_frames,
    coded_gops,
    cropped,
    installed_from,
    random_symbols,
    tiny_model,
    write_nlc,
)
from format_parser import GopParser, ModelFile, read_first_gop

from neuralcodec.codec.gop_symbols import GopSymbolEncoder, build_coder
from neuralcodec.decoder.decoder import Decoder, DecoderSettings
from neuralcodec.model.model_file import InstalledModel


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
    for coded, expected in zip(file.frames, product, strict=True):
        parsed = parser.parse(coded.payload, coded.q)
        assert np.array_equal(parsed.latent, expected.latent)
        assert np.abs(parsed.latent).max() > 0
        if expected.vectors is not None:
            assert parsed.vectors is not None
            assert np.array_equal(parsed.vectors.transpose(2, 0, 1), expected.vectors)
        assert parsed.filtered == expected.filtered
    assert parser.crc == file.symbols_crc


def test_the_specification_covers_symbols_that_no_picture_gives(tmp_path: Path):
    """Exceptions at index 0, escapes, vectors at their limits, every candidate; another model."""
    installed = installed_from(tiny_model(), tmp_path)
    model = ModelFile((tmp_path / "tiny.safetensors").read_bytes())
    rows, columns = 11, 13
    encoder = GopSymbolEncoder(installed, build_coder(installed), rows, columns)
    parser = GopParser(model, 16 * columns, 16 * rows)
    for t, symbols in enumerate(
        random_symbols(np.random.default_rng(5), rows, columns, installed.model.config, 4)
    ):
        q = 21 * t
        parsed = parser.parse(encoder.encode(symbols, q), q)
        assert np.array_equal(parsed.latent, symbols.latent)
        if symbols.vectors is not None:
            assert parsed.vectors is not None
            assert np.array_equal(parsed.vectors.transpose(2, 0, 1), symbols.vectors)
        assert parsed.filtered == symbols.filtered
    assert parser.crc == encoder.checksum
    assert parser.seen == {"exceptions", "outside", "new vector"} | {
        f"candidate {k}" for k in range(6)
    }
