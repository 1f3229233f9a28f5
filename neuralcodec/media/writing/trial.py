"""Finding out what a container takes by trying it."""

import io
import os
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, BinaryIO

import av
from av.error import FFmpegError

from neuralcodec.media.writing.copied_track import Track, add_stream, holds_attachment
from neuralcodec.streams import ATTACHMENT, DATA, OtherStream, StreamPacket


def can_hold(muxer: str, stream: OtherStream, first: Sequence[StreamPacket]) -> bool:
    """Whether FFmpeg's muxer takes the stream; found out by trying with its first packets.

    Some codecs are refused only at the end of the file, when the muxer describes them, some packet
    by packet, and some are taken that no demuxer then reads.
    """
    if stream.kind == ATTACHMENT:
        return holds_attachment(muxer, stream) and (muxer == "matroska" or _is_picture(stream.data))
    if stream.kind == DATA and not first:
        first = [StreamPacket(stream.number, 0, 0, 1, True, bytes(4))]
    file = io.BytesIO()
    try:
        with Trial(muxer, stream, file) as trial:
            # One that is damaged says nothing about the others.
            taken = [trial.takes(packet) for packet in first]
        if any(taken):
            file.seek(0)
            with av.open(file) as written:
                return len(written.streams) == 1
    except (FFmpegError, ValueError):
        return False
    return not taken


def _is_picture(data: bytes) -> bool:
    try:
        with av.open(io.BytesIO(data)) as picture:
            return min(picture.streams.video[0].width, picture.streams.video[0].height) > 0
    except (FFmpegError, ValueError, IndexError):
        return False


class Trial:
    """A container with one stream alone: what it complains of is that stream, and the packet that
    it was just given. What is written goes nowhere, if not to `file`.

    Raises ValueError or FFmpegError where the muxer does not take the stream; as a context
    manager also on leaving, where it does not take it in the end.
    """

    def __init__(self, muxer: str, stream: OtherStream, file: BinaryIO | None = None):
        sink: Any = file or _Nowhere()
        self._container = av.open(sink, "w", format=muxer)
        copy = add_stream(self._container, stream)
        self._container.start_encoding()
        self._track = Track(stream, copy)

    def takes(self, packet: StreamPacket) -> bool:
        try:
            self._container.mux(self._track.place(packet, Fraction(0))[0])
        except (FFmpegError, ValueError):
            return False
        return True

    def __enter__(self) -> "Trial":
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()


class _Nowhere:
    """A file that keeps nothing of what is written to it."""

    closed = True  # so that PyAV writes no end to it, whoever lets go of it when

    def __init__(self) -> None:
        self._position = self._end = 0

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._end}[whence]
        self._position = start + offset
        return self._position

    def write(self, data: bytes) -> int:
        self._position += len(data)
        self._end = max(self._end, self._position)
        return len(data)
