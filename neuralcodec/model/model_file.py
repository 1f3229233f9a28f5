"""Model files: safetensors with configuration, tables and training record; never pickle."""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from neuralcodec.errors import ModelError, reason_of
from neuralcodec.model.config import ModelConfig
from neuralcodec.model.exact import table_in_units
from neuralcodec.model.installed import (
    MODEL_PREFIX,
    NETWORKS_VERSION,
    check_version,
    file_sha256,
    installed_models,
    made_with,
    model_file,
    not_installed,
)
from neuralcodec.model.tables import CodingTables, make_tables
from neuralcodec.model.video_model import VideoModel

DEFAULT_MODEL = "fast"
TABLE_PREFIX = "tables."


@dataclass(frozen=True)
class InstalledModel:
    """A model with its identity: the SHA-256 of its file, which every .nlc names."""

    name: str
    sha256: bytes
    model: VideoModel
    tables: CodingTables
    record: dict[str, object]  # how it was trained: data, steps, hours, seed


def model_bytes(model: VideoModel, record: dict[str, object]) -> bytes:
    """The file of a model; its probability tables are made here, once and for all."""
    tensors = {MODEL_PREFIX + k: v.contiguous().cpu() for k, v in model.state_dict().items()}
    for key, table in make_tables().to_tensors().items():
        tensors[TABLE_PREFIX + key] = table
    metadata = {
        "networks": str(NETWORKS_VERSION),
        "config": model.config.to_json(),
        "record": json.dumps(record, sort_keys=True),
    }
    return _with_sorted_header(save(tensors, metadata))


def load_model(name_or_file: str) -> InstalledModel:
    """A model by its installed name or the path of its file.

    Raises ModelError when there is none, or when the file is not a sound model."""
    return _load_file(model_file(name_or_file))


def find_model(name: str, sha256: bytes, candidate: str | None = None) -> InstalledModel:
    """The model that a file was made with. Raises ModelError, naming it, when it is not here.

    candidate: the only model to consider, by name or file; else all that are installed."""
    if candidate is not None:
        given = load_model(candidate)
        if given.sha256 == sha256:
            return given
        raise ModelError(f"{made_with(name, sha256)}, which is not {candidate}")
    for known, digest in installed_models().items():
        if digest == sha256:
            with suppress(ModelError):
                found = load_model(known)
                if found.sha256 == sha256:
                    return found
            raise ModelError(f"the installed model '{known}' is damaged: reinstall ncodec")
    raise ModelError(not_installed(name, sha256))


def load_config(path: Path) -> ModelConfig:
    """The configuration in a model file, without its weights."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    check_version(path, metadata)
    return ModelConfig.from_json(metadata["config"])


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The networks' weights in a model file, without building a model of them."""
    with safe_open(path, framework="pt") as file:
        return _with_prefix({key: file.get_tensor(key) for key in file.keys()}, MODEL_PREFIX)  # noqa: SIM118


def _load_file(path: Path) -> InstalledModel:
    try:
        # Whatever device the program prefers: older safetensors would put tensors there.
        with torch.device("cpu"), safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            check_version(path, metadata)
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
        config = ModelConfig.from_json(metadata["config"])
        model = _build(config, _with_prefix(tensors, MODEL_PREFIX))
        for layer in model.exact_layers():
            layer.prove_exact()
        table_in_units(model.log_table)
        tables = CodingTables.from_tensors(_with_prefix(tensors, TABLE_PREFIX))
        record = json.loads(metadata.get("record", "{}"))
    except (
        SafetensorError,
        LookupError,
        ValueError,
        TypeError,
        ArithmeticError,
        RuntimeError,
        OSError,
    ) as error:
        reason = reason_of(error)
        raise ModelError(f"{path}: not a model file of this version ({reason})") from error
    model.eval()
    model.requires_grad_(False)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return InstalledModel(config.name, file_sha256(path), model, tables, record)


def _build(config: ModelConfig, tensors: dict[str, Tensor]) -> VideoModel:
    """Raises ValueError or RuntimeError where the tensors are not those of the configuration.

    Memory is only taken for tensors that are really in the file, whatever the configuration says.
    """
    with torch.device("meta"):
        model = VideoModel(config)
    weights = dict(tensors)  # what there is too much stays in it, to be refused
    for key, expected in model.state_dict().items():
        if key not in tensors:
            raise ValueError(f"{key} is missing")
        if tensors[key].shape != expected.shape:
            raise ValueError(f"{key} is {[*tensors[key].shape]}, not {[*expected.shape]}")
        weights[key] = tensors[key].to(expected.dtype, copy=True)
    # Not copied into empty tensors: to make those of tensors without memory takes PyTorch's
    # compiler along, for a second and 100 MiB.
    model.load_state_dict(weights, assign=True)
    return model


def _with_sorted_header(data: bytes) -> bytes:
    """safetensors writes metadata in an order of chance; the same model shall have the same file.

    A file is the length of its header (8 bytes), the header as JSON, padded, and the tensors."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[start:]


def _with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
