"""The boxes of an MP4 or MOV file (ISO 14496-12), one after the other."""

import struct
from collections.abc import Callable

_BOX = struct.Struct(">I4s")  # size with these 8 bytes, type
_LARGE_BOX = struct.Struct(">I4sQ")
_MEDIA = (b"moof", b"mdat")


class BoxWalk:
    """Steps over the outermost boxes of a file, as far as it is there so far.

    Attributes:
        end: byte at which the box reached last ends; None once there is no box any more.
        has_index: whether the index of the pictures was met.
        is_index_late: whether pictures came before it.
    """

    def __init__(self) -> None:
        self.end: int | None = 0
        self.has_index = False
        self.is_index_late = False
        self._kind = b""

    def step(self, read: Callable[[int, int], bytes]) -> bool:
        """Go over one box, if its head is there; `read` gives bytes of the file from a place on,
        at most as many as asked for."""
        if self.end is None:
            return False
        head = read(self.end, _LARGE_BOX.size)
        if len(head) < _BOX.size:
            return False
        size, kind = _BOX.unpack_from(head)
        if size == 1:
            if len(head) < _LARGE_BOX.size:
                return False
            size = _LARGE_BOX.unpack(head)[2]
        self._kind = kind
        self.has_index |= kind == b"moov"
        self.is_index_late |= kind == b"mdat" and not self.has_index
        self.end = self.end + size if size >= _BOX.size else None  # 0: to the end of the file
        return self.end is not None

    def is_cut_at(self, size: int) -> bool:
        """Whether media are missing of a file of this size that has been gone over."""
        if self.end is None:
            return False
        is_in_head = self.end < size < self.end + _BOX.size
        return is_in_head or (self.end > size and self._kind in _MEDIA)
