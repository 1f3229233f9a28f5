"""The compiled choice of vectors by their price is that of tensor operations."""

import pytest
import torch
from motion_cases import clip, noise, tensor_operations, vectors
from torch import Tensor

from neuralcodec.encoder.motion_choice import choose_vectors
from neuralcodec.encoder.motion_search import padded_planes, search_vectors
from neuralcodec.model.code_length import (
    PRICE_UNITS,
    decision_bits,
    laplace_bits,
    price_tables,
)
from neuralcodec.model.config import SCALES
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.model.motion_prior import VECTOR_LIMIT


def chosen(
    installed: InstalledModel, current: Tensor, reference: Tensor, found: Tensor, last: Tensor
) -> Tensor:
    model, batch = installed.model, len(current)
    q = torch.linspace(8, 42, batch).long()
    weights = model.config.quality_lambdas(q)
    planes = padded_planes(reference)
    prior, table = model.vector_prior, model.log_table
    return choose_vectors(prior, table, current, planes, found, last, q, weights)


def chosen_both_ways(
    installed: InstalledModel, current: Tensor, reference: Tensor, last: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    found = search_vectors(current, reference, last, torch.full((len(current),), 800.0))
    first = chosen(installed, current, reference, found, last)
    with tensor_operations():
        return found, first, chosen(installed, current, reference, found, last)


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_a_clip_gives_the_same_vectors(installed_model: InstalledModel, bit_depth: int):
    last = vectors(1, 160, 192, 8)
    found, first, expected = chosen_both_ways(installed_model, *clip(192, 160, bit_depth), last)
    assert not torch.equal(found, expected)
    assert torch.equal(first, expected)


@pytest.mark.parametrize("size", [(1, 16, 16), (3, 16, 64), (2, 48, 80)])
@pytest.mark.parametrize("reach", [12, 60, 250, VECTOR_LIMIT])
def test_batches_of_small_pictures_with_vectors_far_outside_give_the_same_vectors(
    installed_model: InstalledModel, size: tuple[int, int, int], reach: int
):
    _, first, expected = chosen_both_ways(installed_model, *noise(*size), vectors(*size, reach))
    assert torch.equal(first, expected)


def test_a_vector_that_leaves_the_reference_is_never_chosen(installed_model: InstalledModel):
    """Though the last frame may have had it, and it would cost next to nothing."""
    flat = torch.full((1, 1, 48, 64), 0.5)
    last = torch.full((1, 2, 6, 8), 1000.0)
    _, first, expected = chosen_both_ways(installed_model, flat, flat, last)
    assert not (first == 1000).any()
    assert torch.equal(first, expected)


def test_vectors_are_the_same_for_any_number_of_threads(installed_model: InstalledModel):
    current, reference = clip(192, 160)
    last = vectors(1, 160, 192, 8)
    found = search_vectors(current, reference, last, torch.tensor([800.0]))
    fields = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        fields.append(chosen(installed_model, current, reference, found, last))
    assert torch.equal(fields[0], fields[1])
    assert torch.equal(fields[0], fields[2])


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
