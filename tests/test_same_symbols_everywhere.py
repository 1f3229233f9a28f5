"""One file gives the same parsed symbols on every machine and with all settings."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
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
    untagged,
    write_nlc,
)
from gop_placements import pyramids

from neuralcodec.codec.gop_symbols import FrameSymbols, GopSymbolEncoder, build_coder
from neuralcodec.container import ContainerReader, FrameRecord, GopRecord
from neuralcodec.decoder.decoder import Decoder, DecoderSettings
from neuralcodec.decoder.frame_decoder import DecodeTask, FrameDecoder
from neuralcodec.errors import DamagedFile
from neuralcodec.model.exact import WEIGHT_UNITS
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.model.video_model import VideoModel
from neuralcodec.video import Frame, VideoFormat


@pytest.fixture(scope="module")
def clip() -> tuple[VideoFormat, list[Frame]]:
    return cropped(*city_frames(8), 128, 80)


@pytest.fixture(scope="module")
def gops(
    clip: tuple[VideoFormat, list[Frame]],
    installed_model: InstalledModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> list[GopRecord]:
    """Of one file: GOPs of 3, 3 and 2 frames."""
    path = tmp_path_factory.mktemp("clip") / "clip.nlc"
    coded = coded_gops(installed_model, *clip, gop=3)
    write_nlc(path, installed_model, clip[0], coded)
    with path.open("rb") as file:
        return [gop for gop, _ in ContainerReader(file, "clip").gops()]


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def seen_by_the_networks(
    installed: InstalledModel,
    fmt: VideoFormat,
    gops: Sequence[GopRecord],
    monkeypatch: pytest.MonkeyPatch,
    *,
    batch: int = 1,
    device: torch.device = CPU,
    precision: torch.dtype = torch.float32,
) -> list[int]:
    """Decodes to pictures; gives the checksum of the symbols of each GOP that reached the networks.

    The decoder itself raises DamagedFile where they are not those that the encoder recorded.
    """
    steps: list[list[FrameSymbols]] = []
    original = FrameDecoder.decode

    def spy(self: FrameDecoder, tasks: Sequence[DecodeTask]) -> object:
        steps.append([task.symbols for task in tasks])
        return original(self, tasks)

    with monkeypatch.context() as patch:
        patch.setattr(FrameDecoder, "decode", spy)
        decoder = Decoder(installed, fmt, DecoderSettings(batch, device, precision), "clip.nlc")
        shown = list(decoder.frames(gops))
    assert [f.pts for f in shown] == [pts for gop in gops for pts in gop.times]
    checksums: list[int] = []
    current: list[int] = []
    for symbols in steps:
        if symbols[0].motion is None:
            checksums += current
            current = [0] * len(symbols)
        for item, frame in enumerate(symbols):  # GOPs that end early are the last of a batch
            current[item] = frame.checksum(current[item])
    return checksums + current


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_for_any_batch(
    batch: int,
    clip: tuple[VideoFormat, list[Frame]],
    gops: list[GopRecord],
    installed_model: InstalledModel,
    monkeypatch: pytest.MonkeyPatch,
):
    found = seen_by_the_networks(installed_model, clip[0], gops, monkeypatch, batch=batch)
    assert found == [gop.symbols_crc for gop in gops]


@pytest.mark.parametrize("threads", [1, 2])
def test_for_one_thread_and_two(
    threads: int,
    clip: tuple[VideoFormat, list[Frame]],
    gops: list[GopRecord],
    installed_model: InstalledModel,
    monkeypatch: pytest.MonkeyPatch,
):
    torch.set_num_threads(threads)
    decoder = Decoder(installed_model, clip[0], DecoderSettings(1, CPU, torch.float32), "clip.nlc")
    for gop in gops:  # parsed in this thread, with this number of threads
        crc = 0
        for symbols in decoder.parse_gop(gop):
            crc = symbols.checksum(crc)
        assert crc == gop.symbols_crc
    found = seen_by_the_networks(installed_model, clip[0], gops, monkeypatch)
    assert found == [gop.symbols_crc for gop in gops]


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
def test_for_transforms_in_float32_and_bfloat16(
    precision: torch.dtype,
    clip: tuple[VideoFormat, list[Frame]],
    gops: list[GopRecord],
    installed_model: InstalledModel,
    monkeypatch: pytest.MonkeyPatch,
):
    found = seen_by_the_networks(installed_model, clip[0], gops, monkeypatch, precision=precision)
    assert found == [gop.symbols_crc for gop in gops]


def test_for_an_encoder_with_other_settings_than_the_decoder(
    clip: tuple[VideoFormat, list[Frame]],
    installed_model: InstalledModel,
    monkeypatch: pytest.MonkeyPatch,
):
    torch.set_num_threads(2)
    coded = coded_gops(installed_model, *clip, gop=3, precision=torch.bfloat16)
    gops = [g.record for g in coded]
    torch.set_num_threads(1)
    found = seen_by_the_networks(installed_model, clip[0], gops, monkeypatch)
    assert found == [gop.symbols_crc for gop in gops]


@pytest.mark.gpu
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
def test_for_pictures_made_on_a_gpu(
    precision: torch.dtype,
    clip: tuple[VideoFormat, list[Frame]],
    gops: list[GopRecord],
    installed_model: InstalledModel,
    monkeypatch: pytest.MonkeyPatch,
):
    own = replace(installed_model, model=copy.deepcopy(installed_model.model))
    device = torch.device("cuda")
    found = seen_by_the_networks(
        own, clip[0], gops, monkeypatch, batch=2, device=device, precision=precision
    )
    assert found == [gop.symbols_crc for gop in gops]


@pytest.mark.parametrize("network", ["intra_prior", "inter_prior", "motion_prior"])
def test_one_weight_off_by_one_step_is_noticed_and_the_gop_named(network: str, tmp_path: Path):
    installed = installed_from(tiny_model(), tmp_path)
    rows, columns, q = 8, 9, 63
    fmt = untagged(16 * columns, 16 * rows)
    encoder = GopSymbolEncoder(installed, build_coder(installed), rows, columns)
    places = pyramids(4, 3)
    rng = np.random.default_rng(2)
    symbols = random_symbols(rng, rows, columns, installed.model.config, places)
    records = tuple(
        FrameRecord(place.shown, q, encoder.encode(s, q, place), place)
        for s, place in zip(symbols, places, strict=True)
    )
    gop = GopRecord(0, encoder.checksum, records)

    def parse(model: VideoModel) -> None:
        own = replace(installed, model=model)
        decoder = Decoder(own, fmt, DecoderSettings(1, CPU, torch.float32), "clip.nlc")
        for _ in decoder.parse_gop(gop):
            pass

    parse(installed.model)
    other = copy.deepcopy(installed.model)
    part = getattr(other, network)
    # Of a network whose inputs differ from position to position
    networks = part.second if network == "intra_prior" else getattr(part, "networks", None)
    layer = part.write[-1] if networks is None else networks[0].write
    step = torch.zeros_like(layer.weight)
    step[0, -1] = 1 / WEIGHT_UNITS
    with torch.no_grad():
        layer.weight += torch.where(layer.weight > 1, -step, step)
    with pytest.raises(DamagedFile, match=r"clip.nlc: the file is damaged .*; frames 0 to 3, "):
        parse(other)


def test_symbols_that_parse_but_are_not_those_recorded_are_noticed_and_the_gop_named(
    clip: tuple[VideoFormat, list[Frame]], gops: list[GopRecord], installed_model: InstalledModel
):
    wrong = [gops[0], replace(gops[1], symbols_crc=gops[1].symbols_crc ^ 1), gops[2]]
    decoder = Decoder(installed_model, clip[0], DecoderSettings(1, CPU, torch.float32), "clip.nlc")
    with pytest.raises(DamagedFile, match=r"; frames 3 to 5, .* checksum recorded"):
        list(decoder.frames(wrong))


def test_keep_going_leaves_out_exactly_the_gop_whose_symbols_are_wrong(
    tmp_path: Path,
    clip: tuple[VideoFormat, list[Frame]],
    gops: list[GopRecord],
    installed_model: InstalledModel,
):
    wrong = [gops[0], replace(gops[1], symbols_crc=gops[1].symbols_crc ^ 1), gops[2]]
    for batch in (1, 2):
        settings = DecoderSettings(batch, CPU, torch.float32, keep_going=True)
        decoder = Decoder(installed_model, clip[0], settings, "clip.nlc")
        shown = [f.pts for f in decoder.frames(wrong)]
        assert shown == [f.pts for gop in (gops[0], gops[2]) for f in gop.frames]
        assert len(decoder.left_out) == 1 and "frames 3 to 5" in str(decoder.left_out[0])
