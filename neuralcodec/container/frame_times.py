"""The times of a GOP's frames in a GOPS payload, in the order of showing: how their differences
change, so that frames at a constant rate take nothing.

Functions raise `Malformed`, and nothing else, for bytes that break a rule of the format.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from neuralcodec.container import layout
from neuralcodec.container.layout import check_range
from neuralcodec.container.varint import (
    append_signed_varint,
    append_varint,
    read_signed_varint,
    read_varint,
)

MAX_TIME_BYTES = 2 * layout.MAX_VARINT_BYTES  # of a frame


def pack_times(times: Sequence[int]) -> bytes:
    """Of the frames of a GOP in the order of showing, without the first."""
    out = bytearray()
    changes = _changes(times)
    for change in changes:
        append_signed_varint(out, change)
        if change == 0:
            repeated = 0
            following = next(changes, None)
            while following == 0:
                repeated += 1
                following = next(changes, None)
            append_varint(out, repeated)
            if following is not None:
                append_signed_varint(out, following)
    return bytes(out)


def _changes(times: Sequence[int]) -> Iterator[int]:
    """How much longer each frame but the last is shown than the one before it."""
    before = 0
    for earlier, later in pairwise(times):
        yield later - earlier - before
        before = later - earlier


def read_times(data: bytes, at: int, first: int, frames: int) -> tuple[list[int], int]:
    """The times of all frames in the order of showing, and the position after them."""
    times, duration = [first], 0
    check_range("a time stamp", first, -layout.MAX_PTS, layout.MAX_PTS)
    while len(times) < frames:
        change, at = read_signed_varint(data, at)
        duration += change
        count = 1
        if change == 0:
            repeated, at = read_varint(data, at)
            count += repeated
            check_range("the number of time stamps", len(times) + count, 0, frames)
        for _ in range(count):
            times.append(times[-1] + duration)
            check_range("a time stamp", times[-1], -layout.MAX_PTS, layout.MAX_PTS)
    return times, at
