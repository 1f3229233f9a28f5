"""Symbols to bytes and back."""

import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neuralcodec.entropy import Coder, SymbolDecoder, SymbolEncoder
from neuralcodec.entropy.coder import EXCEPTION_INDEX, LARGEST, Malformed
from neuralcodec.model.tables import PRECISION, make_tables

TABLES = make_tables()
SYMBOL_TABLES = [table.numpy() for table in TABLES.symbols]
CODER = Coder.build(SYMBOL_TABLES, TABLES.decisions.numpy(), PRECISION)
SMALL = st.integers(-3, 3)
ANY = st.integers(-LARGEST, LARGEST) | SMALL


def encoded(values: np.ndarray, indices: np.ndarray) -> bytes:
    encoder = SymbolEncoder(CODER)
    encoder.symbols(values, indices)
    return encoder.to_bytes()


def decoded(data: bytes, indices: np.ndarray) -> np.ndarray:
    decoder = SymbolDecoder(CODER, data)
    values = decoder.symbols(indices)
    decoder.finish()
    return values


lists_of_symbols = st.integers(0, 60).flatmap(
    lambda n: st.tuples(
        arrays(np.int16, n, elements=ANY),
        arrays(np.uint8, n, elements=st.integers(0, 63) | st.integers(0, 2)),
    )
)


@given(lists_of_symbols)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_symbols_come_back_whatever_their_indices(lists: tuple[np.ndarray, np.ndarray]):
    values, indices = lists
    assert np.array_equal(decoded(encoded(values, indices), indices), values)


@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.lists(st.tuples(st.integers(0, 63), ANY, st.booleans()), max_size=8),
        ),
        max_size=6,
    )
)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_decisions_and_symbols_come_back_in_the_order_given(
    calls: list[tuple[bool, list[tuple[int, int, bool]]]],
):
    encoder = SymbolEncoder(CODER)
    lists = []
    for is_decision, items in calls:
        indices = np.array([i for i, _, _ in items], np.uint8)
        values = np.array([v for _, v, _ in items], np.int16)
        yes = np.array([y for _, _, y in items], bool)
        lists.append((is_decision, indices, yes if is_decision else values))
        if is_decision:
            encoder.decisions(yes, indices)
        else:
            encoder.symbols(values, indices)
    decoder = SymbolDecoder(CODER, encoder.to_bytes())
    for is_decision, indices, expected in lists:
        found = decoder.decisions(indices) if is_decision else decoder.symbols(indices)
        assert np.array_equal(found, expected)
    decoder.finish()


def test_every_index_codes_the_ends_of_its_table_and_what_lies_beyond():
    values, indices = [], []
    for index, table in enumerate(SYMBOL_TABLES):
        support = len(table) // 2 - 1
        for value in (0, support, -support, support + 1, -support - 1, LARGEST, -LARGEST):
            values.append(value)
            indices.append(index)
    symbols, places = np.array(values, np.int16), np.array(indices, np.uint8)
    assert np.array_equal(decoded(encoded(symbols, places), places), symbols)


def test_symbols_certain_to_be_zero_cost_nothing_and_exceptions_to_it_a_few_bytes():
    indices = np.full(100_000, EXCEPTION_INDEX, np.uint8)
    values = np.zeros(len(indices), np.int16)
    assert len(encoded(values, indices)) <= 1
    values[[5, 70_000, 99_999]] = 1, -LARGEST, LARGEST
    data = encoded(values, indices)
    assert len(data) < 30
    assert np.array_equal(decoded(data, indices), values)


def test_nothing_takes_no_bytes():
    nothing = np.zeros(0, np.uint8)
    encoder = SymbolEncoder(CODER)
    encoder.symbols(nothing.astype(np.int16), nothing)
    encoder.decisions(nothing.astype(bool), nothing)
    assert encoder.to_bytes() == b""
    decoder = SymbolDecoder(CODER, b"")
    assert len(decoder.symbols(nothing)) == 0 and len(decoder.decisions(nothing)) == 0
    decoder.finish()


def test_the_size_is_the_information_content_within_one_percent():
    rng = np.random.default_rng(4)
    indices = rng.integers(1, 64, 60_000).astype(np.uint8)
    values = np.zeros(len(indices), np.int16)
    information = 0.0
    for index in range(1, 64):
        places = np.flatnonzero(indices == index)
        masses = SYMBOL_TABLES[index] / (1 << PRECISION)
        support = len(masses) // 2 - 1
        chosen = rng.choice(2 * support + 1, len(places), p=masses[:-1] / masses[:-1].sum())
        values[places] = chosen - support
        information -= float(np.log2(masses[chosen]).sum())
    assert len(encoded(values, indices)) * 8 == pytest.approx(information, rel=0.01)


