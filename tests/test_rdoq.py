"""Symbols become smaller where that saves more bits than the error is worth."""

from dataclasses import replace

import pytest
import torch
from codec_clips import city_frames, cropped
from torch import Tensor

from neuralcodec.codec.tensors import to_tensors
from neuralcodec.encoder.encoder import Encoder
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.model import video_model
from neuralcodec.model.frame_step import FrameCoding
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.model.rdoq import linear_curvature, optimise_symbols

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


def symbols_of(latent: Tensor, coding: FrameCoding) -> Tensor:
    means, rounded = coding.quantise(latent)
    return (rounded - means).round()


@torch.no_grad()
def test_a_symbol_stays_or_becomes_smaller_by_one(installed_model: InstalledModel):
    latent, coding = coding_of_intra_frame(installed_model)
    first = coding.coder.means._chosen(latent) > 0  # means of the others move with these
    before = symbols_of(latent, coding)
    after = symbols_of(optimise_symbols(latent, coding), coding)
    moved = (before.abs() - after.abs())[first.expand_as(before)]
    assert set(moved.unique().tolist()) == {0.0, 1.0}
    assert (before * after >= 0)[first.expand_as(before)].all()
    assert (after != 0).sum() < 0.95 * (before != 0).sum()


@torch.no_grad()
def test_symbols_stay_where_errors_weigh_most(installed_model: InstalledModel):
    latent, coding = coding_of_intra_frame(installed_model)
    heavy = replace(coding, mse_lambda=1e6 * coding.mse_lambda)
    after = symbols_of(optimise_symbols(latent, heavy), coding)
    assert torch.equal(after, symbols_of(latent, coding))


@torch.no_grad()
def test_the_coarser_the_steps_the_more_an_error_weighs(installed_model: InstalledModel):
    _, coding = coding_of_intra_frame(installed_model)
    coder, q = coding.coder, coding.q
    curvature = linear_curvature(coder, q)
    assert curvature.shape == (1, installed_model.model.config.latents, 1, 1)
    assert (curvature > 0).all()
    coarser = linear_curvature(coder, q - 12)
    assert (coarser > curvature).all()


def test_it_saves_bits_at_equal_cost(
    installed_model: InstalledModel, monkeypatch: pytest.MonkeyPatch
):
    fmt, frames = cropped(*city_frames(9), 192, 128)
    settings = EncoderSettings(QUALITY, len(frames), CPU, torch.float32)

    def cost() -> tuple[float, float]:
        """Bits; bits + λ·squared error."""
        results = Encoder(installed_model, fmt, settings).results(iter(frames))
        bits = sum(result.bits for result in results)
        weight = float(installed_model.model.config.quality_lambdas(torch.tensor(QUALITY)))
        error = sum(10 ** (-result.psnr / 10) for result in results)
        return bits, bits + weight * error * fmt.width * fmt.height

    bits, total = cost()
    monkeypatch.setattr(video_model, "optimise_symbols", lambda latent, _: latent)
    plain_bits, plain_total = cost()
    assert bits < 0.95 * plain_bits
    assert total < plain_total
