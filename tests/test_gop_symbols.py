"""The symbols of a GOP to payloads and back, without any picture."""

from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import torch
from codec_clips import installed_from, random_symbols, tiny_model

from neuralcodec.codec.filtered_symbols import AFTER_INTRA, FilteredPlanes, encode_filtered
from neuralcodec.codec.gop_symbols import (
    FrameSymbols,
    GopSymbolDecoder,
    GopSymbolEncoder,
    build_coder,
)
from neuralcodec.entropy import Coder, SymbolEncoder
from neuralcodec.entropy.coder import Malformed
from neuralcodec.model.loop_filters import Filtered
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.model.motion_prior import VECTOR_LIMIT
from neuralcodec.model.motion_steps import STEPS

QUALITIES = (5, 63, 0, 32)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> InstalledModel:
    return installed_from(tiny_model(), tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def coder(tiny: InstalledModel) -> Coder:
    return build_coder(tiny)


def symbols_of_a_gop(
    installed: InstalledModel, rows: int, columns: int, seed: int = 1
) -> list[FrameSymbols]:
    rng, config = np.random.default_rng(seed), installed.model.config
    return random_symbols(rng, rows, columns, config, len(QUALITIES))


def same(one: FrameSymbols, other: FrameSymbols) -> bool:
    if (one.vectors is None) != (other.vectors is None):
        return False
    vectors = one.vectors is None or np.array_equal(one.vectors, other.vectors)
    same_filters = one.filtered == other.filtered
    return vectors and same_filters and np.array_equal(one.latent, other.latent)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3), (8, 8), (17, 18)])
def test_the_symbols_of_a_gop_of_any_size_come_back(
    tiny: InstalledModel, coder: Coder, size: tuple[int, int]
):
    encoder = GopSymbolEncoder(tiny, coder, *size)
    decoder = GopSymbolDecoder(tiny, coder, *size)
    for t, (symbols, q) in enumerate(zip(symbols_of_a_gop(tiny, *size), QUALITIES, strict=True)):
        found = decoder.decode(encoder.encode(symbols, q), q, intra=t == 0)
        assert same(found, symbols)
        assert found.latent.dtype == np.int16
        assert decoder.checksum == encoder.checksum


def test_a_gop_is_parsed_without_the_networks_that_make_pictures(coder: Coder, tmp_path: Path):
    installed = installed_from(tiny_model(), tmp_path)
    encoder = GopSymbolEncoder(installed, coder, 3, 4)
    symbols = symbols_of_a_gop(installed, 3, 4)
    payloads = [encoder.encode(s, 20) for s in symbols]
    del installed.model.intra, installed.model.inter
    decoder = GopSymbolDecoder(installed, coder, 3, 4)
    for t, (payload, expected) in enumerate(zip(payloads, symbols, strict=True)):
        assert same(decoder.decode(payload, 20, intra=t == 0), expected)


def test_each_gop_starts_afresh(tiny: InstalledModel, coder: Coder):
    symbols = symbols_of_a_gop(tiny, 4, 5)
    once = GopSymbolEncoder(tiny, coder, 4, 5)
    again = GopSymbolEncoder(tiny, coder, 4, 5)
    assert [once.encode(s, 9) for s in symbols] == [again.encode(s, 9) for s in symbols]


def test_the_checksum_changes_with_any_symbol_of_any_frame(tiny: InstalledModel, coder: Coder):
    def checksum(frames: list[FrameSymbols]) -> int:
        crc = 0
        for frame in frames:
            crc = frame.checksum(crc)
        return crc

    found = {checksum(symbols_of_a_gop(tiny, 3, 3))}
    for t in range(len(QUALITIES)):
        for place in ("latent", "vectors"):
            frames = symbols_of_a_gop(tiny, 3, 3)
            array = getattr(frames[t], place)
            if array is not None:
                array[-1, -1, -1] += 1
                found.add(checksum(frames))
    assert len(found) == 2 * len(QUALITIES)
    frames = symbols_of_a_gop(tiny, 3, 3)
    for luma, chroma in product(Filtered, Filtered):
        frames[2] = replace(frames[2], filtered=(luma, chroma))
        found.add(checksum(frames))
    assert len(found) == 2 * len(QUALITIES) + len(Filtered) ** 2 - 1
    swapped = symbols_of_a_gop(tiny, 3, 3)
    swapped[1], swapped[2] = swapped[2], swapped[1]
    assert checksum(swapped) not in found


