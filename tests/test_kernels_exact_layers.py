"""Layers in integers give what exact layers give in float32."""

import numpy as np
import pytest
import torch

from neuralcodec.kernels.parsing import exact_layers
from neuralcodec.kernels.parsing.exact_layers import (
    ACTIVATION_UNITS,
    LIMIT,
    IntegerLayer,
    index_sums,
    look_around,
    rectify_sums,
    sums,
)
from neuralcodec.model.exact import ExactDepthwise, ExactLinear, rectify, to_index

WAYS = {"integers": lambda: True, "floats": lambda: False}


def activations(rows: int, columns: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    maps = torch.randint(-LIMIT, LIMIT + 1, (rows, columns), generator=generator)
    maps[: rows // 3] = LIMIT
    return maps.to(torch.int8)


def linear(inputs: int, outputs: int, spread: float) -> ExactLinear:
    torch.manual_seed(2)
    layer = ExactLinear(inputs, outputs)
    with torch.no_grad():
        layer.weight.normal_(0, spread)
        layer.weight[0] = LIMIT  # clamped, and the largest sums that there are
        layer.bias.normal_(0, 3)
    return layer


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("spread", [0.05, 0.7])
@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 72, 8), (130, 335, 61)])
def test_activations_and_indices_are_those_of_the_layer(
    shape: tuple[int, int, int], spread: float, way: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(exact_layers, "_has_fast_integers", WAYS[way])
    rows, inputs, outputs = shape
    layer = linear(inputs, outputs, spread)
    wide = activations(rows, inputs + 9)
    x = wide[:, 4 : 4 + inputs]
    with torch.no_grad():
        expected = layer(x / ACTIVATION_UNITS)
    integers = layer.in_integers()
    found = sums(x, integers)
    out = np.full((rows, outputs + 5), 9, np.int8)
    rectify_sums(found, integers.bias, out, 3)
    assert np.array_equal(out[:, 3:-2], (rectify(expected) * ACTIVATION_UNITS).numpy())
    assert (out[:, :3] == 9).all() and (out[:, -2:] == 9).all()
    indices = np.empty(found.shape, np.uint8)
    index_sums(found, integers.bias, indices)
    assert np.array_equal(indices, to_index(expected).numpy())


def test_halves_go_to_the_even_number():
    units = np.arange(-70, 12000, dtype=np.int32)[:, None]
    bias = np.zeros(1, np.int32)
    out, indices = np.empty(units.shape, np.int8), np.empty(units.shape, np.uint8)
    rectify_sums(units, bias, out, 0)
    index_sums(units, bias, indices)
    assert np.array_equal(out, np.clip(np.rint(units / 64), 0, 127))
    assert np.array_equal(indices, np.clip(np.rint(units / 128) + 16, 0, 63))


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (5, 1), (2, 2), (9, 11)])
@pytest.mark.parametrize("channels", [1, 5, 64])
def test_a_neighbourhood_is_that_of_the_layer_up_to_the_borders(
    size: tuple[int, int], channels: int
):
    torch.manual_seed(3)
    layer = ExactDepthwise(channels)
    with torch.no_grad():
        layer.weight.normal_(0, 0.5)
        layer.bias.normal_(0, 1)
    positions = size[0] * size[1]
    wide = activations(positions + 1, channels + 7)
    wide[-1] = 0
    x = wide[:-1, 2 : 2 + channels].reshape(1, *size, channels)
    with torch.no_grad():
        expected = rectify(layer(x / ACTIVATION_UNITS)) * ACTIVATION_UNITS
    integers, out = layer.in_integers(), np.full((positions, channels + 4), 9, np.int8)
    weight = integers.weight.numpy()
    look_around(wide.numpy(), 2, weight, integers.bias, *size, out, 1)
    assert np.array_equal(out[:, 1:-3], expected.reshape(positions, channels).numpy())
    assert (out[:, 0] == 9).all() and (out[:, -3:] == 9).all()


def test_inputs_in_another_order_give_the_same_sums():
    layer, x = linear(9, 4, 0.3).in_integers(), activations(6, 9)
    parts = x.split([2, 3, 4], 1)
    other = torch.cat([parts[2], parts[0], parts[1]], 1)
    again = layer.with_inputs([2, 3, 4], [2, 0, 1])
    assert isinstance(again, IntegerLayer)
    assert np.array_equal(sums(other, again), sums(x, layer))
