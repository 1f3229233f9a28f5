"""The .nlc file: what it holds, how it is written and how it is read.

`docs/format.md` specifies every byte. Nothing here knows networks or how frames are coded: a
frame's payload is bytes.
"""

from neuralcodec.container.reader import ContainerReader
from neuralcodec.container.records import (
    Damage,
    FrameRecord,
    GopRecord,
    GopStats,
    IndexEntry,
    StreamHeader,
)
from neuralcodec.container.writer import ContainerWriter

__all__ = [
    "ContainerReader",
    "ContainerWriter",
    "Damage",
    "FrameRecord",
    "GopRecord",
    "GopStats",
    "IndexEntry",
    "StreamHeader",
]
