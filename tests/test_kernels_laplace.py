"""Code lengths, exponentials and rounding of compiled loops against PyTorch's."""

import numpy as np
import pytest
import torch
from torch import Tensor

from neuralcodec.kernels.compiled import compiled
from neuralcodec.kernels.floats import exponential, from_bfloat16, logarithm, to_bfloat16
from neuralcodec.model.code_length import _laplace_bits_by_tensors, laplace_bits


def _drawn(kind: str) -> tuple[Tensor, Tensor]:
    torch.manual_seed(3)
    values = torch.randn(64, 50) * torch.logspace(-2, 2.5, 50)
    indices = torch.arange(64.0)[:, None].expand_as(values).clone()
    return (values.round() if kind == "symbols" else values), indices


def _with_slopes(count: object, values: Tensor, indices: Tensor) -> tuple[Tensor, ...]:
    values, indices = values.clone().requires_grad_(), indices.clone().requires_grad_()
    bits = count(values, indices)  # type: ignore[operator]
    weights = torch.linspace(-1, 2, bits.numel()).view_as(bits)
    return (bits, *torch.autograd.grad(bits, (values, indices), weights))


@pytest.mark.parametrize("kind", ["symbols", "values with noise"])
def test_bits_and_their_slopes_are_those_of_tensor_operations(kind: str):
    values, indices = _drawn(kind)
    found = _with_slopes(laplace_bits, values, indices)
    wanted = _with_slopes(_laplace_bits_by_tensors, values, indices)
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_what_costs_the_most_bits_has_no_slope():
    bits, by_value, by_index = _with_slopes(laplace_bits, torch.tensor([500.0]), torch.zeros(1))
    assert bits.item() == pytest.approx(29.897, abs=1e-3)
    assert by_value.item() == by_index.item() == 0


@compiled("void(float32[::1], float32[::1], float32[::1])")
def _exponentials(x: np.ndarray, powers: np.ndarray, logarithms: np.ndarray) -> None:
    for i in range(x.size):
        powers[i] = exponential(x[i])
        logarithms[i] = logarithm(powers[i])


def test_exponentials_and_logarithms_are_exact_to_the_last_places():
    x = np.linspace(-87, 88, 200_001, dtype=np.float32)
    powers, logarithms = np.empty_like(x), np.empty_like(x)
    _exponentials(x, powers, logarithms)
    wanted = np.exp(x.astype(np.float64))
    assert np.abs(powers / wanted - 1).max() < 2.5e-7
    assert np.abs(logarithms - np.log(powers.astype(np.float64))).max() < 8e-6
    near_one = np.abs(x) < 1
    assert np.abs(logarithms - np.log(powers.astype(np.float64)))[near_one].max() < 2e-7


@compiled("void(float32[::1], uint16[::1], float32[::1])")
def _rounded(x: np.ndarray, bits: np.ndarray, back: np.ndarray) -> None:
    for i in range(x.size):
        bits[i] = to_bfloat16(x[i])
        back[i] = from_bfloat16(bits[i])


def test_floats_are_rounded_to_bfloat16_as_pytorch_rounds_them():
    torch.manual_seed(4)
    x = torch.cat([torch.randn(5000) * 10, torch.arange(600) / 256 + 1, torch.zeros(1)])
    bits, back = np.empty(len(x), np.uint16), np.empty(len(x), np.float32)
    _rounded(x.numpy(), bits, back)
    assert torch.equal(torch.from_numpy(back), x.bfloat16().float())
