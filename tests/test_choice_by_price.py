"""Symbols and skipped positions are chosen by rate and distortion."""

from dataclasses import replace

import pytest
import torch
from codec_clips import city_frames, cropped
from torch import Tensor

from neuralcodec.codec.tensors import to_tensors
from neuralcodec.encoder.encoder import Encoder
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.model import video_model
from neuralcodec.model.exact import round_through
from neuralcodec.model.frame_step import FrameCoding
from neuralcodec.model.lattice import step_map
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.model.rdoq import cheaper_symbols, linear_curvature
from neuralcodec.model.recurrence import State
from neuralcodec.model.skip_choice import choose_skipped

CPU = torch.device("cpu")
QUALITY = 30


def coding_of_intra_frame(installed: InstalledModel) -> tuple[Tensor, FrameCoding]:
    fmt, frames = cropped(*city_frames(1), 128, 96)
    y, uv = to_tensors(frames, fmt, CPU)
    seen: list[tuple[Tensor, FrameCoding]] = []

    def remember(latent: Tensor, coding: FrameCoding) -> Tensor:
        seen.append((coding.coder.analyse(y, uv, coding.q), coding))  # type: ignore[arg-type, call-arg]
        return latent

    with torch.no_grad():
        installed.model.code_intra(y, uv, torch.tensor([QUALITY]), remember)
    return seen[0]


def optimised(latent: Tensor, coding: FrameCoding) -> Tensor:
    """Symbols."""
    indices = coding.indices(coding.symbols(latent))
    means, rounded = coding.quantise(latent, cheaper_symbols(coding, indices))
    return (rounded - means).round()


@torch.no_grad()
def test_a_symbol_stays_or_becomes_smaller_by_one(installed_model: InstalledModel):
    latent, coding = coding_of_intra_frame(installed_model)
    _, channels, height, width = latent.shape
    steps = step_map(height, width, channels, latent.device).permute(2, 0, 1)
    first = steps == 0  # means of the others move with these
    before = coding.symbols(latent)
    after = optimised(latent, coding)
    moved = (before.abs() - after.abs())[first.expand_as(before)]
    assert set(moved.unique().tolist()) == {0.0, 1.0}
    assert (before * after >= 0)[first.expand_as(before)].all()
    assert (after != 0).sum() < 0.95 * (before != 0).sum()


@torch.no_grad()
def test_symbols_stay_where_errors_weigh_most(installed_model: InstalledModel):
    latent, coding = coding_of_intra_frame(installed_model)
    heavy = replace(coding, mse_lambda=1e6 * coding.mse_lambda)
    after = optimised(latent, heavy)
    assert torch.equal(after, coding.symbols(latent))


@torch.no_grad()
def test_the_coarser_the_steps_the_more_an_error_weighs(installed_model: InstalledModel):
    _, coding = coding_of_intra_frame(installed_model)
    coder, q = coding.coder, coding.q
    curvature = linear_curvature(coder, q)
    assert curvature.shape == (1, installed_model.model.config.latents, 1, 1)
    assert (curvature > 0).all()
    coarser = linear_curvature(coder, q - 12)
    assert (coarser > curvature).all()


def cost(installed: InstalledModel) -> tuple[float, float]:
    """Bits of some frames; bits + λ·squared error."""
    fmt, frames = cropped(*city_frames(9), 192, 128)
    settings = EncoderSettings(QUALITY, len(frames), CPU, torch.float32)
    results = Encoder(installed, fmt, settings).results(iter(frames))
    bits = sum(result.bits for result in results)
    weight = float(installed.model.config.quality_lambdas(torch.tensor(QUALITY)))
    error = sum(10 ** (-result.psnr / 10) for result in results)
    return bits, bits + weight * error * fmt.width * fmt.height


def test_symbols_by_price_cost_less(
    installed_model: InstalledModel, monkeypatch: pytest.MonkeyPatch
):
    bits, total = cost(installed_model)
    monkeypatch.setattr(video_model, "cheaper_symbols", lambda *_: round_through)
    plain_bits, plain_total = cost(installed_model)
    assert bits < 0.95 * plain_bits
    assert total < plain_total


def test_skipped_positions_by_price_cost_less(
    installed_model: InstalledModel, monkeypatch: pytest.MonkeyPatch
):
    def by_errors(coded: State, _: Tensor, __: Tensor, coding: FrameCoding, ___: object) -> Tensor:
        assert coding.prediction is not None
        return choose_skipped(coded, coding.prediction.still, coding.source)

    _, total = cost(installed_model)
    monkeypatch.setattr(video_model, "choose_by_price", by_errors)
    assert total < cost(installed_model)[1]
