"""What FFmpeg attaches to a picture beside its samples."""

import struct
from collections.abc import Mapping
from typing import Any

import av
from av.sidedata.sidedata import Type

from neuralcodec.display_matrix import DisplayMatrix
from neuralcodec.media.filter_graph import filter_one

_DISPLAY_MATRIX = struct.Struct("=9i")
_ICC_PROFILE = "ICC_PROFILE"
# Kinds that PyAV must not see: those that it has no name for keep it from giving any, and of an
# ICC profile it frees the name, which FFmpeg then frees again.
_FIT = {int(kind.value) for kind in Type if kind is not Type.ICC_PROFILE}
_UNFIT = [str(number) for number in range(64) if number not in _FIT]


def side_data_of(picture: av.VideoFrame) -> Mapping[str, bytes]:
    """By kind, as FFmpeg names it without AV_FRAME_DATA_; of an ICC profile no bytes.

    To be asked of few pictures: PyAV then holds them in memory until Python collects its garbage.
    """
    fit = filter_one(picture, [("sidedata", {"mode": "delete", "type": n}) for n in _UNFIT])
    assert fit is not None
    found: Any = fit.side_data  # buffers in fact, which PyAV's types do not say
    data = {data.type.name: bytes(data) for data in iter(found)}
    profile = [("sidedata", {"mode": "select", "type": str(Type.ICC_PROFILE.value)})]
    return data | {_ICC_PROFILE: b""} if filter_one(picture, profile) else data


def display_matrix(side_data: Mapping[str, bytes]) -> DisplayMatrix | None:
    """What it says of how to turn the picture; None if nothing, or to show it as it is."""
    data = side_data.get("DISPLAYMATRIX", b"")
    if len(data) < _DISPLAY_MATRIX.size:
        return None
    matrix = DisplayMatrix(_DISPLAY_MATRIX.unpack_from(data))
    return None if matrix.is_identity else matrix
