"""Whole .nlc files in memory, of the contents that a test lists."""

import io
from collections.abc import Iterable

from neuralcodec.container import (
    ContainerWriter,
    Content,
    Extras,
    PacketsContent,
    StreamHeader,
)


def written(contents: Iterable[Content], header: StreamHeader, extras: Extras) -> bytes:
    file = io.BytesIO()
    container = ContainerWriter(file, header, extras)
    for content in contents:
        if isinstance(content, PacketsContent):
            container.write_packets(content.packets)
        else:
            container.write_gop(content.gop, content.stats)
    container.finish()
    return file.getvalue()