def test_decisions_cost_their_information_within_one_percent():
    rng = np.random.default_rng(5)
    indices = rng.integers(0, 64, 60_000)
    chances = TABLES.decisions.numpy()[indices] / (1 << PRECISION)
    yes = rng.random(len(indices)) < chances
    encoder = SymbolEncoder(CODER)
    encoder.decisions(yes, indices)
    information = -float(np.log2(np.where(yes, chances, 1 - chances)).sum())
    assert len(encoder.to_bytes()) * 8 == pytest.approx(information, rel=0.01)


def read_as_a_frame(data: bytes, seed: int) -> None:
    rng = np.random.default_rng(seed)
    decoder = SymbolDecoder(CODER, data)
    decoder.decisions(rng.integers(0, 64, 50))
    for _ in range(3):
        indices = rng.integers(0, 64, 200).astype(np.uint8)
        indices[rng.random(200) < 0.5] = EXCEPTION_INDEX
        values = decoder.symbols(indices)
        assert values.dtype == np.int16 and np.abs(values.astype(int)).max() <= LARGEST
    decoder.finish()


@given(st.binary(max_size=400), st.integers(0, 3))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_arbitrary_bytes_raise_nothing_but_malformed(data: bytes, seed: int):
    with suppress(Malformed):
        read_as_a_frame(data, seed)


def test_bytes_left_over_are_malformed():
    rng = np.random.default_rng(6)
    indices = rng.integers(20, 64, 300).astype(np.uint8)
    data = encoded(rng.integers(-9, 9, 300).astype(np.int16), indices)
    for other in (data + b"\1\2\3\4", data * 2, b"\1" * (2 * len(data))):
        with pytest.raises(Malformed):
            decoded(other, indices)


@pytest.mark.parametrize("zeros", [4, 5, 8])
def test_a_last_word_of_zero_is_malformed(zeros: int):
    with pytest.raises(Malformed, match="zero"):
        SymbolDecoder(CODER, b"\7" * 8 + bytes(zeros))


def test_a_frame_cannot_claim_more_exceptions_than_it_has_symbols():
    many = np.full(4000, EXCEPTION_INDEX, np.uint8)
    data = encoded(np.ones(len(many), np.int16), many)
    with pytest.raises(Malformed, match="4000 exceptions among 100 symbols"):
        SymbolDecoder(CODER, data).symbols(many[:100])
    last = np.zeros(len(many), np.int16)
    last[-1] = 1
    with pytest.raises(Malformed, match="outside of the frame"):
        SymbolDecoder(CODER, encoded(last, many)).symbols(many[:100])


def test_the_time_for_hostile_bytes_grows_with_the_symbols_asked_for_not_with_what_they_claim():
    data = np.random.default_rng(7).bytes(3_000_000)
    indices = np.full(100, EXCEPTION_INDEX, np.uint8)
    start = time.perf_counter()
    for shift in range(200):
        with suppress(Malformed):
            SymbolDecoder(CODER, data[: 4000 + shift]).symbols(indices)
    with suppress(Malformed):
        SymbolDecoder(CODER, data).symbols(indices)
    assert time.perf_counter() - start < 2


def test_equal_symbols_give_equal_bytes():
    rng = np.random.default_rng(8)
    indices = rng.integers(0, 64, 500).astype(np.uint8)
    values = rng.integers(-40, 40, 500).astype(np.int16)
    assert encoded(values, indices) == encoded(values.astype(np.int32), indices.astype(np.int64))


def test_nothing_is_printed_to_standard_output():
    code = (
        "import sys; sys.path[:0] = sys.argv[1:];"
        "import numpy as np; import test_entropy_coder as t;"
        "i = np.arange(64, dtype=np.uint8); v = np.full(64, 900, np.int16);"
        "e = t.SymbolEncoder(t.CODER); e.decisions(v > 0, i); e.symbols(v, i);"
        "d = t.SymbolDecoder(t.CODER, e.to_bytes()); d.decisions(i); d.symbols(i); d.finish()"
    )
    command = [sys.executable, "-c", code, *(p for p in sys.path if p)]
    assert subprocess.run(command, check=True, capture_output=True).stdout == b""


# The tables


def test_every_table_is_a_distribution_that_widens_with_its_index():
    widths = [len(table) for table in SYMBOL_TABLES]
    assert widths == sorted(widths)
    peaks = [int(table[len(table) // 2 - 1]) for table in SYMBOL_TABLES]
    assert peaks == sorted(peaks, reverse=True)
    for table in SYMBOL_TABLES:
        assert table.sum() == 1 << PRECISION and table.min() >= 1
        values = table[:-1]
        assert np.array_equal(values, values[::-1])


def test_decisions_become_likelier_with_their_index_and_are_never_certain():
    chances = TABLES.decisions
    assert (chances.diff() > 0).all()
    assert torch.equal(chances + chances.flip(0), torch.full_like(chances, 1 << PRECISION))
