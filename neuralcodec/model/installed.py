"""What models there are, from an index and their files' headers: quick, no network is built."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open

from neuralcodec.errors import ModelError, reason_of
from neuralcodec.model.complexity import kmac_per_pixel
from neuralcodec.model.model_name import check_name

SUFFIX = ".safetensors"
INDEX = "index.json"  # beside the installed files: {name: SHA-256 of its file in hexadecimal}
# Of what the networks compute from a model's tensors. It changes when weights made before would
# give other pictures or other symbols; every model file names the one that it was trained with.
NETWORKS_VERSION = 2
MODEL_PREFIX = "model."  # of the names of its networks' tensors
_CONSTANT = "model.log_table"  # stored with the networks, but not learned
T = TypeVar("T")


@dataclass(frozen=True)
class ModelDescription:
    """A model file in figures. How it was trained is None where its record does not say."""

    name: str
    file: str
    sha256: str  # of the file, in hexadecimal; every .nlc file names its model by it
    bytes: int
    parameters: int
    channels: int  # of the feature maps
    latents: int  # channels of the latent
    kmac_per_pixel: float  # to decode an inter frame, thousands for each luma sample
    steps: int | None
    hours: float | None
    device: str | None
    note: str | None
    data: list[str] = field(default_factory=list)  # clips that it was trained on
    held_out: list[str] = field(default_factory=list)  # and those it was validated on


def weights_folder() -> Path:
    return Path(str(resources.files("neuralcodec.model") / "weights"))


def installed_models() -> dict[str, bytes]:
    """The SHA-256 of each installed model by its name, from the index: no file is read for it."""
    index = json.loads((weights_folder() / INDEX).read_text())
    return {name: bytes.fromhex(digest) for name, digest in sorted(index.items())}


def installed_file(name: str) -> Path:
    return weights_folder() / f"{name}{SUFFIX}"


def not_installed(name: str, sha256: bytes) -> str:
    """The sentence for a file whose model is not among those installed."""
    return f"{made_with(name, sha256)}, which is not installed: give its file with --model"


def made_with(name: str, sha256: bytes) -> str:
    return f"made with model '{name}' ({sha256.hex()[:16]}...)"


def model_file(name_or_file: str) -> Path:
    """The file of an installed model, or the one named. Raises ModelError when there is none."""
    if not name_or_file.endswith(SUFFIX):
        names = installed_models()
        if name_or_file not in names:
            raise ModelError(
                f"model '{name_or_file}' is not installed; "
                f"there is: {', '.join(names)} (or give a {SUFFIX} file)"
            )
        return installed_file(name_or_file)
    path = Path(name_or_file)
    if not path.is_file():
        raise ModelError(f"{path}: no such model file")
    return path


def file_sha256(path: Path) -> bytes:
    """Raises ModelError when the file cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error


def check_version(path: Path, metadata: Mapping[str, str]) -> None:
    """Raises ModelError where a model file was made for networks other than those of now."""
    found = metadata.get("networks")
    if "config" in metadata and found != str(NETWORKS_VERSION):
        made_for = "an earlier version" if found is None else f"version {found:.20}"
        raise ModelError(
            f"{path}: made for {made_for} of the networks, this is version {NETWORKS_VERSION}: "
            "retrain it, or use the ncodec that it was made with"
        )


def describe_model(path: Path) -> ModelDescription:
    """Raises ModelError where the header of the file is not that of a model.

    That the networks are sound is not looked at: `model_file.load_model` does."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            check_version(path, metadata)
            keys = [k for k in file.keys() if k.startswith(MODEL_PREFIX) and k != _CONSTANT]  # noqa: SIM118
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in keys}
        config = json.loads(metadata["config"])
        record = json.loads(metadata.get("record", "{}"))
        name = check_name(config["name"])
        channels, latents = int(config["channels"]), int(config["latents"])
        size = path.stat().st_size
    except (SafetensorError, LookupError, ValueError, TypeError, RuntimeError, OSError) as error:
        reason = reason_of(error)
        raise ModelError(f"{path}: not a model file of this version ({reason})") from error
    return ModelDescription(
        name=name,
        file=str(path),
        sha256=file_sha256(path).hex(),
        bytes=size,
        parameters=sum(map(math.prod, shapes.values())),
        channels=channels,
        latents=latents,
        kmac_per_pixel=round(
            kmac_per_pixel({k.removeprefix(MODEL_PREFIX): s for k, s in shapes.items()}), 2
        ),
        steps=_taken(record, "steps", int),
        hours=_taken(record, "hours", _finite),
        device=_taken(record, "device", _printable),
        note=_taken(record, "note", _printable),
        data=_taken(record, "data", _printables) or [],
        held_out=_taken(record, "held_out", _printables) or [],
    )


def _taken(record: object, key: str, convert: Callable[[Any], T]) -> T | None:
    """An entry of a training record, which is free text from anywhere; None where it is missing
    or not what it should be."""
    value = record.get(key) if isinstance(record, dict) else None
    try:
        return None if value is None else convert(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _finite(value: Any) -> float:
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return float(value)


def _printable(value: Any) -> str:
    """What terminals take as commands is left out."""
    return "".join(c if c.isprintable() else "?" for c in str(value))


def _printables(values: Any) -> list[str]:
    if not isinstance(values, list):
        raise ValueError("not a list")
    return [_printable(value) for value in values]
