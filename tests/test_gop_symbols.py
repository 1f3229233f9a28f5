"""The symbols of a GOP to payloads and back, without any picture."""

from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import torch
from codec_clips import PLACES, installed_from, random_symbols, tiny_model

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
from neuralcodec.references import Placement

QUALITIES = (5, 63, 0, 32, 21, 40, 7)


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
    return random_symbols(rng, rows, columns, config, PLACES)


def same(one: FrameSymbols, other: FrameSymbols) -> bool:
    if (one.motion is None) != (other.motion is None):
        return False
    motion = one.motion is None or np.array_equal(one.motion, other.motion)
    same_filters = one.filtered == other.filtered
    return motion and same_filters and np.array_equal(one.latent, other.latent)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3), (8, 8), (17, 18)])
def test_the_symbols_of_a_gop_of_any_size_come_back(
    tiny: InstalledModel, coder: Coder, size: tuple[int, int]
):
    encoder = GopSymbolEncoder(tiny, coder, *size)
    decoder = GopSymbolDecoder(tiny, coder, *size)
    for symbols, q, place in zip(symbols_of_a_gop(tiny, *size), QUALITIES, PLACES, strict=True):
        found = decoder.decode(encoder.encode(symbols, q, place), q, place)
        assert same(found, symbols)
        assert found.latent.dtype == np.int16
        assert decoder.checksum == encoder.checksum


def test_a_gop_is_parsed_without_the_networks_that_make_pictures(coder: Coder, tmp_path: Path):
    installed = installed_from(tiny_model(), tmp_path)
    encoder = GopSymbolEncoder(installed, coder, 3, 4)
    symbols = symbols_of_a_gop(installed, 3, 4)
    payloads = [encoder.encode(s, 20, place) for s, place in zip(symbols, PLACES, strict=True)]
    del installed.model.intra, installed.model.inter
    decoder = GopSymbolDecoder(installed, coder, 3, 4)
    for payload, expected, place in zip(payloads, symbols, PLACES, strict=True):
        assert same(decoder.decode(payload, 20, place), expected)


def test_each_gop_starts_afresh(tiny: InstalledModel, coder: Coder):
    symbols = symbols_of_a_gop(tiny, 4, 5)
    once = GopSymbolEncoder(tiny, coder, 4, 5)
    again = GopSymbolEncoder(tiny, coder, 4, 5)
    for s, place in zip(symbols, PLACES, strict=True):
        assert once.encode(s, 9, place) == again.encode(s, 9, place)


def test_the_checksum_changes_with_any_symbol_of_any_frame(tiny: InstalledModel, coder: Coder):
    def checksum(frames: list[FrameSymbols]) -> int:
        crc = 0
        for frame in frames:
            crc = frame.checksum(crc)
        return crc

    found = {checksum(symbols_of_a_gop(tiny, 3, 3))}
    for t in range(len(QUALITIES)):
        for part in ("latent", "motion"):
            frames = symbols_of_a_gop(tiny, 3, 3)
            array = getattr(frames[t], part)
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
    frames = [
        (encoder.encode(s, 30, place), 30, place) for s, place in zip(symbols, PLACES, strict=True)
    ]

    def parses(frames: list[tuple[bytes, int, Placement]]) -> bool:
        decoder = GopSymbolDecoder(tiny, coder, 6, 6)
        try:
            for frame in frames:
                decoder.decode(*frame)
        except Malformed:
            return False
        return decoder.checksum == encoder.checksum

    payload, _, place = frames[2]
    assert parses(frames)
    assert not parses([*frames[:2], (payload, 60, place), *frames[3:]])
    assert not parses([*frames[:3], *frames[4:]])
    assert not parses([frames[0], frames[2], frames[1], *frames[3:]])
    for other in (
        replace(place, slots=(1, 0)),
        replace(place, shown=3),
        replace(place, level=2),
        replace(place, slots=(0, 0)),
        replace(place, shown=4),
    ):
        assert not parses([*frames[:2], (payload, 30, other), *frames[3:]]), other


def test_random_payloads_raise_nothing_but_malformed(tiny: InstalledModel, coder: Coder):
    rng = np.random.default_rng(9)
    sound = GopSymbolEncoder(tiny, coder, 3, 4)
    symbols = symbols_of_a_gop(tiny, 3, 4)
    payloads = [sound.encode(s, 30, place) for s, place in zip(symbols, PLACES, strict=True)]
    outcomes = set()
    for length in [0, 1, 4, *rng.integers(1, 900, 40)]:
        for number in (0, 1, 2):
            decoder = GopSymbolDecoder(tiny, coder, 3, 4)
            try:
                for payload, place in zip(payloads[:number], PLACES, strict=False):
                    decoder.decode(payload, 30, place)
                found = decoder.decode(rng.bytes(int(length)), 30, PLACES[number])
                if found.motion is not None:
                    assert np.abs(found.motion[1:]).max() <= VECTOR_LIMIT
                outcomes.add("parsed")
            except Malformed:
                outcomes.add("malformed")
    assert "malformed" in outcomes


@pytest.mark.parametrize("part", [1, 4])
def test_a_vector_beyond_the_limit_is_malformed(tiny: InstalledModel, coder: Coder, part: int):
    frames = symbols_of_a_gop(tiny, 3, 4)
    encoder = GopSymbolEncoder(tiny, coder, 3, 4)
    decoder = GopSymbolDecoder(tiny, coder, 3, 4)
    for symbols, place in zip(frames[:2], PLACES, strict=False):
        decoder.decode(encoder.encode(symbols, 30, place), 30, place)
    motion = frames[2].motion
    assert motion is not None
    assert VECTOR_LIMIT == 1023  # as docs/format.md says
    motion[0, 1, 1] = 2
    motion[part, 1, 1] = 1024
    with pytest.raises(Malformed, match="too long"):
        decoder.decode(encoder.encode(frames[2], 30, PLACES[2]), 30, PLACES[2])


def test_motion_is_predicted_across_times_as_far_apart_as_can_be(
    tiny: InstalledModel, coder: Coder
):
    """Mirrored vectors and trajectories keep to the limit, whatever the times are."""
    far = 2**32 - 1
    places = [
        Placement(0),
        Placement(far, slots=(0, 0), stored=1),
        Placement(1, level=1, slots=(0, 1), stored=2),
        Placement(far - 1, level=2, slots=(2, 1), stored=3),
        Placement(2, level=7, slots=(3, 2), stored=None),
    ]
    rng = np.random.default_rng(2)
    encoder, decoder = (kind(tiny, coder, 3, 4) for kind in (GopSymbolEncoder, GopSymbolDecoder))
    frames = random_symbols(rng, 3, 4, tiny.model.config, places)
    for symbols, place in zip(frames, places, strict=True):
        assert same(decoder.decode(encoder.encode(symbols, 30, place), 30, place), symbols)


def test_a_frame_cannot_refer_to_one_that_is_shown_at_its_own_time(
    tiny: InstalledModel, coder: Coder
):
    encoder = GopSymbolEncoder(tiny, coder, 3, 4)
    frames = symbols_of_a_gop(tiny, 3, 4)
    encoder.encode(frames[0], 30, PLACES[0])
    with pytest.raises(Malformed, match="same time"):
        encoder.encode(frames[1], 30, replace(PLACES[1], shown=0))


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (8, 8), (9, 17), (33, 20)])
def test_every_block_gets_its_vector_in_exactly_one_step(size: tuple[int, int]):
    filled = sum(step.targets(*size).int() for step in STEPS)
    assert (torch.as_tensor(filled) == 1).all()
