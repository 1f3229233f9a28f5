"""Model files: safetensors with configuration, tables and training record; never pickle."""

import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from neuralcodec.errors import ModelError
from neuralcodec.model.config import ModelConfig
from neuralcodec.model.tables import CodingTables, make_tables
from neuralcodec.model.video_model import VideoModel

DEFAULT_MODEL = "fast"
TABLE_PREFIX = "tables."
MODEL_PREFIX = "model."


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
    metadata = {"config": model.config.to_json(), "record": json.dumps(record, sort_keys=True)}
    return _with_sorted_header(save(tensors, metadata))


def installed_names() -> list[str]:
    folder = resources.files("neuralcodec.model") / "weights"
    return sorted(
        f.name.removesuffix(".safetensors")
        for f in folder.iterdir()
        if f.name.endswith(".safetensors")
    )


def load_model(name_or_file: str) -> InstalledModel:
    """A model by its installed name or the path of its file.

    Raises ModelError when there is none, or when the file is not a sound model."""
    path = Path(name_or_file)
    if not name_or_file.endswith(".safetensors"):
        if name_or_file not in installed_names():
            raise ModelError(
                f"model '{name_or_file}' is not installed; "
                f"there are: {', '.join(installed_names())} (or give a .safetensors file)"
            )
        path = Path(
            str(resources.files("neuralcodec.model") / "weights" / f"{name_or_file}.safetensors")
        )
    elif not path.is_file():
        raise ModelError(f"{path}: no such model file")
    return _load_file(path)


def find_model(name: str, sha256: bytes, candidate: str | None = None) -> InstalledModel:
    """The model that a file was made with. Raises ModelError, naming it, when it is not here."""
    for known in [candidate] if candidate else installed_names():
        model = load_model(known)
        if model.sha256 == sha256:
            return model
    raise ModelError(
        f"made with model '{name}' ({sha256.hex()[:16]}...), which is not "
        + (f"{candidate}" if candidate else "installed: give its file with --model")
    )


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The networks' weights in a model file, without building a model of them."""
    with safe_open(path, framework="pt") as file:
        return _with_prefix({key: file.get_tensor(key) for key in file.keys()}, MODEL_PREFIX)  # noqa: SIM118


def take_over(model: VideoModel, tensors: dict[str, Tensor]) -> list[str]:
    """Copies all weights that fit; returns the names of those that do not."""
    own = model.state_dict()
    fitting = {k: v for k, v in tensors.items() if k in own and own[k].shape == v.shape}
    model.load_state_dict(fitting, strict=False)
    return sorted(own.keys() - fitting.keys())


def _load_file(path: Path) -> InstalledModel:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
        config = ModelConfig.from_json(metadata["config"])
        model = VideoModel(config)
        model.load_state_dict(_with_prefix(tensors, MODEL_PREFIX))
        for layer in model.exact_layers():
            layer.prove_exact()
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
        reason = str(error).splitlines()[0]
        raise ModelError(f"{path}: not a model file of this version ({reason})") from error
    model.eval()
    model.requires_grad_(False)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    digest = hashlib.sha256(path.read_bytes()).digest()
    return InstalledModel(config.name, digest, model, tables, record)


def _with_sorted_header(data: bytes) -> bytes:
    """safetensors writes metadata in an order of chance; the same model shall have the same file.

    A file is the length of its header (8 bytes), the header as JSON, padded, and the tensors."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[start:]


def _with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
