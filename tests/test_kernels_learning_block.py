"""Blocks that learn on a CPU against the same by tensor operations."""

import pytest
import torch
from torch import Tensor

from neuralcodec.model.layers import Block


def _block(channels: int, spread: float) -> Block:
    torch.manual_seed(channels)
    block = Block(channels)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.normal_().mul_(spread)
    return block


def _results(block: Block, x: Tensor, reference: bool, precision: torch.dtype) -> list[Tensor]:
    """What the block gives, and the gradients of its input and of its parameters."""
    x = x.clone().requires_grad_()
    block.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        y = block._by_tensors(x) if reference else block(x)
    torch.manual_seed(2)
    y.backward(torch.randn_like(y))
    assert x.grad is not None
    return [y, x.grad, *(p.grad for p in block.parameters() if p.grad is not None)]


SHAPES = [(1, 16, 5, 7), (3, 24, 4, 4), (2, 16, 1, 9)]
SPREADS = {"inside its bound": 0.2, "beyond its bound": 0.6}


def _distance(ours: list[Tensor], theirs: list[Tensor]) -> list[float]:
    pairs = zip(ours, theirs, strict=True)
    return [float((a - b).detach().norm() / b.detach().norm()) for a, b in pairs]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("spread", SPREADS.values(), ids=SPREADS)
def test_a_block_gives_what_its_tensor_operations_give(shape: tuple[int, ...], spread: float):
    block = _block(shape[1], spread)
    torch.manual_seed(1)
    x = torch.randn(shape).to(memory_format=torch.channels_last)
    found = _results(block, x, False, torch.float32)
    wanted = _results(block, x, True, torch.float32)
    assert len(found) == 2 + 10
    assert max(_distance(found, wanted)) < 2e-6


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_in_bfloat16_a_block_is_as_near_to_the_truth_as_its_tensor_operations(
    shape: tuple[int, ...],
):
    """Inside its bound: whether a rounded number is beyond it, and has no gradient, is chance."""
    block = _block(shape[1], SPREADS["inside its bound"])
    torch.manual_seed(1)
    x = 0.2 * torch.randn(shape).to(memory_format=torch.channels_last).bfloat16()
    truth = _results(block, x.float(), True, torch.float32)
    found = _results(block, x, False, torch.bfloat16)
    reference = _results(block, x, True, torch.bfloat16)
    assert [part.dtype for part in found] == [part.dtype for part in reference]
    ours, theirs = _distance(found, truth), _distance(reference, truth)
    assert all(a < 1.5 * b + 2e-3 for a, b in zip(ours, theirs, strict=True))


def test_the_bound_is_reached_in_the_test_of_it():
    with torch.no_grad():
        y = _block(16, 0.6)(torch.randn(1, 16, 5, 7))
    assert (y.abs() == y.abs().max()).sum() > 20


def test_a_block_gives_about_the_same_with_and_without_gradients():
    block, x = _block(16, 0.3), torch.randn(2, 16, 6, 6)
    with torch.no_grad():
        without = block(x)
    assert torch.allclose(block(x), without, rtol=0, atol=1e-5)
    assert block(x).is_contiguous(memory_format=torch.channels_last)


def test_weights_in_half_precision_are_those_of_their_values():
    block, x = _block(16, 0.3), torch.randn(2, 16, 6, 6)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.copy_(parameter.half().float())
    whole = block(x)
    assert torch.equal(block.half()(x), whole)
