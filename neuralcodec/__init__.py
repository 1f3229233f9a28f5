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
    from neuralcodec.codec.decode_file import DecodeSummary, decode
    from neuralcodec.codec.encode_file import EncodeSummary, encode
    from neuralcodec.codec.pictures import TensorFrame
    from neuralcodec.codec.progress import ProgressState
    from neuralcodec.codec.video_file import TensorClip, VideoFile
    from neuralcodec.codec.video_file import VideoFile as open  # noqa: N813

__all__ = [
    "DamagedFile",
    "DecodeSummary",
    "DeviceError",
    "EncodeSummary",
    "InputError",
    "ModelError",
    "NcodecError",
    "OutputError",
    "ProgressState",
    "TensorClip",
    "TensorFrame",
    "UsageError",
    "VideoFile",
    "__version__",
    "decode",
    "encode",
    "open",
]

_HOMES = {
    "encode": ("neuralcodec.codec.encode_file", "encode"),
    "EncodeSummary": ("neuralcodec.codec.encode_file", "EncodeSummary"),
    "decode": ("neuralcodec.codec.decode_file", "decode"),
    "DecodeSummary": ("neuralcodec.codec.decode_file", "DecodeSummary"),
    "open": ("neuralcodec.codec.video_file", "VideoFile"),
    "VideoFile": ("neuralcodec.codec.video_file", "VideoFile"),
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
