"""Exact layers give the same integers whatever the machine does around them."""

import copy
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from codec_clips import tiny_model
from torch import Tensor

from neuralcodec.model.config import SCALES
from neuralcodec.model.exact import (
    ACTIVATION_UNITS,
    LIMIT,
    SUM_UNITS,
    WEIGHT_UNITS,
    ExactDepthwise,
    ExactLayer,
    ExactLinear,
    exact_float32,
    log_magnitude,
    log_magnitude_table,
    rectify,
    to_grid,
    to_index,
)
from neuralcodec.model.model_file import InstalledModel

INPUTS = 384
THREADS = (1, 2)


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def activations(batch: int, channels: int = INPUTS, extreme: bool = True) -> Tensor:
    """(B, h, w, channels): all over the grid; with every value as large as can be, if extreme."""
    generator = torch.Generator().manual_seed(1)
    units = torch.randint(0, LIMIT + 1, (batch, 9, 11, channels), generator=generator).float()
    if extreme:
        units[:, :4] = LIMIT
    return units / ACTIVATION_UNITS


def layers() -> list[ExactLayer]:
    """Weights all over the grid and beyond it, where they are clamped."""
    torch.manual_seed(2)
    made = [ExactLinear(INPUTS, 80), ExactDepthwise(INPUTS)]
    for layer in made:
        with torch.no_grad():
            layer.weight.normal_(0, 0.7)
            layer.bias.normal_(0, 40)
        layer.prove_exact()
    return made


def reference(layer: ExactLayer, x: Tensor) -> Tensor:
    """The same sums in integers."""
    weight = (layer.weight.double() * WEIGHT_UNITS).clamp(-LIMIT, LIMIT).round().long()
    bias = (layer.bias.double() * SUM_UNITS).round().long()
    units = (x.double() * ACTIVATION_UNITS).round().long()
    if isinstance(layer, ExactLinear):
        return units @ weight.T + bias
    padded = F.pad(units, (0, 0, 1, 1, 1, 1))
    height, width = x.shape[1:3]
    sums = bias.expand(*x.shape).clone()
    for row in range(3):
        for column in range(3):
            window = padded[:, row : row + height, column : column + width]
            sums += window * weight[:, 0, row, column]
    return sums


def sums_of(layer: ExactLayer, x: Tensor) -> Tensor:
    with torch.inference_mode(), exact_float32("cpu"):
        result: Tensor = layer(x) * SUM_UNITS
        return result.double()


@pytest.mark.parametrize("layer", layers(), ids=lambda layer: type(layer).__name__)
@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("batch", [1, 2, 4])
def test_float32_gives_the_integers_for_any_batch_layout_and_number_of_threads(
    layer: ExactLayer, threads: int, batch: int
):
    torch.set_num_threads(threads)
    x = activations(4)
    expected = reference(layer, x).double()
    assert expected.abs().max() > 2**16  # beyond what half precision could hold
    channels_first = x.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    for start in range(0, 4, batch):
        part = slice(start, start + batch)
        assert torch.equal(sums_of(layer, x[part]), expected[part])
        assert torch.equal(sums_of(layer, channels_first[part]), expected[part])


@pytest.mark.parametrize("layer", layers(), ids=lambda layer: type(layer).__name__)
def test_autocast_around_exact_layers_does_not_reach_them(layer: ExactLayer):
    x = activations(1)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(sums_of(layer, x), reference(layer, x).double())


@pytest.mark.skipif(
    not hasattr(torch.backends.cuda.matmul, "fp32_precision"), reason="came with PyTorch 2.9"
)
def test_the_precision_settings_of_a_program_neither_stop_nor_suffer_from_parsing():
    layer, x = layers()[0], activations(1)
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = "tf32"
    try:
        assert torch.equal(sums_of(layer, x), reference(layer, x).double())
        assert matmul.fp32_precision == "tf32"
    finally:
        matmul.fp32_precision = before


