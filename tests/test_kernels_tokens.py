"""Planes become tokens, and tokens planes, as by tensor operations."""

import pytest
import torch

from neuralcodec.model.layers import (
    planes_to_tokens,
    reference_planes,
    reference_tokens,
    tokens_to_planes,
)


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 16, 16), (3, 48, 32), (2, 16, 272)])
def test_samples_and_gradients_keep_their_places(batch: int, height: int, width: int):
    torch.manual_seed(1)
    y, uv = torch.rand(batch, 1, height, width), torch.rand(batch, 2, height // 2, width // 2)
    expected = reference_tokens(y, uv)
    there = [plane.clone().requires_grad_() for plane in (y, uv)]
    tokens = planes_to_tokens(*there)
    assert torch.equal(tokens, expected)
    assert tokens.is_contiguous(memory_format=torch.channels_last)
    back = tokens_to_planes(tokens)
    assert all(map(torch.equal, back, reference_planes(expected)))
    weights = torch.rand_like(y), torch.rand_like(uv)
    sum((plane * weight).sum() for plane, weight in zip(back, weights, strict=True)).backward()
    assert all(torch.equal(x.grad, weight) for x, weight in zip(there, weights, strict=True))


def test_layouts_and_threads_change_nothing():
    torch.manual_seed(1)
    y, uv, tokens = torch.rand(2, 1, 64, 32), torch.rand(2, 2, 32, 16), torch.rand(2, 96, 8, 4)
    expected = planes_to_tokens(y, uv), *tokens_to_planes(tokens)
    torch.set_num_threads(3)
    uv, tokens = (x.contiguous(memory_format=torch.channels_last) for x in (uv, tokens))
    assert all(map(torch.equal, (planes_to_tokens(y, uv), *tokens_to_planes(tokens)), expected))
