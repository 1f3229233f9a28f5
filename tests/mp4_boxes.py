"""Boxes put into MP4 files, of which FFmpeg's own muxer writes none."""

import struct
from pathlib import Path

_FIXED = {b"stsd": 8, b"avc1": 78, b"hvc1": 78}  # bytes before the boxes inside


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def add_box(path: Path, place: str, added: bytes) -> None:
    """At the end of the first box at `place`, such as 'moov/trak'; media data must come before."""
    path.write_bytes(_with(path.read_bytes(), place.encode().split(b"/"), added))


def _with(content: bytes, place: list[bytes], added: bytes) -> bytes:
    if not place:
        return content + added
    at = 0
    while True:
        size, kind = struct.unpack_from(">I4s", content, at)
        if kind == place[0]:
            break
        at += size
    inner = content[at + 8 : at + size]
    fixed = _FIXED.get(kind, 0)
    changed = box(kind, inner[:fixed] + _with(inner[fixed:], place[1:], added))
    return content[:at] + changed + content[at + size :]
