"""Short runs of a tiny model on the bundled clip, for the tests of training."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from neuralcodec.model.config import ModelConfig
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.footage import find_footage
from neuralcodec.training.frame_cache import build_cache
from neuralcodec.training.linear_start import initialise
from neuralcodec.training.run_log import Observer
from neuralcodec.training.run_options import RunOptions
from neuralcodec.training.sampling import Sampler, open_cache
from neuralcodec.training.schedule import Phase, Schedule
from neuralcodec.training.team import Team
from neuralcodec.training.trainer import Trainer

CLIP = Path(__file__).parent.parent / "clips" / "city.mp4"
TINY = ModelConfig(
    "tiny",
    channels=8,
    latents=16,
    groups=(4, 16),
    prior_channels=8,
    vector_channels=8,
    intra_analysis_blocks=1,
    intra_synthesis_blocks=1,
    context_blocks=1,
    inter_analysis_blocks=1,
    inter_synthesis_blocks=1,
)
SMALL = (Phase(0.0, 2, 3, 32), Phase(0.5, 1, 3, 48))  # of the schedule: milliseconds a step


def make_cache(folder: Path) -> Path:
    build_cache(find_footage([CLIP]), folder, 20)
    return folder


@lru_cache(maxsize=4)
def _first_weights(cache: Path) -> dict[str, Tensor]:
    torch.manual_seed(0)
    model = VideoModel(TINY)
    initialise(model, Sampler(open_cache(cache), 0), rounds=1)
    return model.state_dict()


def start(
    cache: Path,
    out: Path,
    steps: int,
    options: RunOptions | None = None,
    *,
    team: Team | None = None,
    observers: Sequence[Observer] = (),
    asked_to_stop: Callable[[], bool] = lambda: False,
) -> Trainer:
    """A run from the beginning, or from its checkpoint where there is one."""
    model = VideoModel(TINY)
    model.load_state_dict(_first_weights(cache))
    if options is None:
        options = RunOptions(cache, out, save_every=1, log_every=1)
    trainer = Trainer(
        model,
        Schedule(steps, 1e-3, phases=SMALL),
        replace(options, cache=cache, out=out),
        team or Team(),
        observers,
        asked_to_stop,
    )
    trainer.resume()
    return trainer
