"""Exact arithmetic with ordinary float32 tensors.

Guarantee: a network made of these layers gives the same integers for the same integers, on any
device, for any batch size, layout, number of threads and order of summation.

Why it holds: every value is k * 2**-a with |k| small. Weights are k * 2**-6 with |k| <= 127,
activations k * 2**-4 with |k| <= 127, so products and sums are integers in units of 2**-10. As long
as every partial sum stays under 2**24 units, float32 represents it without rounding.
`prove_exact` checks that bound for each output channel when weights are loaded. No algorithm that
leaves this grid is ever used: matrix products and depthwise 3x3 convolutions only, outside of any
autocast, TF32 off. Kernels compute the same in the integers k themselves, see `in_integers`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralcodec.kernels.parsing.exact_layers import (
    ACTIVATION_UNITS,
    INDEX_CENTRE,
    INDEX_GAIN,
    LIMIT,
    WEIGHT_UNITS,
    IntegerLayer,
)
from neuralcodec.model.config import SCALES

SUM_UNITS = WEIGHT_UNITS * ACTIVATION_UNITS
QUALITY_CENTRE = 32
FLOAT32_INTEGERS = 2**24


def round_through(x: Tensor) -> Tensor:
    """Rounds to the nearest integer; the gradient passes as if it did not (straight through)."""
    return x + (x.round() - x).detach()


def to_grid(x: Tensor, units: int) -> Tensor:
    """Clamps to |k| <= 127 and rounds to multiples of 1/units, straight through."""
    return round_through((x * units).clamp(-LIMIT, LIMIT)) / units


class ExactLayer(nn.Module):
    """Weights and bias on the grid; training sees the rounding too, straight through."""

    def __init__(self, shape: tuple[int, ...], outputs: int, spread: float) -> None:
        super().__init__()
        weight = torch.empty(shape, dtype=torch.float32)
        if not weight.is_meta:  # there nothing is filled, and chance takes the compiler along
            weight.normal_().mul_(spread)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(outputs, dtype=torch.float32))

    def grid_parameters(self) -> tuple[Tensor, Tensor]:
        bias = round_through(self.bias * SUM_UNITS) / SUM_UNITS
        return to_grid(self.weight, WEIGHT_UNITS), bias

    def in_integers(self) -> IntegerLayer:
        """What kernels compute with, of what the layer is now."""
        weight, bias = (p.detach() for p in self.grid_parameters())
        whole = (weight * WEIGHT_UNITS).round().to(torch.int8)
        return IntegerLayer(self._for_products(whole), (bias * SUM_UNITS).to(torch.int32).numpy())

    def _for_products(self, weight: Tensor) -> Tensor:
        return weight

    def prove_exact(self) -> None:
        """Raises ValueError unless every possible partial sum is exact in float32."""
        weight, bias = self.grid_parameters()
        per_output = weight.detach().double().abs().flatten(1).sum(1) * WEIGHT_UNITS * LIMIT
        bound = per_output + bias.detach().double().abs() * SUM_UNITS
        if not bool((bound < FLOAT32_INTEGERS).all()):
            raise ValueError(f"sums reach {bound.max().item():.0f} units, limit {FLOAT32_INTEGERS}")


class ExactLinear(ExactLayer):
    """A 1x1 convolution on channels-last maps: (..., inputs) -> (..., outputs)."""

    def __init__(self, inputs: int, outputs: int, gain: float = 1.0) -> None:
        super().__init__((outputs, inputs), outputs, gain * (1.0 / inputs) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.grid_parameters()
        return F.linear(x, weight, bias)


class ExactDepthwise(ExactLayer):
    """Depthwise 3x3 convolution with zero padding: (B, h, w, channels) -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__((channels, 1, 3, 3), channels, 0.2)
        with torch.no_grad():
            self.weight[:, :, 1, 1] += 0.6

    def _for_products(self, weight: Tensor) -> Tensor:
        return weight.flatten(1).T.contiguous()

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.grid_parameters()
        maps = x.permute(0, 3, 1, 2)
        out = F.conv2d(maps, weight, bias, padding=1, groups=maps.shape[1])
        return out.permute(0, 2, 3, 1)


def rectify(x: Tensor) -> Tensor:
    """ReLU, back to the grid of activations."""
    return to_grid(x.clamp(min=0), ACTIVATION_UNITS)


def quality_activation(q: Tensor) -> Tensor:
    """q (B,) as an activation: -2..2 for what can be asked for."""
    return (q.float() - QUALITY_CENTRE) / ACTIVATION_UNITS


def to_index(x: Tensor) -> Tensor:
    """Network output -> index 0..63, as float; the gradient passes rounding and clamping."""
    index = x * INDEX_GAIN + INDEX_CENTRE
    return index + (index.round().clamp(0, SCALES - 1) - index).detach()


def log_magnitude(symbols: Tensor, table: Tensor) -> Tensor:
    """log(1 + |symbol|) on the activation grid, by table lookup: no transcendental at run time."""
    return table[symbols.abs().clamp(max=table.shape[0] - 1).long()]


def log_magnitude_table() -> Tensor:
    """Made once when a model is created, stored with its weights."""
    magnitudes = torch.log1p(torch.arange(4096, dtype=torch.float64, device="cpu"))
    units = (magnitudes * ACTIVATION_UNITS).round().clamp(max=LIMIT)
    return (units / ACTIVATION_UNITS).float()


def table_in_units(table: Tensor) -> np.ndarray:
    """The same table for kernels. Raises ValueError where it is not on the grid."""
    units = (table * ACTIVATION_UNITS).round().clamp(0, LIMIT)
    if not torch.equal(units / ACTIVATION_UNITS, table):
        raise ValueError("log magnitudes off the grid")
    array: np.ndarray = units.to(torch.int8).numpy()
    return array


@contextmanager
def exact_float32(device_type: str) -> Iterator[None]:
    """Keeps autocast and, on a GPU, TF32 away from exact layers; and inference mode, in which
    PyTorch would keep apart what is cached there."""
    with torch.inference_mode(False), torch.autocast(device_type, enabled=False):
        if device_type != "cuda":  # leaves alone what belongs to the whole process
            yield
            return
        before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        try:
            yield
        finally:
            torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