def test_a_frame_filtered_as_the_one_before_takes_less_than_a_bit_to_say_so(coder: Coder):
    def bits(choices: list[FilteredPlanes]) -> int:
        encoder = SymbolEncoder(coder)
        for before, now in pairwise([AFTER_INTRA, *choices]):
            encode_filtered(encoder, now, before)
        return 8 * len(encoder.to_bytes())

    every_other = [(Filtered.NONE, Filtered.ALL), (Filtered.ALL, Filtered.NONE)] * 50
    assert bits([AFTER_INTRA] * 100) < 100
    assert bits([(Filtered.ALL, Filtered.ALL)] * 100) < 100
    assert bits(every_other) > 500


def test_the_quality_and_the_frames_before_are_part_of_what_parsing_needs(
    tiny: InstalledModel, coder: Coder
):
    symbols = symbols_of_a_gop(tiny, 6, 6)
    encoder = GopSymbolEncoder(tiny, coder, 6, 6)
    frames = [(t, encoder.encode(s, 30), 30) for t, s in enumerate(symbols)]

    def parses(frames: list[tuple[int, bytes, int]]) -> bool:
        decoder = GopSymbolDecoder(tiny, coder, 6, 6)
        try:
            for t, payload, q in frames:
                decoder.decode(payload, q, intra=t == 0)
        except Malformed:
            return False
        return decoder.checksum == encoder.checksum

    assert parses(frames)
    assert not parses([frames[0], (1, frames[1][1], 60), *frames[2:]])
    assert not parses([frames[0], frames[1], frames[3]])
    assert not parses([frames[0], frames[2], frames[1], frames[3]])


def test_random_payloads_raise_nothing_but_malformed(tiny: InstalledModel, coder: Coder):
    rng = np.random.default_rng(9)
    sound = GopSymbolEncoder(tiny, coder, 3, 4)
    intra = sound.encode(symbols_of_a_gop(tiny, 3, 4)[0], 30)
    outcomes = set()
    for length in [0, 1, 4, *rng.integers(1, 900, 60)]:
        for number in (0, 1):
            decoder = GopSymbolDecoder(tiny, coder, 3, 4)
            try:
                if number:
                    decoder.decode(intra, 30, intra=True)
                found = decoder.decode(rng.bytes(int(length)), 30, intra=number == 0)
                if found.vectors is not None:
                    assert np.abs(found.vectors).max() <= VECTOR_LIMIT
                outcomes.add("parsed")
            except Malformed:
                outcomes.add("malformed")
    assert "malformed" in outcomes


def test_a_vector_beyond_the_limit_is_malformed(tiny: InstalledModel, coder: Coder):
    frames = symbols_of_a_gop(tiny, 3, 4)
    encoder = GopSymbolEncoder(tiny, coder, 3, 4)
    decoder = GopSymbolDecoder(tiny, coder, 3, 4)
    decoder.decode(encoder.encode(frames[0], 30), 30, intra=True)
    vectors = frames[1].vectors
    assert vectors is not None
    assert VECTOR_LIMIT == 1023  # as docs/format.md says
    vectors[0, 1, 1] = 1024
    with pytest.raises(Malformed, match="too long"):
        decoder.decode(encoder.encode(frames[1], 30), 30, intra=False)


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (8, 8), (9, 17), (33, 20)])
def test_every_block_gets_its_vector_in_exactly_one_step(size: tuple[int, int]):
    filled = sum(step.targets(*size).int() for step in STEPS)
    assert (torch.as_tensor(filled) == 1).all()
