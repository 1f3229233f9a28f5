"""Symbols are grouped by the index of their table, with kernels as without."""

import numpy as np
import pytest

from neuralcodec.entropy.grouping import Groups
from neuralcodec.kernels import compiled

SUPPORTS = np.array([0, *range(1, 64)], np.int32)


@pytest.fixture(params=["kernels", "arrays"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "arrays":
        monkeypatch.setattr(compiled, "_fault", lambda: "switched off")


def a_map(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """values, some outside of their table; indices, many 0 and some missing; what is listed."""
    rng = np.random.default_rng(rows)
    indices = np.clip(rng.integers(-9, 40, (rows, columns)), 0, 63).astype(np.uint8)
    indices[indices == 7] = 8
    values = np.round(rng.laplace(0, 6, (rows, columns))).astype(np.int16)
    values[rng.random((rows, columns)) < 0.05] = rng.choice([-32767, 32767])
    values[(indices == 0) & (rng.random((rows, columns)) < 0.9)] = 0
    return values, indices, rng.random((rows, columns)) < 0.5


def grouped(values: np.ndarray, indices: np.ndarray, chosen: np.ndarray) -> dict[str, list[int]]:
    """By the definition: index after index, each in the order of the list."""
    found: dict[str, list[int]] = {"symbols": [], "outside": []}
    flat = [array.ravel().tolist() for array in (values, indices, chosen)]
    for index in range(64):
        for place, (value, own, is_listed) in enumerate(zip(*flat, strict=True)):
            if own == index and is_listed:
                support = int(SUPPORTS[index])
                is_outside = abs(value) > support
                if index:
                    found["symbols"].append(2 * support + 1 if is_outside else value + support)
                if is_outside:
                    found["outside"].append(place)
    return found


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (23, 1), (17, 30)])
@pytest.mark.parametrize("has_choice", [False, True])
def test_symbols_are_gathered_by_index_and_spread_to_where_they_were(
    shape: tuple[int, int], has_choice: bool
):
    values, indices, chosen = a_map(*shape)
    if not has_choice:
        chosen[:] = True
    groups = Groups(indices, chosen if has_choice else None)
    symbols, outside = groups.gather(values, SUPPORTS)
    expected = grouped(values, indices, chosen)
    assert symbols.dtype == np.int32 and symbols.tolist() == expected["symbols"]
    assert outside.tolist() == expected["outside"]
    assert groups.zeros == int((indices[chosen] == 0).sum())
    stretches = list(groups)
    assert [index for index, _, _ in stretches] == sorted(set(indices[chosen].tolist()) - {0})

    latent = np.full((shape[0], shape[1] + 3), 5, np.int16)
    back = latent[:, 2:-1]
    read = [symbols[start:end] for _, start, end in stretches]
    outside_again = groups.spread(read, SUPPORTS, back)
    is_outside = np.zeros(values.shape, bool)
    is_outside.ravel()[outside] = True
    is_inside = chosen & ~is_outside
    assert np.array_equal(back[is_inside], values[is_inside])
    assert (back[chosen & is_outside & (indices == 0)] == 0).all()
    assert (back[~chosen] == 5).all() and (latent[:, :2] == 5).all()
    escaped = [place for place in outside.tolist() if indices.ravel()[place]]
    assert outside_again.tolist() == escaped


@pytest.mark.usefixtures("_way")
def test_a_list_without_symbols_has_no_groups():
    nothing = np.zeros(0, np.uint8)
    groups = Groups(nothing)
    symbols, outside = groups.gather(nothing.astype(np.int16), SUPPORTS)
    assert not list(groups) and not len(symbols) and not len(outside)
    assert not len(groups.spread([], SUPPORTS, nothing.astype(np.int16)))


@pytest.mark.usefixtures("_way")
def test_a_map_of_which_nothing_is_listed_has_no_groups():
    values, indices, chosen = a_map(4, 5)
    groups = Groups(indices, np.zeros_like(chosen))
    symbols, outside = groups.gather(values, SUPPORTS)
    assert not list(groups) and not len(symbols) and not len(outside) and not groups.zeros
