"""The compiled choice of motion by its price is that of tensor operations."""

import pytest
import torch
from motion_cases import clip, noise, tensor_operations, vectors
from torch import Tensor

from neuralcodec.encoder.motion.frame_motion import choose_motion
from neuralcodec.encoder.motion.motion_choice import FIRST_BITS, ErrorPrices, coefficient_costs
from neuralcodec.encoder.motion.motion_search import padded_planes, predicted_blocks
from neuralcodec.encoder.presets import MEDIUM
from neuralcodec.kernels.motion.choice import BIT_SHIFT, BLOCK, SIDE
from neuralcodec.kernels.motion.planes import PEAK
from neuralcodec.kernels.parsing.motion_walk import VECTOR_LIMIT
from neuralcodec.model.code_length import (
    PRICE_UNITS,
    decision_bits,
    laplace_bits,
    price_tables,
)
from neuralcodec.model.config import SCALES
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.model.motion_prior import MotionSetting
from neuralcodec.model.motion_values import BOTH, FIRST, SECOND

IN_ONE, BETWEEN, AFTER_BOTH = (1, 1), (1, -2), (1, 3)


def temporal(last: Tensor, is_two: bool) -> Tensor:
    """Vectors in both references, of blocks that use one or both."""
    which = (last[:, :1] % 3).abs() if is_two else torch.zeros_like(last[:, :1])
    return torch.cat([which, last, -last.flip(1) * is_two], 1)


def chosen(
    installed: InstalledModel,
    current: Tensor,
    references: tuple[Tensor, Tensor],
    last: Tensor,
    distances: tuple[int, int],
) -> Tensor:
    batch = len(current)
    is_two = distances[0] != distances[1]
    setting = MotionSetting(
        temporal(last, is_two),
        torch.tensor(distances).expand(batch, 2),
        torch.arange(batch) + is_two,
        torch.linspace(8, 42, batch).long(),
    )
    return choose_motion(installed.model, current, references, setting, MEDIUM)