@pytest.mark.gpu
@pytest.mark.parametrize("layer", layers(), ids=lambda layer: type(layer).__name__)
def test_a_gpu_gives_the_same_integers_even_where_a_program_allows_tf32(
    layer: ExactLayer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    x = activations(2)
    with torch.inference_mode(), exact_float32("cuda"):
        result = copy.deepcopy(layer).cuda()(x.cuda()).cpu().double() * SUM_UNITS
    assert torch.equal(result, reference(layer, x).double())
    assert torch.backends.cuda.matmul.allow_tf32


def test_the_networks_of_a_model_give_the_same_indices_in_float32_and_float64(
    installed_model: InstalledModel,
):
    models = installed_model.model, tiny_model()
    for prior in (p for model in models for p in (model.intra_prior, model.inter_prior)):
        wide = copy.deepcopy(prior).double()
        latents = prior.bounds[-1][1]
        magnitudes = activations(2, latents, extreme=False)
        for coded in prior.passes(*magnitudes.shape[1:3], magnitudes.device):
            start = coded.channels.start
            side = activations(2, prior.networks[coded.group].read.weight.shape[1] - start)
            with torch.inference_mode(), exact_float32("cpu"):
                narrow_indices = prior.indices(coded, side, magnitudes)
                wide_indices = wide.indices(coded, side.double(), magnitudes.double())
            assert torch.equal(narrow_indices.double(), wide_indices)
            assert narrow_indices.min() >= 0 and narrow_indices.max() < SCALES
            assert torch.equal(narrow_indices, narrow_indices.round())


def test_weights_whose_sums_could_be_rounded_are_refused():
    layer = ExactLinear(2**24 // (LIMIT * LIMIT) + 1, 2)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()
        layer.prove_exact()
        layer.weight[1] = 2.0
    with pytest.raises(ValueError, match="sums reach"):
        layer.prove_exact()


@pytest.mark.parametrize("bias", [2.0**14, float("nan"), float("inf")])
def test_a_bias_out_of_bound_is_refused(bias: float):
    layer = ExactLinear(1, 1)
    with torch.no_grad():
        layer.bias[0] = bias
    with pytest.raises(ValueError, match="sums reach"):
        layer.prove_exact()


def test_the_largest_sum_that_is_allowed_is_still_exact():
    inputs = 2**24 // (LIMIT * LIMIT)
    layer = ExactLinear(inputs, 1)
    with torch.no_grad():
        layer.weight.fill_(LIMIT / WEIGHT_UNITS)
        left = 2**24 - 1 - inputs * LIMIT * LIMIT
        layer.bias[0] = left / SUM_UNITS
    layer.prove_exact()
    x = torch.full((3, inputs), LIMIT / ACTIVATION_UNITS)
    assert (sums_of(layer, x) == 2**24 - 1).all()


def test_rounding_goes_to_the_grid_and_halves_to_the_even_step():
    steps = torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5, 3.49, 126.5, 127.4, 500.0, -500.0])
    expected = torch.tensor([0.0, 2, 2, 0, -2, 3, 126, 127, 127, -127])
    for units in (WEIGHT_UNITS, ACTIVATION_UNITS):
        assert torch.equal(to_grid(steps / units, units) * units, expected)


def test_activations_are_never_negative_nor_beyond_the_grid():
    x = torch.tensor([-3.0, 0.03, 0.04, 5.0, 100.0])
    assert torch.equal(rectify(x) * ACTIVATION_UNITS, torch.tensor([0.0, 0, 1, 80, 127]))


def test_an_output_of_one_moves_an_index_by_eight_steps_around_16():
    x = torch.tensor([-50.0, -2.0, 0.0, 1 / 16, 3 / 16, 1.0, 5.875, 1000.0])
    assert to_index(x).tolist() == [0, 0, 16, 16, 18, 24, 63, 63]


def test_log_magnitudes_rise_from_zero_on_the_grid():
    table = log_magnitude_table()
    units = table * ACTIVATION_UNITS
    assert table[0] == 0
    assert (table.diff() >= 0).all()
    assert torch.equal(units, units.round()) and units.max() <= LIMIT
    exact = torch.log1p(torch.arange(len(table), dtype=torch.float64))
    below = exact < LIMIT / ACTIVATION_UNITS
    assert (table - exact)[below].abs().max() <= 0.5 / ACTIVATION_UNITS + 1e-6


def test_the_sign_does_not_count_and_far_values_are_as_the_farthest_in_the_table():
    table = log_magnitude_table()
    symbols = torch.tensor([-32767, -4095, -1, 0, 1, 4095, 32767], dtype=torch.int16)
    last = float(table[-1])
    one = float(table[1])
    assert log_magnitude(symbols, table).tolist() == [last, last, one, 0, one, last, last]
