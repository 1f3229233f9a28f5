"""The symbols of a GOP to payloads and back, without any picture."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import torch
from codec_clips import PLACES, installed_from, random_symbols, tiny_model
from gop_placements import chain_of, pyramids

from neuralcodec.codec.filtered_symbols import AFTER_INTRA, FilteredPlanes, encode_filtered
from neuralcodec.codec.gop_symbols import (
    FrameSymbols,
    GopSymbolDecoder,
    GopSymbolEncoder,
    build_coder,
)
from neuralcodec.codec.skip_symbols import ANY
from neuralcodec.entropy import Coder, SymbolEncoder
from neuralcodec.entropy.coder import Malformed
from neuralcodec.kernels.parsing.motion_walk import VECTOR_LIMIT
from neuralcodec.model.loop_filters import Filtered
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.model.motion_steps import STEPS
from neuralcodec.model.motion_values import BOTH
from neuralcodec.model.skip_prior import SkipContext
from neuralcodec.references import Placement, chain, needed_for

QUALITIES = (5, 63, 0, 32)
CHAIN, PYRAMID = chain_of(len(QUALITIES)), pyramids(len(QUALITIES), 3)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> InstalledModel:
    return installed_from(tiny_model(), tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def coder(tiny: InstalledModel) -> Coder:
    return build_coder(tiny)


def symbols_of_a_gop(
    installed: InstalledModel,
    rows: int,
    columns: int,
    places: Sequence[Placement] = CHAIN,
    seed: int = 1,
) -> list[FrameSymbols]:
    rng, config = np.random.default_rng(seed), installed.model.config
    return random_symbols(rng, rows, columns, config, places)


def same(one: FrameSymbols, other: FrameSymbols) -> bool:
    if (one.motion is None) != (other.motion is None):
        return False
    motion = one.motion is None or np.array_equal(one.motion, other.motion)
    same_filters = one.filtered == other.filtered
    skipped = one.skipped is None or np.array_equal(one.skipped, other.skipped)
    return motion and skipped and same_filters and np.array_equal(one.latent, other.latent)


@pytest.mark.parametrize("places", [CHAIN, PYRAMID], ids=["chain", "pyramid"])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3), (8, 8), (17, 18)])
def test_the_symbols_of_a_gop_of_any_size_come_back(
    tiny: InstalledModel, coder: Coder, size: tuple[int, int], places: list[Placement]
):
    encoder = GopSymbolEncoder(tiny, coder, *size)
    decoder = GopSymbolDecoder(tiny, coder, *size)
    for symbols, q, place in zip(
        symbols_of_a_gop(tiny, *size, places), QUALITIES, places, strict=True
    ):
        found = decoder.decode(encoder.encode(symbols, q, place), q, place)
        assert same(found, symbols)
        assert found.latent.dtype == np.int16
        assert decoder.checksum == encoder.checksum


def test_a_gop_is_parsed_without_the_networks_that_make_pictures(coder: Coder, tmp_path: Path):
    installed = installed_from(tiny_model(), tmp_path)
    encoder = GopSymbolEncoder(installed, coder, 3, 4)
    symbols = symbols_of_a_gop(installed, 3, 4)
    payloads = [encoder.encode(s, 20, p) for s, p in zip(symbols, CHAIN, strict=True)]
    del installed.model.intra, installed.model.inter
    decoder = GopSymbolDecoder(installed, coder, 3, 4)
    for payload, expected, place in zip(payloads, symbols, CHAIN, strict=True):
        assert same(decoder.decode(payload, 20, place), expected)


def test_each_gop_starts_afresh(tiny: InstalledModel, coder: Coder):
    symbols = symbols_of_a_gop(tiny, 4, 5, PYRAMID)
    once = GopSymbolEncoder(tiny, coder, 4, 5)
    again = GopSymbolEncoder(tiny, coder, 4, 5)
    gop = list(zip(symbols, PYRAMID, strict=True))
    assert [once.encode(s, 9, p) for s, p in gop] == [again.encode(s, 9, p) for s, p in gop]


def test_the_memory_of_symbols_is_that_of_the_frames_referred_to(
    tiny: InstalledModel, coder: Coder
):
    """Frames that others do not refer to can be left out, and may be any."""
    symbols = random_symbols(np.random.default_rng(1), 5, 6, tiny.model.config, pyramids(17, 8))
    places = pyramids(17, 8)
    encoder = GopSymbolEncoder(tiny, coder, 5, 6)
    payloads = [encoder.encode(s, 30, p) for s, p in zip(symbols, places, strict=True)]
    for wanted in range(17):
        decoder = GopSymbolDecoder(tiny, coder, 5, 6)
        needed = needed_for(places, range(wanted, wanted + 1))
        assert len(needed) <= 1 + 2 + 3
        for i in needed:
            assert same(decoder.decode(payloads[i], 30, places[i]), symbols[i])
        assert places[i].shown == wanted


def test_a_frame_that_refers_to_an_empty_slot_is_malformed(tiny: InstalledModel, coder: Coder):
    symbols = symbols_of_a_gop(tiny, 3, 4)
    encoder = GopSymbolEncoder(tiny, coder, 3, 4)
    decoder = GopSymbolDecoder(tiny, coder, 3, 4)
    places = Placement(0, stored=2), Placement(1, slots=(2, 2), stored=None)
    payloads = [encoder.encode(s, 9, p) for s, p in zip(symbols[:2], places, strict=True)]
    for place in (places[1], Placement(1, slots=(0, 0)), Placement(1, slots=(2, 5))):
        with pytest.raises(Malformed, match="not there"):
            decoder.decode(payloads[1], 9, place)
    decoder.decode(payloads[0], 9, places[0])
    with pytest.raises(Malformed, match="not there"):
        decoder.decode(payloads[1], 9, Placement(1, slots=(2, 0)))
    assert same(decoder.decode(payloads[1], 9, places[1]), symbols[1])


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
    frames = [(p, encoder.encode(s, 30, p), 30) for s, p in zip(symbols, CHAIN, strict=True)]

    def parses(frames: list[tuple[Placement, bytes, int]]) -> bool:
        decoder = GopSymbolDecoder(tiny, coder, 6, 6)
        try:
            for place, payload, q in frames:
                decoder.decode(payload, q, place)
        except Malformed:
            return False
        return decoder.checksum == encoder.checksum

    assert parses(frames)
    assert not parses([frames[0], (CHAIN[1], frames[1][1], 60), *frames[2:]])
    assert not parses([frames[0], frames[1], frames[3]])
    assert not parses([frames[0], frames[2], frames[1], frames[3]])


def test_the_place_of_a_frame_is_part_of_what_parsing_needs(tiny: InstalledModel, coder: Coder):
    encoder = GopSymbolEncoder(tiny, coder, 6, 6)
    symbols = symbols_of_a_gop(tiny, 6, 6, PLACES)
    payloads = [encoder.encode(s, 30, place) for s, place in zip(symbols, PLACES, strict=True)]

    def parses(third: Placement) -> bool:
        decoder = GopSymbolDecoder(tiny, coder, 6, 6)
        try:
            for place, payload in zip([*PLACES[:2], third, *PLACES[3:]], payloads, strict=True):
                decoder.decode(payload, 30, place)
        except Malformed:
            return False
        return decoder.checksum == encoder.checksum

    assert parses(PLACES[2])
    assert not parses(replace(PLACES[2], slots=(1, 0)))
    assert not parses(replace(PLACES[2], slots=(0, 0)))
    assert not parses(replace(PLACES[2], shown=3))
    assert not parses(replace(PLACES[2], level=2))


def test_random_payloads_raise_nothing_but_malformed(tiny: InstalledModel, coder: Coder):
    rng = np.random.default_rng(9)
    sound = GopSymbolEncoder(tiny, coder, 3, 4)
    symbols = symbols_of_a_gop(tiny, 3, 4, PLACES)
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
    frames = symbols_of_a_gop(tiny, 3, 4, PLACES)
    encoder = GopSymbolEncoder(tiny, coder, 3, 4)
    decoder = GopSymbolDecoder(tiny, coder, 3, 4)
    for symbols, place in zip(frames[:2], PLACES, strict=False):
        decoder.decode(encoder.encode(symbols, 30, place), 30, place)
    motion = frames[2].motion
    assert motion is not None
    assert VECTOR_LIMIT == 1023  # as docs/format.md says
    motion[0, 1, 1] = BOTH
    motion[part, 1, 1] = 1024
    with pytest.raises(Malformed, match="too long"):
        decoder.decode(encoder.encode(frames[2], 30, PLACES[2]), 30, PLACES[2])


def test_a_symbol_at_a_skipped_position_is_malformed(tiny: InstalledModel, coder: Coder):
    frames = symbols_of_a_gop(tiny, 3, 4, PLACES)
    encoder, decoder = (kind(tiny, coder, 3, 4) for kind in (GopSymbolEncoder, GopSymbolDecoder))
    decoder.decode(encoder.encode(frames[0], 30, PLACES[0]), 30, PLACES[0])
    skipped = np.zeros((3, 4), bool)
    skipped[1, 2] = True
    latent = frames[1].latent.copy()
    latent[1, 2, -1] = 1
    payload = encoder.encode(replace(frames[1], latent=latent, skipped=skipped), 30, PLACES[1])
    with pytest.raises(Malformed, match="is skipped"):
        decoder.decode(payload, 30, PLACES[1])


class _SaysThatSomeAreSkipped(GopSymbolEncoder):
    def _encode_skipped(
        self, encoder: SymbolEncoder, skipped: np.ndarray, context: SkipContext
    ) -> None:
        encoder.decision(True, ANY)
        flags = torch.from_numpy(skipped).float()[None, None]
        for step in self.model.skip_prior.walk(flags, context, self.model.log_table):
            indices = step.indices[step.asked].to(torch.uint8).numpy()
            encoder.decisions(np.zeros(len(indices), bool), indices)


def test_that_some_position_is_skipped_is_malformed_where_none_is(
    tiny: InstalledModel, coder: Coder
):
    frames = symbols_of_a_gop(tiny, 3, 4, PLACES)
    encoder = _SaysThatSomeAreSkipped(tiny, coder, 3, 4)
    decoder = GopSymbolDecoder(tiny, coder, 3, 4)
    decoder.decode(encoder.encode(frames[0], 30, PLACES[0]), 30, PLACES[0])
    none = replace(frames[1], skipped=np.zeros((3, 4), bool))
    with pytest.raises(Malformed, match="none is"):
        decoder.decode(encoder.encode(none, 30, PLACES[1]), 30, PLACES[1])


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
    encoder, decoder = (kind(tiny, coder, 3, 4) for kind in (GopSymbolEncoder, GopSymbolDecoder))
    for symbols, place in zip(symbols_of_a_gop(tiny, 3, 4, places), places, strict=True):
        assert same(decoder.decode(encoder.encode(symbols, 30, place), 30, place), symbols)


def test_a_frame_cannot_refer_to_one_that_is_shown_at_its_own_time(
    tiny: InstalledModel, coder: Coder
):
    encoder = GopSymbolEncoder(tiny, coder, 3, 4)
    frames = symbols_of_a_gop(tiny, 3, 4)
    encoder.encode(frames[0], 30, chain(0))
    with pytest.raises(Malformed, match="same time"):
        encoder.encode(frames[1], 30, replace(chain(1), shown=0))


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (8, 8), (9, 17), (33, 20)])
def test_every_block_gets_its_vector_in_exactly_one_step(size: tuple[int, int]):
    filled = sum(step.targets(*size).int() for step in STEPS)
    assert (torch.as_tensor(filled) == 1).all()
