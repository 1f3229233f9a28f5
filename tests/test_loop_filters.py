"""What decoded pictures are filtered by: edges of blocks and noise go, edges of the scene stay."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor
from training_runs import TINY, make_cache

from neuralcodec.model import smoothing
from neuralcodec.model.deblocking import DeblockingFilter
from neuralcodec.model.inter import Referred
from neuralcodec.model.loop_filters import (
    Filtered,
    InterLoopFilters,
    LoopFilters,
    pick_filtered,
)
from neuralcodec.model.model_file import load_model, load_tensors, model_bytes
from neuralcodec.model.smoothing import LIMITS, PAIRS, SmoothingFilter
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.loop_filters import main

ANCHORS, CHANNELS = 8, 6
COARSE, FINE = torch.tensor([0.0]), torch.tensor([63.0])
LEVEL = 1 / 255


def deblocked(y: Tensor, q: Tensor = COARSE) -> Tensor:
    uv = torch.full((1, 2, y.shape[-2] // 2, y.shape[-1] // 2), 0.5)
    with torch.no_grad():
        result: Tensor = DeblockingFilter(ANCHORS)(y, uv, q)[0]
    return result


def two_halves(step: float, at: int = 16) -> Tensor:
    """(1, 1, 32, 32): 0.4, and `step` more from column `at` on."""
    y = torch.full((1, 1, 32, 32), 0.4)
    y[..., at:] += step
    return y


def a_smoothing(weight: float, seed: int = 0) -> SmoothingFilter:
    """weight: of every difference that is within the smallest limit, four neighbours in all."""
    torch.manual_seed(seed)
    made = SmoothingFilter(CHANNELS, ANCHORS)
    with torch.no_grad():
        weights = made.weights.anchors.view(ANCHORS, 2, len(PAIRS), len(LIMITS))
        weights[:, :, [PAIRS.index((0, 1)), PAIRS.index((1, 0))], 0] = weight
    return made


def smoothed(made: SmoothingFilter, y: Tensor, uv: Tensor | None = None) -> tuple[Tensor, Tensor]:
    height, width = y.shape[-2:]
    feature = torch.randn(1, CHANNELS, height // 8, width // 8)
    uv = torch.full((1, 2, height // 2, width // 2), 0.5) if uv is None else uv
    with torch.no_grad():
        result: tuple[Tensor, Tensor] = made(y, uv, feature, COARSE)
    return result


def test_a_small_step_at_the_edge_of_a_block_becomes_a_ramp():
    y = two_halves(4 * LEVEL)
    ramp = deblocked(y)[0, 0, 5, 11:21] - 0.4
    expected = torch.tensor([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75, 4]) * LEVEL
    torch.testing.assert_close(ramp, expected, rtol=0, atol=1e-6)
    upright = deblocked(y.transpose(-1, -2)).transpose(-1, -2)
    torch.testing.assert_close(upright, deblocked(y))


@pytest.mark.parametrize(
    ("y", "q"),
    [
        pytest.param(two_halves(40 * LEVEL), COARSE, id="a large step"),
        pytest.param(two_halves(8 * LEVEL), FINE, id="a step that is large at high quality"),
        pytest.param(two_halves(4 * LEVEL, at=12), COARSE, id="a step within a block"),
        pytest.param(torch.rand(1, 1, 32, 32).round() / 2, COARSE, id="texture"),
    ],
)
def test_what_is_no_edge_of_a_block_stays(y: Tensor, q: Tensor):
    torch.testing.assert_close(deblocked(y, q), y, rtol=0, atol=1e-6)


def test_chroma_is_deblocked_on_its_own_grid():
    uv = torch.full((1, 2, 16, 16), 0.5)
    uv[:, 1, 8:] += 2 * LEVEL
    with torch.no_grad():
        _, found = DeblockingFilter(ANCHORS)(torch.full((1, 1, 32, 32), 0.4), uv, COARSE)
    assert torch.equal(found[:, 0], uv[:, 0])
    steps = found[0, 1].diff(dim=0).amax(1)
    assert steps[7] < 1 * LEVEL < (uv[0, 1, 8, 0] - uv[0, 1, 7, 0])


@pytest.mark.parametrize(("rows", "columns"), [(16, 16), (16, 48), (32, 16)])
def test_pictures_of_one_block_pass(rows: int, columns: int):
    y, uv = torch.rand(1, 1, rows, columns), torch.rand(1, 2, rows // 2, columns // 2)
    feature = torch.rand(1, CHANNELS, rows // 8, columns // 8)
    found = LoopFilters(CHANNELS, ANCHORS)(y, uv, feature, COARSE)
    assert found[0].shape == y.shape and found[1].shape == uv.shape


def test_an_untrained_smoothing_filter_changes_nothing():
    y, uv = torch.rand(1, 1, 32, 48), torch.rand(1, 2, 16, 24)
    found = smoothed(SmoothingFilter(CHANNELS, ANCHORS), y, uv)
    assert torch.equal(found[0], y) and torch.equal(found[1], uv)


def test_small_differences_are_averaged():
    y = torch.full((1, 1, 32, 32), 0.4)
    y[0, 0, 10, 10] += 2 * LEVEL
    found = smoothed(a_smoothing(0.2), y)[0][0, 0] - 0.4
    torch.testing.assert_close(found[10, 10], torch.tensor(0.4 * LEVEL), rtol=0, atol=1e-6)
    torch.testing.assert_close(found[10, 11], torch.tensor(0.4 * LEVEL), rtol=0, atol=1e-6)
    assert float(found.sum()) == pytest.approx(2 * LEVEL, abs=1e-4)  # nothing gets lost


def test_an_edge_of_the_scene_moves_by_no_more_than_the_limit():
    y = two_halves(100 * LEVEL, at=13)
    made = a_smoothing(0.2)
    limit = float(made.log_units(COARSE)[0, 0].detach().exp())
    change = smoothed(made, y)[0] - y
    assert float(change.abs().max()) == pytest.approx(0.2 * limit, rel=1e-3)


def test_turned_pictures_come_out_turned():
    y = torch.rand(1, 1, 32, 32)
    made = SmoothingFilter(CHANNELS, ANCHORS)
    with torch.no_grad():
        made.weights.anchors.normal_(0, 0.05)
    whole = smoothed(made, y)[0]
    turned = smoothed(made, y.flip(-1, -2))[0].flip(-1, -2)
    torch.testing.assert_close(turned, whole, rtol=0, atol=1e-6)


def test_the_networks_say_where_luma_is_smoothed():
    y, uv = torch.rand(1, 1, 16, 32), torch.rand(1, 2, 8, 16)
    feature = torch.zeros(1, CHANNELS, 2, 4)
    feature[..., 2:] = 1
    made = a_smoothing(0.1)
    with torch.no_grad():
        made.strength.weight.fill_(-100)
        found, _ = made(y, uv, feature, COARSE)
    assert torch.equal(found[..., 16:], y[..., 16:])
    assert not torch.isclose(found[..., :16], y[..., :16]).all()


def test_without_kernels_strips_are_the_same_as_all_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(smoothing, "can_run", lambda *_: False)
    torch.manual_seed(2)
    made = SmoothingFilter(CHANNELS, ANCHORS)
    with torch.no_grad():
        made.weights.anchors.normal_(0, 0.05)
        made.strength.weight.normal_()
    y, uv = torch.rand(2, 1, 64, 48), torch.rand(2, 2, 32, 24)
    feature, q = torch.rand(2, CHANNELS, 8, 6), torch.tensor([3.0, 60.0])
    at_once = made(y, uv, feature, q)
    monkeypatch.setattr(smoothing, "STRIP", 1000)  # samples: ten rows of both pictures
    with torch.no_grad():
        strips = made(y, uv, feature, q)
    for whole, part in zip(at_once, strips, strict=True):
        assert torch.equal(whole, part)


def where_changed(filters: InterLoopFilters, *known: Tensor) -> tuple[Tensor, Tensor]:
    return pick_filtered(filters.all_ways(*known), torch.full((1, 2), Filtered.CHANGED))


@torch.no_grad()
def test_what_stands_still_is_not_filtered_again():
    filters = InterLoopFilters(CHANNELS, ANCHORS)
    filters.smoothing.weights.anchors.fill_(0.02)
    y, uv = torch.rand(1, 1, 48, 64), torch.rand(1, 2, 24, 32)
    feature = torch.rand(1, CHANNELS, 6, 8)
    change = torch.zeros(1, 96, 6, 8)
    still = where_changed(filters, y, uv, change, feature, COARSE)
    assert torch.equal(still[0], y) and torch.equal(still[1], uv)
    change[0, 3, 1, 1] = 1.0  # luma of a block in the second row and column
    change[0, 70, 4, 6] = 1.0  # chroma of another
    found = where_changed(filters, y, uv, change, feature, COARSE)
    everywhere = filters(y, uv, feature, COARSE)
    for plane, before, full, rows, columns in (
        (found[0], y, everywhere[0], slice(8, 16), slice(8, 16)),
        (found[1], uv, everywhere[1], slice(16, 20), slice(24, 28)),
    ):
        assert torch.equal(plane[..., rows, columns], full[..., rows, columns])
        changed = (plane != before).any(1).nonzero()[:, 1:]
        assert changed.amin(0).tolist() == [rows.start, columns.start]
        assert changed.amax(0).tolist() == [rows.stop - 1, columns.stop - 1]


@torch.no_grad()
def test_small_changes_are_filtered_in_part():
    filters = InterLoopFilters(CHANNELS, ANCHORS)
    filters.smoothing.weights.anchors.fill_(0.02)
    y, uv = torch.rand(1, 1, 16, 16), torch.rand(1, 2, 8, 8)
    feature, limit = torch.rand(1, CHANNELS, 2, 2), filters.log_changes(COARSE)[0, 0].exp()
    change = torch.full((1, 96, 2, 2), float(limit) / 4)
    found, _ = where_changed(filters, y, uv, change, feature, COARSE)
    full, _ = filters(y, uv, feature, COARSE)
    torch.testing.assert_close(found - y, (full - y) / 4, rtol=0, atol=1e-6)


@pytest.fixture
def model() -> VideoModel:
    torch.manual_seed(0)
    return VideoModel(TINY)


@torch.no_grad()
def test_models_show_what_their_filters_make(model: VideoModel):
    q, latent = torch.tensor([30.0]), torch.randn(1, TINY.latents, 2, 3)
    model.inter.filters.smoothing.weights.anchors.fill_(0.02)
    before = model.intra.synthesise(latent, q)
    refer = Referred((before, before), torch.tensor([0]), torch.tensor([[1, 1]]))
    prediction = model.inter.predict(refer, torch.zeros(1, 5, 4, 6), q)
    plain, shown = (
        model.inter.synthesise(latent, prediction, q, torch.full((1, 2), way))
        for way in (Filtered.NONE, Filtered.CHANGED)
    )
    assert torch.equal(plain.feature, shown.feature)
    change = model.inter.linear.synthesise(plain.latent) + model.inter.head(plain.feature)
    expected = where_changed(model.inter.filters, plain.y, plain.uv, change, plain.feature, q)
    assert torch.equal(shown.y, expected[0]) and torch.equal(shown.uv, expected[1])
    assert not torch.equal(shown.y, plain.y)


@pytest.mark.usefixtures("plain_rounding")
def test_the_command_trains_the_filters_alone(model: VideoModel, tmp_path: Path):
    before, after = tmp_path / "before.safetensors", tmp_path / "after.safetensors"
    before.write_bytes(model_bytes(model.with_fast_networks(torch.float16), {"seed": 7}))
    cache = make_cache(tmp_path / "cache")
    arguments = [str(before), str(cache), "-o", str(after), "--steps", "2"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    old, new = load_tensors(before), load_tensors(after)
    changed = {key for key, tensor in old.items() if not torch.equal(tensor, new[key])}
    assert "inter.filters.smoothing.weights.anchors" in changed
    assert all(key.startswith("inter_prior.") or ".filters." in key for key in changed)
    assert new["inter.head.weight"].dtype == torch.float16  # as large as it was
    assert load_model(str(after)).record == {"seed": 7, "loop_filter_steps": 2}


def test_all_of_the_filters_can_be_learned():
    torch.manual_seed(0)
    filters = InterLoopFilters(CHANNELS, ANCHORS)
    with torch.no_grad():
        filters.smoothing.weights.anchors.fill_(0.02)
    y, uv = 0.4 + 0.02 * torch.rand(1, 1, 32, 32), 0.4 + 0.02 * torch.rand(1, 2, 16, 16)
    change, feature = 0.001 * torch.rand(1, 96, 4, 4), torch.rand(1, CHANNELS, 4, 4)
    found = where_changed(filters, y, uv, change, feature, torch.tensor([10.0]))
    (found[0].square().sum() + found[1].square().sum()).backward()
    for name, parameter in filters.named_parameters():
        assert parameter.grad is not None and float(parameter.grad.abs().max()) > 0, name
