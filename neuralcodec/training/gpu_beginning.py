"""What a run on a lent machine begins with: its own checkpoint, what went back, or a model.

A model that is not trained yet begins with `fast`, grown to its sizes."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from neuralcodec.atomic_file import AtomicFile, output_errors
from neuralcodec.errors import InputError, ModelError, reason_of
from neuralcodec.model.config import ModelConfig
from neuralcodec.model.installed import SUFFIX, installed_file, installed_models
from neuralcodec.model.model_file import load_config, load_model, load_tensors
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.checkpoint import read_checkpoint
from neuralcodec.training.grow import can_grow, grow
from neuralcodec.training.linear_start import initialise
from neuralcodec.training.models import FAST, named_model
from neuralcodec.training.returned_files import read_pieces
from neuralcodec.training.sampling import Sampler, open_cache

RATE_GAIN = 1.5  # for batches that are four times as large as those of a CPU
CPU = torch.device("cpu")


@dataclass(frozen=True)
class GpuBeginning:
    """weights: None for a run from nothing, or one that its checkpoint carries on. is_trained:
    whether the run began with trained weights. step, seconds: of a run whose weights alone went
    back, and whose optimiser begins anew."""

    config: ModelConfig
    weights: Path | None
    is_trained: bool
    has_checkpoint: bool = False
    step: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        usual = named_model(self.config.name).learning_rate * RATE_GAIN
        return usual / 2 if self.is_trained else usual

    def build(self, cache: Path, held_out: frozenset[str], seed: int) -> tuple[VideoModel, str]:
        """The model on the CPU, and a sentence about its weights."""
        torch.manual_seed(seed)
        model = VideoModel(self.config)
        if self.has_checkpoint:
            return model, "goes on from its checkpoint"
        if self.weights is None:
            initialise(model, Sampler(open_cache(cache, held_out), seed))
            return model, "begins with nothing but the linear transforms"
        try:
            if replace(load_config(self.weights), name=self.config.name) != self.config:
                model = grow(load_model(str(self.weights)).model, self.config)
                return model, f"begins with {self.weights.name}, grown"
            model.load_state_dict(load_tensors(self.weights))
        except (SafetensorError, OSError, RuntimeError) as error:
            reason = reason_of(error)
            raise ModelError(f"{self.weights}: not a model to start from ({reason})") from error
        return model, f"begins with {self.weights.name}"


def fetch_earlier(returned: Path, run: Path) -> None:
    """What an earlier call gave back, into the folder of the run, where that is not further.

    Raises InputError where there is nothing to go on from."""
    with output_errors(run):
        run.mkdir(parents=True, exist_ok=True)
    own = read_checkpoint(run / "checkpoint.pt", CPU)
    own_step = own.state["position"]["step"] if own else -1
    checkpoint, weights = read_pieces(returned, "checkpoint"), _returned_weights(returned)
    if checkpoint is None and weights is None:
        raise InputError(f"{returned}: no checkpoint and no weights to go on from")
    if checkpoint and checkpoint[0] > own_step:
        _write(run / "checkpoint.pt", checkpoint[1])
    elif weights and own is None and checkpoint is None:
        _write(run / f"earlier{SUFFIX}", weights)
    else:
        return
    if (returned / "log.jsonl").exists():
        _write(run / "log.jsonl", (returned / "log.jsonl").read_bytes())


def gpu_beginning(model: str, start_from: Path | None, run: Path) -> GpuBeginning:
    """Of the run in this folder, or of a new one. Raises InputError, ModelError, UsageError."""
    config = named_model(model).config
    saved = read_checkpoint(run / "checkpoint.pt", CPU)
    if saved:
        config = ModelConfig.from_json(saved.identity.config)
        return GpuBeginning(config, None, saved.schedule.first_phase > 0, has_checkpoint=True)
    earlier = run / f"earlier{SUFFIX}"
    if earlier.exists():
        record = _metadata(earlier, "record")
        is_trained = bool(record["schedule"]["first_phase"])
        seconds = 3600 * float(record["hours"])
        config = _config_of(earlier, model)
        return GpuBeginning(config, earlier, is_trained, step=record["steps"], seconds=seconds)
    if start_from is None and model in installed_models():
        start_from = installed_file(model)
    if start_from is None and FAST.config.name in installed_models():
        start_from = installed_file(FAST.config.name)
    if start_from is None:
        return GpuBeginning(config, None, is_trained=False)
    trained = _config_of(start_from, model)
    grown = config if can_grow(trained, config) else trained
    return GpuBeginning(grown, start_from, is_trained=True)


def join_pieces(folder: Path, tell: Callable[[str], None]) -> None:
    """weights.safetensors and checkpoint.pt from the pieces in a folder."""
    for stem, suffix in (("weights", SUFFIX), ("checkpoint", ".pt")):
        found = read_pieces(folder, stem)
        if found:
            _write(folder / f"{stem}{suffix}", found[1])
            tell(f"{folder / stem}{suffix}: step {found[0]}, {len(found[1])} bytes")


def _returned_weights(folder: Path) -> bytes | None:
    found = read_pieces(folder, "weights")
    if found:
        return found[1]
    whole = folder / f"weights{SUFFIX}"
    return whole.read_bytes() if whole.exists() else None


def _config_of(weights: Path, name: str) -> ModelConfig:
    """Trained weights keep their sizes, whatever the named model has by now."""
    try:
        return replace(load_config(weights), name=name)
    except (SafetensorError, OSError, LookupError, ValueError, TypeError) as error:
        raise ModelError(f"{weights}: not a model to start from ({error})") from error


def _metadata(path: Path, key: str) -> dict[str, Any]:
    try:
        with safe_open(path, framework="numpy") as file:
            fields: dict[str, Any] = json.loads((file.metadata() or {})[key])
    except (OSError, LookupError, ValueError) as error:
        raise ModelError(f"{path}: not a model file of this version ({error})") from error
    return fields


def _write(path: Path, data: bytes) -> None:
    with AtomicFile(path, overwrite=True) as file:
        file.file.write(data)
