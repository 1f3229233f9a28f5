"""What scale priors see is in integers what it is in floats."""

import numpy as np
import pytest
import torch

from neuralcodec.kernels.parsing.exact_layers import ACTIVATION_UNITS
from neuralcodec.kernels.parsing.scale_inputs import advance_history, write_magnitudes, write_motion
from neuralcodec.model.exact import log_magnitude, log_magnitude_table, table_in_units
from neuralcodec.model.scale_prior import History, _motion_of_positions

TABLE = log_magnitude_table()
UNITS = table_in_units(TABLE)


def test_magnitudes_are_those_of_the_table_up_to_its_end_and_beyond():
    rng = np.random.default_rng(1)
    latent = rng.integers(-9, 10, (7, 12)).astype(np.int16)
    latent[0, :6] = -32767, 32767, 4095, 4096, -4095, 0
    values = latent[:, 2:9]
    out = np.full((8, 10), 99, np.int8)
    write_magnitudes(values, UNITS, out, 3)
    expected = log_magnitude(torch.from_numpy(values.copy()), TABLE) * ACTIVATION_UNITS
    assert np.array_equal(out[:7, 3:], expected.numpy())
    assert (out[7] == 99).all() and (out[:, :3] == 99).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 5)])
def test_motion_of_a_position_is_that_of_its_four_blocks(size: tuple[int, int]):
    generator = torch.Generator().manual_seed(2)
    shape = 1, 2, 2 * size[0], 2 * size[1]
    vectors = torch.randint(-1023, 1024, shape, generator=generator).float()
    out = np.full((size[0] * size[1], 7), 99, np.int8)
    write_motion(vectors[0].numpy(), UNITS, out, 2)
    expected = log_magnitude(_motion_of_positions(vectors), TABLE) * ACTIVATION_UNITS
    assert np.array_equal(out[:, 2:6], expected.reshape(-1, 4).numpy())
    assert (out[:, :2] == 99).all() and (out[:, 6] == 99).all()


def test_the_mean_of_magnitudes_moves_as_it_does_in_floats():
    rng = np.random.default_rng(3)
    frames = rng.integers(0, 128, (5, 6, 9)).astype(np.int8)
    history = np.concatenate([frames[0], frames[0]], 1)
    expected = History.begin(torch.from_numpy(frames[0]) / ACTIVATION_UNITS)
    for frame in frames[1:]:
        maps = np.full((7, 11), 99, np.int8)
        maps[:6, 2:] = frame
        advance_history(maps, 2, history)
        expected = expected.advance(torch.from_numpy(frame) / ACTIVATION_UNITS)
        both = torch.cat([expected.last, expected.mean], 1) * ACTIVATION_UNITS
        assert np.array_equal(history, both.numpy())


def test_a_table_off_the_grid_is_refused():
    with pytest.raises(ValueError, match="off the grid"):
        table_in_units(TABLE + 1 / 64)
