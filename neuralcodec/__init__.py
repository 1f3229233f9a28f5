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
    from neuralcodec.codec.check_file import CheckReport, FoundDamage, check
    from neuralcodec.codec.decode_file import DecodeSummary, decode
    from neuralcodec.codec.decode_part import PartOptions
    from neuralcodec.codec.encode_file import encode
    from neuralcodec.codec.encode_summary import EncodeSummary
    from neuralcodec.codec.pictures import TensorFrame
    from neuralcodec.codec.progress import ProgressState
    from neuralcodec.codec.rate_target import RateKind, RateOutcome, RateTarget
    from neuralcodec.codec.repair_file import RepairReport, repair
    from neuralcodec.codec.video_file import TensorClip, VideoFile
    from neuralcodec.codec.video_file import VideoFile as open  # noqa: N813
    from neuralcodec.media.source_options import NumberedPictures, RawInput, SourceOptions

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
    "encode": ("neuralcodec.codec.encode_file", "encode"),
    "EncodeSummary": ("neuralcodec.codec.encode_summary", "EncodeSummary"),
    "decode": ("neuralcodec.codec.decode_file", "decode"),
    "DecodeSummary": ("neuralcodec.codec.decode_file", "DecodeSummary"),
    "check": ("neuralcodec.codec.check_file", "check"),
    "CheckReport": ("neuralcodec.codec.check_file", "CheckReport"),
    "FoundDamage": ("neuralcodec.codec.check_file", "FoundDamage"),
    "repair": ("neuralcodec.codec.repair_file", "repair"),
    "RepairReport": ("neuralcodec.codec.repair_file", "RepairReport"),
    "open": ("neuralcodec.codec.video_file", "VideoFile"),
    "VideoFile": ("neuralcodec.codec.video_file", "VideoFile"),
    "PartOptions": ("neuralcodec.codec.decode_part", "PartOptions"),
    "RateKind": ("neuralcodec.codec.rate_target", "RateKind"),
    "RateOutcome": ("neuralcodec.codec.rate_target", "RateOutcome"),
    "RateTarget": ("neuralcodec.codec.rate_target", "RateTarget"),
    "NumberedPictures": ("neuralcodec.media.source_options", "NumberedPictures"),
    "RawInput": ("neuralcodec.media.source_options", "RawInput"),
    "SourceOptions": ("neuralcodec.media.source_options", "SourceOptions"),
    "ProgressState": ("neuralcodec.codec.progress", "ProgressState"),
    "TensorClip": ("neuralcodec.codec.video_file", "TensorClip"),
    "TensorFrame": ("neuralcodec.codec.pictures", "TensorFrame"),
}


def __getattr__(name: str) -> Any:
    """torch takes a second to import; only what is used is loaded."""
    if name not in _HOMES:
        raise AttributeError(f"module 'neuralcodec' has no attribute '{name}'")
    import importlib

    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
