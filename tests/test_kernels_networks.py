"""Networks without gradients, by compiled loops: matrix products and whole blocks."""

import pytest
import torch
import torch.nn.functional as F

from neuralcodec.kernels.networks.matrix import packed, product
from neuralcodec.model.layers import Block, Downsample, Pointwise


@pytest.mark.parametrize(
    ("rows", "inputs", "outputs"),
    [(1, 1, 1), (7, 5, 47), (64, 96, 48), (65, 33, 49), (200, 7, 193)],
)
def test_a_product_is_that_of_tensors(rows: int, inputs: int, outputs: int):
    torch.manual_seed(rows)
    x, weight, bias = torch.randn(rows, inputs), torch.randn(outputs, inputs), torch.randn(outputs)
    assert torch.allclose(
        product([x], packed(weight, bias)), F.linear(x, weight, bias), rtol=0, atol=2e-5
    )
    assert torch.allclose(
        product([x], packed(weight, None)), F.linear(x, weight), rtol=0, atol=2e-5
    )


def test_a_product_takes_rows_that_are_not_side_by_side():
    x, weight = torch.randn(10, 12), torch.randn(3, 10)
    assert torch.allclose(
        product([x.t()], packed(weight, None)), F.linear(x.t(), weight), atol=1e-5
    )


@pytest.mark.parametrize("rows", [3, 64, 150])
def test_a_product_takes_its_inputs_in_parts_and_adds_to_its_results(rows: int):
    torch.manual_seed(rows)
    x, weight, bias = torch.randn(rows, 40), torch.randn(50, 40), torch.randn(50)
    plus = torch.randn(rows, 50)
    wanted = F.linear(x, weight, bias) + plus
    for sizes in ([40], [25, 15], [30, 9, 1]):
        found = product(x.split(sizes, 1), packed(weight, bias), plus)
        assert torch.allclose(found, wanted, rtol=0, atol=2e-5)


def test_a_product_of_whole_numbers_is_exact():
    torch.manual_seed(0)
    x, weight = torch.randint(-127, 128, (33, 700)).float(), torch.randint(-7, 8, (50, 700)).float()
    assert torch.equal(product([x], packed(weight, None)), F.linear(x, weight))


@pytest.mark.parametrize(
    "shape", [(1, 16, 5, 7), (3, 24, 4, 4), (2, 48, 1, 9), (1, 8, 3, 1), (2, 96, 6, 70)], ids=str
)
def test_a_block_gives_what_its_tensor_operations_give(shape: tuple[int, ...]):
    torch.manual_seed(shape[1])
    block = Block(shape[1])
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.normal_().mul_(shape[1] ** -0.5)
        x = torch.randn(shape)
        found, wanted = block(x), block._by_tensors(x)
    assert (wanted.abs() == 1.25).any() and (wanted.abs() < 1.25).any()
    assert torch.allclose(found, wanted, rtol=0, atol=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_networks_give_the_same_for_any_number_of_threads():
    torch.manual_seed(5)
    block, narrow, half = Block(24), Pointwise(24, 30), Downsample(24, 50)
    x = torch.randn(2, 24, 40, 36)
    threads = torch.get_num_threads()
    try:
        with torch.no_grad():
            torch.set_num_threads(1)
            alone = block(x), narrow(x), half(x)
            torch.set_num_threads(3)
            shared = block(x), narrow(x), half(x)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(alone, shared, strict=True))


def test_items_of_a_batch_do_not_see_each_other():
    torch.manual_seed(6)
    block, x = Block(16), torch.randn(3, 16, 4, 5)
    with torch.no_grad():
        assert torch.equal(block(x)[1:2], block(x[1:2]))


def test_layers_without_gradients_are_convolutions():
    torch.manual_seed(7)
    x = torch.randn(2, 20, 6, 8)
    for layer in (Pointwise(20, 31), Downsample(20, 9)):
        with torch.no_grad():
            found = layer(x)
        wanted = F.conv2d(x, layer.weight, layer.bias, layer.stride)
        assert torch.allclose(found, wanted, atol=1e-5)
        assert torch.allclose(layer(x), wanted, atol=1e-5)  # with gradients
