"""What FFmpeg knows of a video stream and PyAV does not tell: read out of the header that the
Matroska muxer writes for a copy of it."""

import io

import av
from av.error import FFmpegError
from av.video.stream import VideoStream

from neuralcodec.media.ebml import element_head

# Elements of EBML and Matroska that hold others, on the way to the numbers.
_SEGMENT, _TRACKS, _TRACK, _VIDEO, _COLOUR = 0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0x55B0
_BLOCK_ADDITION_MAPPING = 0x41E4
_PARENTS = {_SEGMENT, _TRACKS, _TRACK, _VIDEO, _COLOUR, _BLOCK_ADDITION_MAPPING}
_MOST_ELEMENTS = 1000  # in a header of one stream there are some fifty


def stream_header(stream: VideoStream) -> dict[int, int]:
    """Integers in the header by their element's id, of a repeated one the last; none where
    Matroska cannot hold the stream."""
    file = io.BytesIO()
    try:
        # Uncompressed video, which is what Y4M holds, Matroska takes only if told to.
        with av.open(file, "w", format="matroska", options={"allow_raw_vfw": "1"}) as container:
            container.add_stream_from_template(stream, opaque=True)
            container.start_encoding()
            return _elements(file.getvalue())
    except (FFmpegError, ValueError):
        return {}


def _elements(data: bytes) -> dict[int, int]:
    values = {}
    position = 0
    for _ in range(_MOST_ELEMENTS):
        head = element_head(data, position)
        if head is None:
            break
        position, kind = head.start, int.from_bytes(head.id, "big")
        if kind in _PARENTS:
            continue  # its content comes next
        if head.size is None:
            break
        if head.size <= 8:
            values[kind] = int.from_bytes(data[position : position + head.size], "big")
        position += head.size
    return values
