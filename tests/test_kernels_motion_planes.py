"""The compiled samples and planes of the motion search are those of tensor operations."""

import pytest
import torch
from motion_cases import clip, noise, tensor_operations

from neuralcodec.encoder.motion.motion_search import padded_planes, samples_of
from neuralcodec.kernels.motion.planes import PEAK


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 16, 16), (3, 48, 16), (2, 32, 80)])
def test_planes_of_noise_are_those_of_tensor_operations(batch: int, height: int, width: int):
    picture, _ = noise(batch, height, width)
    with tensor_operations():
        expected = padded_planes(picture)
    assert torch.equal(padded_planes(picture), expected)


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_planes_of_a_clip_are_those_of_tensor_operations_for_any_threads(bit_depth: int):
    picture, _ = clip(128, 96, bit_depth)
    with tensor_operations():
        expected = padded_planes(picture)
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        assert torch.equal(padded_planes(picture), expected)


def test_planes_stay_exact_at_the_greatest_contrast():
    """Sums of the filter are largest where its sharpest lobes meet white, and the others black."""
    columns = torch.tensor([0, 1, 1, 0, 0, 1, 0, 0] * 4).float()
    picture = (columns * columns[:, None])[None, None]
    for extreme in (picture, 1 - picture):
        with tensor_operations():
            expected = padded_planes(extreme)
        assert torch.equal(padded_planes(extreme), expected)


def test_samples_are_in_steps_of_10_bit_whatever_the_picture_holds():
    picture = torch.tensor([-0.3, 0, 0.4 / PEAK, 0.6 / PEAK, 0.5, 1, 1.2, 7e4]).repeat(2, 2)
    found = samples_of(picture[None, None], 0)
    assert found[0, 0].tolist() == [0, 0, 0, 1, 512, PEAK, PEAK, PEAK] * 2
    with tensor_operations():
        assert torch.equal(samples_of(picture[None, None], 0), found)


def test_pictures_of_any_layout_are_taken():
    picture, _ = noise(2, 32, 48)
    turned = picture.transpose(2, 3).contiguous().transpose(2, 3)
    for border in (0, 8):
        assert torch.equal(samples_of(turned, border), samples_of(picture, border))
