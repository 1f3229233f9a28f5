"""Motion goes on along its trajectories."""

import numpy as np
import pytest

from neuralcodec.model.motion_values import BOTH, FIRST, SECOND
from neuralcodec.model.temporal_motion import ReferenceMotion, scaled, temporal_motion

SIZE = (4, 6)
OBJECT = (1, 4)  # the only block that moves


def reference(
    time: int, distances: tuple[int, int], *motion: int, at: tuple[int, int] = OBJECT
) -> ReferenceMotion:
    field = np.zeros((5, *SIZE), np.int16)
    if distances[0] != distances[1]:
        field[0] = BOTH
    if motion:
        field[(slice(None), *at)] = motion
    return ReferenceMotion(field, time, distances)


def moving(motion: np.ndarray) -> dict[tuple[int, int], list[int]]:
    """What moves, by block."""
    rows, columns = motion[1:].any(0).nonzero()
    return {
        (i, j): motion[:, i, j].tolist()
        for i, j in zip(rows.tolist(), columns.tolist(), strict=True)
    }


def test_in_a_chain_it_is_the_motion_of_the_last_frame():
    rng = np.random.default_rng(1)
    field = rng.integers(-1023, 1024, (5, *SIZE)).astype(np.int16)
    field[[0, 3, 4]] = 0
    last = ReferenceMotion(field, 7, (1, 1))
    assert np.array_equal(temporal_motion(8, (last, last)), field)


def test_after_an_intra_frame_nothing_moves():
    intra = reference(0, (0, 0))
    assert not temporal_motion(1, (intra, intra)).any()
    other = reference(4, (4, 4))
    assert (temporal_motion(2, (intra, other))[0] == BOTH).all()


def test_what_moves_between_two_frames_is_half_way_in_the_middle():
    """32 quarter samples to the left since the first frame, which is one block."""
    past, future = reference(0, (0, 0)), reference(4, (4, 4), FIRST, 64, -2, 0, 0)
    found = moving(temporal_motion(2, (past, future)))
    assert found == {(1, 5): [BOTH, 32, -1, -32, 1], OBJECT: [BOTH, 32, -1, -32, 1]}


def test_a_place_that_nothing_reached_has_what_lies_there_in_the_reference():
    past, future = reference(0, (0, 0)), reference(4, (4, 4), FIRST, 64, 0, 0, 0, at=(1, 5))
    found = moving(temporal_motion(2, (past, future)))
    assert list(found) == [(1, 5)]  # it moved out of the picture


def test_the_shorter_of_two_trajectories_counts():
    """Frame 3, between 2 and 4, of which 2 has seen how 4 moves, and 4 how it came from 0."""
    earlier = reference(2, (2, -2), BOTH, 0, 0, 6, 2)
    later = reference(4, (4, 4), FIRST, 40, 0, 0, 0)
    assert moving(temporal_motion(3, (earlier, later)))[OBJECT] == [BOTH, -3, -1, 3, 1]


def test_with_two_references_in_the_past_motion_stays_in_place_and_keeps_what_it_uses():
    before, last = reference(4, (1, 2)), reference(5, (1, 2), SECOND, 0, 0, 80, -3)
    found = moving(temporal_motion(6, (last, before)))
    assert found == {OBJECT: [SECOND, 40, -2, 80, -3]}


def test_vectors_keep_to_their_limit():
    past, future = reference(0, (0, 0)), reference(4, (1, 1), FIRST, 1000, -1000, 0, 0)
    assert moving(temporal_motion(9, (future, past)))[OBJECT] == [FIRST, 1023, -1023, 1023, -1023]


@pytest.mark.parametrize("numerator", [1, -1, 3, -7, 2**31])
@pytest.mark.parametrize("denominator", [1, -1, 2, -4, 5, 2**31 + 1])
def test_scaling_rounds_to_the_nearest_and_halves_away_from_zero(numerator: int, denominator: int):
    values = np.arange(-1023, 1024)
    for value, found in zip(values, scaled(values, numerator, denominator), strict=True):
        error = abs(int(found) * denominator - int(value) * numerator)
        assert 2 * error <= abs(denominator)
        if 2 * error == abs(denominator):
            assert abs(int(found) * denominator) > abs(int(value) * numerator)