def chosen_both_ways(
    installed: InstalledModel,
    current: Tensor,
    references: tuple[Tensor, Tensor],
    last: Tensor,
    distances: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    first = chosen(installed, current, references, last, distances)
    with tensor_operations():
        return first, chosen(installed, current, references, last, distances)


def beside(reference: Tensor, distances: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """If there are two: one that lacks a third on the left and one that lacks it on the right, both
    noisy."""
    if distances[0] == distances[1]:
        return reference, reference
    first, second = (
        (
            reference
            + 0.1 * torch.randn(reference.shape, generator=torch.Generator().manual_seed(n))
        ).clamp(0, 1)
        for n in range(2)
    )
    third = reference.shape[3] // 3
    first[..., :third], second[..., -third:] = 0, 0
    return first, second


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("distances", [IN_ONE, BETWEEN, AFTER_BOTH])
def test_a_clip_gives_the_same_motion(
    installed_model: InstalledModel, bit_depth: int, distances: tuple[int, int]
):
    current, reference = clip(192, 160, bit_depth)
    last, references = vectors(1, 160, 192, 8), beside(reference, distances)
    found, expected = chosen_both_ways(installed_model, current, references, last, distances)
    used = {FIRST} if distances == IN_ONE else {FIRST, SECOND, BOTH}
    assert set(found[:, 0].unique().tolist()) == used
    assert torch.equal(found, expected)


@pytest.mark.parametrize("size", [(1, 16, 16), (3, 16, 64), (2, 48, 80)])
@pytest.mark.parametrize("reach", [12, 250, VECTOR_LIMIT])
@pytest.mark.parametrize("distances", [IN_ONE, BETWEEN])
def test_batches_of_small_pictures_with_vectors_far_outside_give_the_same_motion(
    installed_model: InstalledModel,
    size: tuple[int, int, int],
    reach: int,
    distances: tuple[int, int],
):
    current, reference = noise(*size)
    last, references = vectors(*size, reach), beside(reference, distances)
    found, expected = chosen_both_ways(installed_model, current, references, last, distances)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("distances", [IN_ONE, BETWEEN])
def test_a_vector_that_leaves_the_reference_is_never_chosen(
    installed_model: InstalledModel, distances: tuple[int, int]
):
    """Though the last frame may have had it, and it would cost next to nothing."""
    flat = torch.full((1, 1, 48, 64), 0.5)
    last = torch.full((1, 2, 6, 8), 1000.0)
    found, expected = chosen_both_ways(installed_model, flat, (flat, flat), last, distances)
    assert not (found.abs() == 1000).any()
    assert torch.equal(found, expected)


def test_motion_is_the_same_for_any_number_of_threads(installed_model: InstalledModel):
    current, reference = clip(192, 160)
    last, references = vectors(1, 160, 192, 8), beside(reference, BETWEEN)
    fields = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        fields.append(chosen(installed_model, current, references, last, BETWEEN))
    assert torch.equal(fields[0], fields[1])
    assert torch.equal(fields[0], fields[2])


def test_frames_of_one_reference_and_of_two_are_chosen_together_as_alone(
    installed_model: InstalledModel,
):
    current, reference = clip(96, 80)
    last, references = vectors(1, 80, 96, 8), beside(reference, BETWEEN)
    parts = [
        MotionSetting(
            temporal(last, away != IN_ONE),
            torch.tensor([away]),
            torch.tensor([0]),
            torch.tensor([30]),
        )
        for away in (BETWEEN, IN_ONE, AFTER_BOTH)
    ]
    together = MotionSetting(
        *(torch.cat([getattr(p, name) for p in parts]) for name in vars(parts[0]))
    )
    luma = tuple(r.repeat(3, 1, 1, 1) for r in references)
    found = choose_motion(
        installed_model.model, current.repeat(3, 1, 1, 1), (luma[0], luma[1]), together, MEDIUM
    )
    for one, alone in zip(found, parts, strict=True):
        expected = choose_motion(installed_model.model, current, references, alone, MEDIUM)
        assert torch.equal(one, expected[0])


@pytest.mark.parametrize("reach", [3, 200, VECTOR_LIMIT])
def test_predicted_blocks_are_those_of_tensor_operations(reach: int):
    _, reference = noise(2, 48, 80)
    planes, field = padded_planes(reference), vectors(2, 48, 80, reach)
    found = predicted_blocks(planes, field)
    with tensor_operations():
        assert torch.equal(found, predicted_blocks(planes, field))
    still = predicted_blocks(planes, torch.zeros_like(field))
    assert torch.equal(still, (reference * 1023).round()[:, 0].to(torch.int16))


def test_prices_are_the_code_lengths_that_the_trainer_counts():
    decisions, differences = price_tables(torch.device("cpu"))
    indices = torch.arange(SCALES).double()
    for answer in (False, True):
        exact = decision_bits(torch.tensor(answer), indices)
        torch.testing.assert_close(
            decisions[int(answer)] / PRICE_UNITS, exact, rtol=0, atol=0.003, check_dtype=False
        )
    exact = laplace_bits(torch.tensor(-7.0).double(), indices)
    torch.testing.assert_close(
        differences[:, 7] / PRICE_UNITS, exact, rtol=0, atol=0.003, check_dtype=False
    )


def test_what_is_left_costs_lambda_times_its_squared_error_until_it_would_be_coded():
    mse_lambda = torch.tensor([60.0, 900.0, 20000.0])
    prices = ErrorPrices.of(mse_lambda)
    limit = (FIRST_BITS / mse_lambda).sqrt()  # of a coefficient
    for size in (0.7, 1.0, 2.5):
        step = (size * limit * PEAK / 4).round()  # in all samples of a block and around it
        assert step.max() < PEAK
        error = step[:, None, None, None].expand(3, 1, SIDE, SIDE)
        costs = coefficient_costs(error, prices.limits[:, None])[:, 0]
        bits = (prices.weights * costs) / (PRICE_UNITS * 2.0**BIT_SHIFT)
        relative = step * 4 / PEAK / limit  # the one coefficient of each square
        left = torch.where(relative < 1, relative**2, 1 + (relative - 1) / 4)
        assert torch.allclose(bits, (BLOCK / 4) ** 2 * FIRST_BITS * left, rtol=0.05)
