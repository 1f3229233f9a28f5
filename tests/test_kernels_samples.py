"""Integers become floats, and floats integers, bit for bit as by tensor operations."""

import numpy as np
import pytest
import torch
from codec_clips import city_frames

from neuralcodec.codec.tensors import reference_floats, reference_integers
from neuralcodec.kernels.pixels.samples import to_floats, to_integers

CPU = torch.device("cpu")


@pytest.mark.parametrize(("kind", "peak"), [(np.uint8, 255), (np.uint16, 1023)])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (13, 30), (1, 1)])
def test_samples_come_and_go_bit_for_bit(kind: type, peak: int, height: int, width: int):
    rng = np.random.default_rng(1)
    frames = [list(rng.integers(0, peak + 1, (2, height, width), kind)) for _ in range(3)]
    found = to_floats(frames, 16, 32, peak)
    assert torch.equal(found, reference_floats(frames, 16, 32, peak, CPU))
    back = to_integers(found, height, width, peak)
    assert np.array_equal(back.numpy(), frames)


@pytest.mark.parametrize("peak", [255, 1023])
def test_halves_go_to_even_numbers_and_the_range_is_kept(peak: int):
    halves = (torch.arange(-600, 2000) / 2 / peak).view(1, 1, 10, 260)
    anything = torch.rand(1, 1, 10, 260, generator=torch.Generator().manual_seed(1)) * 3 - 1
    for planes in (halves, anything):
        found = to_integers(planes, 9, 250, peak)
        expected = reference_integers(planes, 9, 250, peak)
        assert found.dtype == expected.dtype and torch.equal(found, expected)


def test_planes_that_may_not_be_written_and_views_are_taken():
    frame = city_frames(1)[1][0]
    frame.y.setflags(write=False)
    views = [[frame.y], [frame.y[::-1, 3:]]]
    for samples in views:
        expected = reference_floats([samples], 240, 432, 255, CPU)
        assert torch.equal(to_floats([samples], 240, 432, 255), expected)


def test_threads_change_nothing():
    frame = city_frames(1)[1][0]
    results = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        planes = to_floats([[frame.y]], 240, 432, 255)
        results.append((planes, to_integers(planes, 240, 432, 255)))
    assert all(map(torch.equal, *results))
