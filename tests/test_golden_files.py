"""Files that were made once: every version, on every machine, decodes them to the same symbols."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from codec_clips import CPU
from golden_files import GoldenFile, describe_frame, golden_files
from safetensors import safe_open
from safetensors.torch import save_file

import neuralcodec
from neuralcodec.codec.gop_symbols import GopSymbolEncoder, build_coder
from neuralcodec.codec.tensors import grid_size
from neuralcodec.container import ContainerReader, GopContent, GopRecord, PacketsContent
from neuralcodec.decoder.decoder import Decoder, DecoderSettings
from neuralcodec.errors import ModelError
from neuralcodec.model import installed as installed_models
from neuralcodec.model.model_file import DEFAULT_MODEL, InstalledModel, find_model

GOLDEN = golden_files()
# Sample steps, of the means of cells: what floats may do on another machine, and in another format
NEAR, NEAR_IN_BFLOAT16 = 0.02, 0.75


@pytest.fixture(params=GOLDEN, ids=lambda golden: golden.name)
def golden(request: pytest.FixtureRequest) -> GoldenFile:
    return request.param


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def gops_of(golden: GoldenFile) -> list[GopRecord]:
    with golden.path.open("rb") as file:
        return [gop for gop, _ in ContainerReader(file, golden.name).gops()]


def model_of(golden: GoldenFile) -> InstalledModel:
    with golden.path.open("rb") as file:
        header = ContainerReader(file, golden.name).header
    return find_model(header.model_name, header.model_sha256)


def decoder_of(golden: GoldenFile, precision: torch.dtype = torch.float32, batch: int = 1):
    with golden.path.open("rb") as file:
        fmt = ContainerReader(file, golden.name).header.format
    settings = DecoderSettings(batch, CPU, precision)
    return Decoder(model_of(golden), fmt, settings, golden.name)


def test_there_are_files_of_8_and_10_bit_of_odd_size_and_with_sound():
    assert {golden.format[2] for golden in GOLDEN} == {8, 10}
    assert any(golden.format[0] % 2 and golden.format[1] % 2 for golden in GOLDEN)
    assert any(golden.packets for golden in GOLDEN)


def test_they_are_as_they_were_made(golden: GoldenFile):
    assert hashlib.sha256(golden.path.read_bytes()).hexdigest() == golden.sha256


def test_the_model_of_each_is_in_the_package(golden: GoldenFile):
    assert model_of(golden).sha256.hex() == golden.model_sha256


def test_the_container_gives_what_was_put_in(golden: GoldenFile):
    with golden.path.open("rb") as file:
        reader = ContainerReader(file, golden.name)
        fmt = reader.header.format
        contents = list(reader.contents())
    assert [fmt.width, fmt.height, fmt.bit_depth] == golden.format
    gops = [content.gop for content in contents if isinstance(content, GopContent)]
    assert [list(gop.times) for gop in gops] == golden.pts
    packets = [p for c in contents if isinstance(c, PacketsContent) for p in c.packets]
    assert len(packets) == golden.packets
    data = b"".join(packet.data for packet in packets)
    assert hashlib.sha256(data).hexdigest() == golden.packets_sha256


def test_the_symbols_are_those_of_the_day_they_were_made(golden: GoldenFile):
    torch.set_num_threads(2 if golden is GOLDEN[0] else 1)  # their number does not matter
    decoder = decoder_of(golden)
    found = []
    for gop in gops_of(golden):
        crc = 0
        for symbols in decoder.parse_gop(gop):
            crc = symbols.checksum(crc)
        found.append(crc)
    assert found == golden.symbols_crc


def test_the_same_symbols_are_written_as_the_same_bytes(golden: GoldenFile):
    decoder = decoder_of(golden)
    installed = decoder.installed
    for gop in gops_of(golden):
        encoder = GopSymbolEncoder(installed, build_coder(installed), *grid_size(decoder.fmt))
        for record, symbols in zip(gop.frames, decoder.parse_gop(gop), strict=True):
            assert encoder.encode(symbols, record.q, record.place) == record.payload


@pytest.mark.parametrize(
    ("precision", "batch", "near"),
    [
        (torch.float32, 1, NEAR),
        (torch.float32, 2, NEAR),
        (torch.bfloat16, 1, NEAR_IN_BFLOAT16),
    ],
    ids=str,
)
def test_the_pictures_are_those_of_the_day_they_were_made(
    golden: GoldenFile, precision: torch.dtype, batch: int, near: float
):
    frames = decoder_of(golden, precision, batch).frames(gops_of(golden))
    scale = 1 if golden.format[2] == 8 else 4
    for frame, expected in zip(frames, golden.frames, strict=True):
        found = np.array(describe_frame(frame))
        assert np.abs(found - np.array(expected)).max() < near * scale


def test_decode_makes_a_video_of_each(golden: GoldenFile, tmp_path: Path):
    done = neuralcodec.decode(golden.path, tmp_path / "shown.mkv")
    assert done.frames == len(golden.frames)
    assert done.streams == (golden.packets > 0)


@pytest.mark.parametrize(
    "key", ["model.intra.head.bias", "model.motion_prior.mix.0.bias", "tables.decisions"]
)
def test_with_any_change_a_model_has_another_identity(key: str, tmp_path: Path):
    path = installed_models.installed_file(DEFAULT_MODEL)
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    tensors[key] = tensors[key].clone()
    tensors[key].view(-1)[0] += 1
    changed = tmp_path / "fast.safetensors"
    save_file(tensors, changed, metadata)
    before = installed_models.file_sha256(path)
    assert installed_models.file_sha256(changed) != before
    with pytest.raises(ModelError, match=before.hex()[:16]):
        find_model(DEFAULT_MODEL, before, str(changed))
