"""The order in which symbols of intra frames become known, and the means that come from it."""

import numpy as np
import pytest
import torch

from neuralcodec.model.coarse_means import Between, CoarseMeans
from neuralcodec.model.lattice import COARSE_STEPS, parity_map, step_map, steps_of_positions

CPU = torch.device("cpu")
SIZES = [(1, 1), (2, 3), (7, 6), (16, 20)]


@pytest.mark.parametrize("size", SIZES)
def test_steps_are_of_the_first_half_alone_and_double_from_step_to_step(size: tuple[int, int]):
    steps = step_map(*size, 6, CPU)
    assert torch.equal(steps < COARSE_STEPS, parity_map(*size, 6, CPU) > 0)
    if size == (16, 20):
        shares = [(steps == step).float().mean().item() for step in range(COARSE_STEPS)]
        assert np.allclose(shares, [1 / 16, 1 / 16, 1 / 8, 1 / 4])


def test_each_position_says_the_step_of_its_first_half():
    steps, said = step_map(7, 9, 2, CPU), steps_of_positions(7, 9, CPU)
    for row in range(7):
        for column in range(9):
            own = int(steps[row, column].min())
            expected = [float(own == step) for step in range(COARSE_STEPS - 1)]
            assert said[row, column].tolist() == expected


def test_a_flat_picture_costs_one_value_in_sixteen():
    """What is known says all: the means of later steps are the value itself."""
    means = CoarseMeans(24)
    for step in means.steps:
        assert isinstance(step, Between)
        with torch.no_grad():
            step.correct.weight.zero_()
    flat = torch.full((1, 24, 9, 8), 3.0)
    found = means(lambda coarse: flat, flat)
    steps = step_map(9, 8, 24, CPU).permute(2, 0, 1)
    inside = (steps > 0) & (steps < COARSE_STEPS)
    assert torch.allclose(found[0][inside & _has_known(steps)], torch.tensor(3.0))
    assert (found[0][steps == 0] == 0).all() and (found[0][steps == COARSE_STEPS] == 0).all()


def _has_known(steps: torch.Tensor) -> torch.Tensor:
    """Where a symbol of an earlier step is within two positions."""
    least = -torch.nn.functional.max_pool2d(-steps[None].float(), 5, 1, 2)[0]
    return least < steps


def test_means_depend_on_earlier_steps_alone():
    torch.manual_seed(2)
    means = CoarseMeans(24)
    steps = step_map(8, 8, 24, CPU).permute(2, 0, 1)
    values = torch.randn(1, 24, 8, 8)
    with torch.no_grad():
        for step in range(COARSE_STEPS):
            changed = torch.where(steps >= step, torch.randn_like(values), values)
            same = steps <= step
            first, second = (means(lambda _, v=v: v, v) for v in (values, changed))
            assert torch.allclose(first[0][same], second[0][same], atol=1e-6)
            if step < COARSE_STEPS - 1:
                assert not torch.equal(first, second)
