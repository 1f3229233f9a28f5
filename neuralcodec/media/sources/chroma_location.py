"""Where the chroma samples of a stream lie."""

from collections.abc import Mapping

_HORIZONTAL, _VERTICAL = 0x55B7, 0x55B8  # elements of Matroska
# Matroska's siting (1 with the luma sample, 2 half way to the next)
# to FFmpeg's AVChromaLocation, which VideoFormat uses. FFmpeg does not write those at the bottom.
_LOCATIONS = {(1, 2): 1, (2, 2): 2, (1, 1): 3, (2, 1): 4}


def chroma_location(header: Mapping[int, int]) -> int:
    """AVChromaLocation of a stream by its `stream_header`: 1 left, 2 centre, ...; 0 = unspecified.

    The two locations at the bottom of the luma samples, which are next to unused, come as 0.
    """
    return _LOCATIONS.get((header.get(_HORIZONTAL, 0), header.get(_VERTICAL, 0)), 0)
