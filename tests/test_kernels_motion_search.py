"""The compiled motion search finds the vectors that tensor operations find."""

from itertools import product

import pytest
import torch
from motion_cases import clip, noise, tensor_operations, vectors
from torch import Tensor

from neuralcodec.encoder.motion.motion_levels import TorchLevel, bit_table
from neuralcodec.encoder.motion.motion_search import (
    AROUND,
    NORMAL_SEARCH,
    THOROUGH_SEARCH,
    SearchEffort,
    bit_weights,
    full_search,
    padded_planes,
    samples_of,
    search_vectors,
)
from neuralcodec.encoder.presets import MEDIUM
from neuralcodec.kernels.motion.planes import CURRENT_BORDER
from neuralcodec.kernels.motion.search import COARSE, FINE, THOROUGH, SearchLevel, Support
from neuralcodec.model.motion_prior import VECTOR_LIMIT

EFFORTS = [NORMAL_SEARCH, THOROUGH_SEARCH, MEDIUM.search, SearchEffort(False, False)]


def found_both_ways(
    current: Tensor, reference: Tensor, last: Tensor, effort: SearchEffort = MEDIUM.search
) -> tuple[Tensor, Tensor]:
    weights = torch.linspace(50, 8000, len(current))
    found = search_vectors(current, reference, last, weights, effort)
    with tensor_operations():
        return found, search_vectors(current, reference, last, weights, effort)


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("bit_depth", [8, 10])
def test_a_clip_gives_the_same_vectors(bit_depth: int, effort: SearchEffort):
    current, reference = clip(128, 96, bit_depth)
    found, expected = found_both_ways(current, reference, vectors(1, 96, 128, 30), effort)
    assert found.any()
    assert torch.equal(found, expected)


@pytest.mark.parametrize("size", [(1, 16, 16), (3, 16, 64), (2, 64, 16), (2, 48, 80)])
def test_batches_of_small_pictures_with_vectors_far_outside_give_the_same_vectors(
    size: tuple[int, int, int],
):
    for reach, effort in product((12, VECTOR_LIMIT), EFFORTS):
        found, expected = found_both_ways(*noise(*size), vectors(*size, reach), effort)
        assert torch.equal(found, expected)


def test_flat_pictures_where_all_errors_are_equal_give_the_same_vectors():
    flat = torch.full((1, 1, 48, 64), 0.5)
    for last in (vectors(1, 48, 64, 40), vectors(1, 48, 64, 40) * 0):
        found, expected = found_both_ways(flat, flat, last)
        assert torch.equal(found, expected)


def test_vectors_are_the_same_for_any_number_of_threads():
    current, reference = clip(192, 160)
    last = vectors(1, 160, 192, 30)
    fields = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        fields.append(search_vectors(current, reference, last, torch.tensor([800.0])))
    assert torch.equal(fields[0], fields[1])
    assert torch.equal(fields[0], fields[2])


@pytest.mark.parametrize("support", [COARSE, FINE, THOROUGH])
def test_vectors_that_only_bits_tell_apart_are_compared_by_them(support: Support):
    """Offers to a field of many vectors, in a flat picture."""
    flat = torch.full((1, 1, 64, 96), 0.5)
    samples, planes = samples_of(flat, CURRENT_BORDER), padded_planes(flat)
    prices = bit_table(flat.device), torch.tensor([100])
    step = support.block // 8
    start, before = (vectors(1, 64, 96, n)[..., ::step, ::step] for n in (60, 20))
    start, before = (v.flip(3).permute(0, 2, 3, 1).int() for v in (start, before))
    levels = (
        SearchLevel(samples, planes, *prices, support, VECTOR_LIMIT),
        TorchLevel(samples, planes, *prices, support),
    )
    for level in levels:
        level.begin(start)
        level.offer(moves=AROUND, step=4)
        level.offer([before], neighbours=1, moves=AROUND, step=1, before=before)
    assert not torch.equal(levels[0].best, start)
    assert torch.equal(levels[0].best, levels[1].best)


@pytest.mark.parametrize(("scale", "reach"), [(8, 6), (4, 3), (4, 1)])
def test_every_offset_is_searched_as_by_tensor_operations(scale: int, reach: int):
    for current, reference in (noise(2, 48, 80), clip(128, 96)):
        samples, planes = samples_of(current, CURRENT_BORDER), padded_planes(reference)
        weights = bit_weights(torch.full((len(current),), 500.0), 1.0)
        found = full_search(samples, planes, weights, scale, reach)
        with tensor_operations():
            expected = full_search(samples, planes, weights, scale, reach)
        assert torch.equal(found, expected)


def test_of_offsets_that_are_equally_good_the_first_is_taken():
    """Stripes whose period is twice the shift: as well to the left as to the right."""
    stripes = (torch.arange(96) // 8 % 2).float().expand(1, 1, 96, 96).contiguous()
    samples, planes = samples_of(stripes, CURRENT_BORDER), padded_planes(1 - stripes)
    weights = bit_weights(torch.tensor([500.0]), 1.0)
    found = full_search(samples, planes, weights, 8, 6)
    with tensor_operations():
        assert torch.equal(found, full_search(samples, planes, weights, 8, 6))
    assert found[0, 2, 2].tolist() == [-32, 0]


def test_bits_weigh_what_lambda_says():
    """Within 1 %, from the greatest λ to the smallest, at the price of vectors chosen again."""
    mse_lambda = torch.linspace(50, 8000, 400)
    exact = (0.75 * mse_lambda.double()).rsqrt() * 0.25 * 1023 * 64
    assert (bit_weights(mse_lambda, 0.25) / exact - 1).abs().max() < 0.01
