"""neuralcodec: a learned video codec.

import neuralcodec

neuralcodec.encode("in.mp4", "out.nlc", quality=40)
neuralcodec.decode("out.nlc", "out.mkv")
with neuralcodec.open("out.nlc") as video:
    luma = video[100].y  # (H, W) uint8 tensor
"""

from typing import TYPE_CHECKING, Any

from neuralcodec.errors import (
    DamagedFile,
    DeviceError,
    InputError,
    ModelError,
    NcodecError,
    OutputError,
    UsageError,
)
from neuralcodec.version import __version__

if TYPE_CHECKING:
    from neuralcodec.codec.tensors import TensorFrame
    from neuralcodec.files.check import CheckReport, FoundDamage, check
    from neuralcodec.files.decode import DecodeSummary, decode
    from neuralcodec.files.encode import encode
    from neuralcodec.files.encode_summary import EncodeSummary
    from neuralcodec.files.random_access import TensorClip, VideoFile
    from neuralcodec.files.random_access import VideoFile as open  # noqa: N813
    from neuralcodec.files.repair import RepairReport, repair
    from neuralcodec.files.time_range import PartOptions
    from neuralcodec.media.sources.source_options import NumberedPictures, RawInput, SourceOptions
    from neuralcodec.progress import ProgressState
    from neuralcodec.rate.target import RateKind, RateOutcome, RateTarget

__all__ = [
    "CheckReport",
    "DamagedFile",
    "DecodeSummary",
    "DeviceError",
    "EncodeSummary",
    "FoundDamage",
    "InputError",
    "ModelError",
    "NcodecError",
    "NumberedPictures",
    "OutputError",
    "PartOptions",
    "ProgressState",
    "RateKind",
    "RateOutcome",
    "RateTarget",
    "RawInput",
    "RepairReport",
    "SourceOptions",
    "TensorClip",
    "TensorFrame",
    "UsageError",
    "VideoFile",
    "__version__",
    "check",
    "decode",
    "encode",
    "open",
    "repair",
]

_HOMES = {
    "encode": ("neuralcodec.files.encode", "encode"),
    "EncodeSummary": ("neuralcodec.files.encode_summary", "EncodeSummary"),
    "decode": ("neuralcodec.files.decode", "decode"),
    "DecodeSummary": ("neuralcodec.files.decode", "DecodeSummary"),
    "check": ("neuralcodec.files.check", "check"),
    "CheckReport": ("neuralcodec.files.check", "CheckReport"),
    "FoundDamage": ("neuralcodec.files.check", "FoundDamage"),
    "repair": ("neuralcodec.files.repair", "repair"),
    "RepairReport": ("neuralcodec.files.repair", "RepairReport"),
    "open": ("neuralcodec.files.random_access", "VideoFile"),
    "VideoFile": ("neuralcodec.files.random_access", "VideoFile"),
    "PartOptions": ("neuralcodec.files.time_range", "PartOptions"),
    "RateKind": ("neuralcodec.rate.target", "RateKind"),
    "RateOutcome": ("neuralcodec.rate.target", "RateOutcome"),
    "RateTarget": ("neuralcodec.rate.target", "RateTarget"),
    "NumberedPictures": ("neuralcodec.media.sources.source_options", "NumberedPictures"),
    "RawInput": ("neuralcodec.media.sources.source_options", "RawInput"),
    "SourceOptions": ("neuralcodec.media.sources.source_options", "SourceOptions"),
    "ProgressState": ("neuralcodec.progress", "ProgressState"),
    "TensorClip": ("neuralcodec.files.random_access", "TensorClip"),
    "TensorFrame": ("neuralcodec.codec.tensors", "TensorFrame"),
}


def __getattr__(name: str) -> Any:
    """torch takes a second to import; only what is used is loaded."""
    if name not in _HOMES:
        raise AttributeError(f"module 'neuralcodec' has no attribute '{name}'")
    import importlib

    from neuralcodec.imports import collecting_no_garbage

    module, attribute = _HOMES[name]
    with collecting_no_garbage():
        return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
