"""The .nlc file: what it holds, how it is written and how it is read.

`docs/format.md` specifies every byte. Nothing here knows networks or how frames are coded: a
frame's payload is bytes, and so is a packet of another stream.
"""

from neuralcodec.container.index import find_gop, find_gop_of_frame
from neuralcodec.container.reader import ContainerReader
from neuralcodec.container.records import (
    Content,
    Damage,
    Extras,
    FrameRecord,
    GopContent,
    GopPlace,
    GopRecord,
    GopStats,
    IndexEntry,
    Loss,
    PacketsContent,
    StreamHeader,
)
from neuralcodec.container.writer import ContainerWriter

__all__ = [
    "ContainerReader",
    "ContainerWriter",
    "Content",
    "Damage",
    "Extras",
    "FrameRecord",
    "GopContent",
    "GopPlace",
    "GopRecord",
    "GopStats",
    "IndexEntry",
    "Loss",
    "PacketsContent",
    "StreamHeader",
    "find_gop",
    "find_gop_of_frame",
]
