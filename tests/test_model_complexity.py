"""What a model costs to decode with."""

import pytest
import torch
from click.testing import CliRunner
from torch.utils.flop_counter import FlopCounterMode
from training_runs import TINY

from neuralcodec.cli import main
from neuralcodec.kernels import compiled
from neuralcodec.model.config import ModelConfig
from neuralcodec.model.inter import Referred
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.model.motion_prior import MotionSetting
from neuralcodec.model.recurrence import State
from neuralcodec.model.scale_prior import History, Past
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.models import BASE, FAST, decode_kmac_per_pixel


def counted_while_decoding(config: ModelConfig) -> float:
    """kMAC per luma sample of an inter frame of 48x32 with two references, as PyTorch counts what
    really runs."""
    model = VideoModel(config).eval()
    rows, columns = 2, 3  # of the latent
    latent = torch.zeros(1, config.latents, rows, columns)
    maps = torch.zeros(1, rows, columns, config.latents)
    motion = torch.zeros(1, 5, 2 * rows, 2 * columns)
    q, level, distances = torch.tensor([32.0]), torch.tensor([1]), torch.tensor([[4, -4]])
    first, second = (
        State(
            torch.zeros(1, 1, 16 * rows, 16 * columns),
            torch.zeros(1, 2, 8 * rows, 8 * columns),
            torch.zeros(1, config.channels, 2 * rows, 2 * columns),
            latent,
        )
        for _ in range(2)
    )
    with (
        pytest.MonkeyPatch.context() as patch,
        torch.no_grad(),
        FlopCounterMode(display=False) as counter,
    ):
        patch.setattr(compiled, "_fault", lambda: "switched off")  # what kernels do is not counted
        setting = MotionSetting(motion, distances, level, q)
        for _ in model.motion_prior.walk(motion, setting, model.log_table):
            pass
        prior = model.inter_prior
        past = Past(History.begin(maps), motion, level, distances)
        side = prior.side_information(q, (1, rows, columns), model.log_table, past)
        prior.all_indices(side, maps)
        refer = Referred((first, second), level, distances)
        prediction = model.inter.predict(refer, motion, q)
        rounded = model.inter.means.restore(latent, prediction.side, model.inter.gain(q))
        model.inter.synthesise(rounded, prediction, q, torch.ones(1, 2))
    return counter.get_total_flops() / 2 / (256 * rows * columns) / 1000


@pytest.mark.parametrize("config", [FAST.config, TINY], ids=lambda c: c.name)
def test_the_work_counted_from_the_layers_is_the_work_done(config: ModelConfig):
    assert decode_kmac_per_pixel(config) == pytest.approx(counted_while_decoding(config), rel=1e-3)


def test_base_is_some_six_times_fast_and_stays_within_100():
    assert 45 < decode_kmac_per_pixel(BASE.config) <= 100
    assert decode_kmac_per_pixel(FAST.config) < 10


@pytest.mark.parametrize("model", [FAST, BASE], ids=lambda m: m.config.name)
def test_named_models_have_sizes_that_a_file_may_have(model):
    assert ModelConfig.from_json(model.config.to_json()) == model.config


def test_models_shows_the_work_of_decoding(installed_model: InstalledModel):
    kmac = decode_kmac_per_pixel(installed_model.model.config)
    shown = CliRunner().invoke(main, ["models", "fast"])
    assert f"{kmac:.1f} kMAC for each luma sample" in shown.output
    listed = CliRunner().invoke(main, ["models"])
    assert "kMAC/pixel" in listed.output and f"{kmac:.1f}" in listed.output
