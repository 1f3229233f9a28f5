"""What FFmpeg knows of a video stream and PyAV does not tell: read out of the header that the
Matroska muxer writes for a copy of it."""

import io

import av
from av.error import FFmpegError
from av.video.stream import VideoStream

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
        element = _number(data, position, keep_marker=True)
        if element is None:
            break
        size = _number(data, position + element[1], keep_marker=False)
        if size is None:
            break
        position += element[1] + size[1]
        if element[0] not in _PARENTS:  # else its content comes next
            if size[0] <= 8:
                values[element[0]] = int.from_bytes(data[position : position + size[0]], "big")
            position += size[0]
    return values


def _number(data: bytes, position: int, *, keep_marker: bool) -> tuple[int, int] | None:
    """A variable-length number of EBML and how many bytes it takes; None at the end."""
    if position >= len(data) or data[position] == 0:
        return None
    length = 9 - data[position].bit_length()
    value = int.from_bytes(data[position : position + length], "big")
    return (value if keep_marker else value & ((1 << 7 * length) - 1)), length
