"""The models that have a name: what `--model` builds where no weights are given."""

from dataclasses import dataclass, replace

import torch

from neuralcodec.errors import UsageError
from neuralcodec.model.complexity import kmac_per_pixel
from neuralcodec.model.config import ModelConfig
from neuralcodec.model.video_model import VideoModel


@dataclass(frozen=True)
class NamedModel:
    """Sizes of a model, and how fast it learns."""

    config: ModelConfig
    learning_rate: float  # the highest of a run from nothing; trained weights take half of it


FAST = NamedModel(ModelConfig("fast"), 6e-4)  # for CPUs and laptops

BASE = NamedModel(  # for GPUs
    replace(
        FAST.config,
        name="base",
        channels=256,
        intra_analysis_blocks=4,
        intra_synthesis_blocks=6,
        context_blocks=3,
        inter_analysis_blocks=3,
        inter_synthesis_blocks=4,
    ),
    4e-4,
)

MODELS = {model.config.name: model for model in (FAST, BASE)}


def named_model(name: str) -> NamedModel:
    if name not in MODELS:
        raise UsageError(f"no model is named '{name}'; there are: {', '.join(MODELS)}")
    return MODELS[name]


def decode_kmac_per_pixel(config: ModelConfig) -> float:
    """Thousands of multiplications and additions for each luma sample of an inter frame, of a
    model that need not exist yet."""
    with torch.device("meta"):
        tensors = VideoModel(config).state_dict()
    return kmac_per_pixel({name: tuple(tensor.shape) for name, tensor in tensors.items()})
