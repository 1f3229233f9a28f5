"""Where the chroma samples of a stream lie, which PyAV does not tell but Matroska writes down."""

import io

import av
from av.error import FFmpegError
from av.video.stream import VideoStream

# Elements of EBML and Matroska on the way to the two that are wanted.
_SEGMENT, _TRACKS, _TRACK, _VIDEO, _COLOUR = 0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0x55B0
_PARENTS = {_SEGMENT, _TRACKS, _TRACK, _VIDEO, _COLOUR}
_HORIZONTAL, _VERTICAL = 0x55B7, 0x55B8
_MOST_ELEMENTS = 1000  # in a header of one stream there are some fifty
# Matroska's siting (1 with the luma sample, 2 half way to the next)
# to FFmpeg's AVChromaLocation, which VideoFormat uses. FFmpeg does not write those at the bottom.
_LOCATIONS = {(1, 2): 1, (2, 2): 2, (1, 1): 3, (2, 1): 4}


def chroma_location(stream: VideoStream) -> int:
    """AVChromaLocation of a stream as its headers say: 1 left, 2 centre, ...; 0 = unspecified.

    The two locations at the bottom of the luma samples, which are next to unused, come as 0.
    """
    header = _matroska_header(stream)
    if header is None:
        return 0
    siting = _elements(header)
    return _LOCATIONS.get((siting.get(_HORIZONTAL, 0), siting.get(_VERTICAL, 0)), 0)


def _matroska_header(stream: VideoStream) -> bytes | None:
    """The beginning of a Matroska file with a copy of the stream; None if it cannot hold it."""
    file = io.BytesIO()
    try:
        # Uncompressed video, which is what Y4M holds, Matroska takes only if told to.
        with av.open(file, "w", format="matroska", options={"allow_raw_vfw": "1"}) as container:
            container.add_stream_from_template(stream, opaque=True)
            container.start_encoding()
            return file.getvalue()
    except (FFmpegError, ValueError):
        return None


def _elements(data: bytes) -> dict[int, int]:
    """Numbers in the header by element; of a repeated one the last."""
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
