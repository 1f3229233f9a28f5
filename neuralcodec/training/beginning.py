"""What a run begins with: a named model or a weights file, at its checkpoint where there is one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError

from neuralcodec.errors import ModelError, reason_of
from neuralcodec.model.config import ModelConfig
from neuralcodec.model.installed import SUFFIX, installed_models, model_file
from neuralcodec.model.model_file import load_model, load_tensors
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.linear_start import initialise
from neuralcodec.training.models import FAST, MODELS, named_model
from neuralcodec.training.run_log import Observer
from neuralcodec.training.run_options import RunOptions
from neuralcodec.training.sampling import Sampler, open_cache
from neuralcodec.training.schedule import WARM_PHASE, Schedule
from neuralcodec.training.team import Team
from neuralcodec.training.trainer import Trainer

STEPS_FROM_NOTHING, STEPS_FROM_WEIGHTS = 20_000, 6_000


@dataclass(frozen=True)
class Beginning:
    """Sizes of the networks, and the weights to begin with, where there are any."""

    config: ModelConfig
    weights: Path | None = None

    @property
    def started_from(self) -> str | None:
        return self.weights.name if self.weights else None

    def schedule(self, steps: int | None = None, rate: float | None = None) -> Schedule:
        """What suits the model, but for what is given."""
        usual = MODELS.get(self.config.name, FAST).learning_rate
        if self.weights is None:
            return Schedule(steps or STEPS_FROM_NOTHING, rate or usual)
        return Schedule(steps or STEPS_FROM_WEIGHTS, rate or usual / 2, first_phase=WARM_PHASE)


def beginning_of(model: str) -> Beginning:
    """From a weights file, or the weights of a named model where they are installed; else from
    nothing. Raises ModelError, UsageError."""
    if model.endswith(SUFFIX) or model in installed_models():
        installed = load_model(model)
        return Beginning(installed.model.config, model_file(model))
    return Beginning(named_model(model).config)


def begin_run(
    beginning: Beginning,
    schedule: Schedule,
    options: RunOptions,
    team: Team,
    observers: Sequence[Observer] = (),
    asked_to_stop: Callable[[], bool] = lambda: False,
) -> Trainer:
    """A trainer that is where the checkpoint of its folder was, or at its first step.

    Raises InputError, UsageError, OutputError."""
    torch.manual_seed(options.seed)
    model = VideoModel(beginning.config)
    options = replace(options, started_from=beginning.started_from)
    is_new = not (options.out / "checkpoint.pt").exists()
    if is_new and beginning.weights:
        try:
            model.load_state_dict(load_tensors(beginning.weights))
        except (SafetensorError, OSError, RuntimeError) as error:
            reason = reason_of(error)
            raise ModelError(
                f"{beginning.weights}: not a model to start from ({reason})"
            ) from error
    elif is_new:
        clips = open_cache(options.cache, frozenset(options.held_out))
        initialise(model, Sampler(clips, options.seed))
    trainer = Trainer(model, schedule, options, team, observers, asked_to_stop)
    trainer.resume()
    return trainer
