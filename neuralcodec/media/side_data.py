"""What FFmpeg attaches to a picture beside its samples."""

import struct
from collections.abc import Mapping
from typing import Any

import av
from av.sidedata.sidedata import Type

from neuralcodec.display_matrix import DisplayMatrix
from neuralcodec.media.filter_graph import filter_one

_DISPLAY_MATRIX = struct.Struct("=9i")
_NAMED = {kind.value for kind in Type}
_UNNAMED = sorted(set(range(64)) - _NAMED)  # kinds that PyAV has no name for, and then gives none


def side_data_of(picture: av.VideoFrame) -> Mapping[str, bytes]:
    """By kind, as FFmpeg names it without AV_FRAME_DATA_.

    To be asked of few pictures: PyAV then holds them in memory until Python collects its garbage.
    """
    try:
        found: Any = picture.side_data  # buffers in fact, which PyAV's types do not say
    except ValueError:
        found = _without_unnamed(picture).side_data
    return {data.type.name: bytes(data) for data in iter(found)}


def display_matrix(side_data: Mapping[str, bytes]) -> DisplayMatrix | None:
    """What it says of how to turn the picture; None if nothing, or to show it as it is."""
    data = side_data.get("DISPLAYMATRIX", b"")
    if len(data) < _DISPLAY_MATRIX.size:
        return None
    matrix = DisplayMatrix(_DISPLAY_MATRIX.unpack_from(data))
    return None if matrix.is_identity else matrix


def _without_unnamed(picture: av.VideoFrame) -> av.VideoFrame:
    """The same picture without the kinds of side data that keep PyAV from giving any."""
    filters = [("sidedata", {"mode": "delete", "type": str(kind)}) for kind in _UNNAMED]
    without = filter_one(picture, filters)
    assert without is not None
    return without
