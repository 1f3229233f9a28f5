"""The constants of the .nlc layout: signature, version, chunk types, limits, fixed fields.

Guarantee: every size, count and length that a file states is compared with a limit from here
before anything is allocated for it.
"""

import re
import struct
from typing import Final

SIGNATURE: Final = b"\x8eNLC\r\n\x1a\n"
VERSION: Final = struct.Struct("<HH")  # major, minor
MAJOR: Final = 1
MINOR: Final = 0

CHUNK_HEAD: Final = struct.Struct("<4sI")  # type, payload length
CHUNK_CRC: Final = struct.Struct("<I")  # CRC-32 of type, length and payload
CHUNK_OVERHEAD: Final = CHUNK_HEAD.size + CHUNK_CRC.size

HEAD: Final = b"HEAD"
GOPS: Final = b"GOPS"
STAT: Final = b"stat"
INDX: Final = b"INDX"
TAIL: Final = b"TAIL"
# `strm` and `pckt` are reserved for other streams: skipped like any unknown ancillary chunk, but
# known, so that reading goes on at them after damage.
CHUNKS_AFTER_HEAD: Final = re.compile(b"GOPS|stat|INDX|TAIL|strm|pckt")

# The elements of HEAD in file order: (name, type). `text` is a u8 length and UTF-8.
HEAD_ELEMENTS: Final = (
    ("width", "u32"),
    ("height", "u32"),
    ("bit_depth", "u8"),
    ("chroma_format", "u8"),
    ("time_base_num", "u32"),
    ("time_base_den", "u32"),
    ("frame_rate_num", "u32"),
    ("frame_rate_den", "u32"),
    ("sample_aspect_num", "u32"),
    ("sample_aspect_den", "u32"),
    ("color_primaries", "u8"),
    ("color_transfer", "u8"),
    ("color_matrix", "u8"),
    ("full_range", "u8"),
    ("chroma_location", "u8"),
    ("rotation", "i16"),
    ("max_gop_frames", "u32"),
    ("model_name", "text"),
    ("model_sha256", "32 bytes"),
)
CHROMA_420: Final = 1

GOP_FIXED: Final = struct.Struct("<QIqI")  # first frame, frame count, first PTS, symbols CRC-32
STAT_FIXED: Final = struct.Struct("<Q")  # first frame
STAT_FRAME: Final = struct.Struct("<3H")  # PSNR of Y, U, V
INDEX_ENTRY: Final = struct.Struct("<QQIq")  # GOPS offset, first frame, frame count, first PTS
TAIL_FIXED: Final = struct.Struct("<QQ")  # INDX offset, frames in the file
TAIL_CHUNK_SIZE: Final = CHUNK_OVERHEAD + TAIL_FIXED.size

PSNR_STEPS_PER_DB: Final = 500
PSNR_LOSSLESS: Final = 0xFFFF

# Limits
MIN_SIDE, MAX_SIDE = 16, 16384  # luma samples
BIT_DEPTHS: Final = (8, 10)
MAX_ROTATION: Final = 360  # degrees, either way
MAX_CHROMA_LOCATION: Final = 6
MAX_GOP_FRAMES: Final = 1 << 16
MAX_FRAMES: Final = 1 << 48  # in a file
MAX_GOPS: Final = 1 << 22  # in a file: 48 days of one-second GOPs
MAX_Q: Final = 63
MAX_PTS: Final = (1 << 62) - 1  # so that the difference of two fits 64 bits
MAX_TEXT_BYTES: Final = 255
MAX_VARINT_BYTES: Final = 10
MAX_DAMAGES: Final = 10_000  # reported for one file

MAX_GOP_PAYLOAD: Final = 1 << 30
MAX_OTHER_PAYLOAD: Final = 1 << 24
_MAX_PAYLOADS: Final = {
    HEAD: 1 << 12,
    GOPS: MAX_GOP_PAYLOAD,
    STAT: STAT_FIXED.size + MAX_GOP_FRAMES * STAT_FRAME.size,
    INDX: MAX_GOPS * INDEX_ENTRY.size,
    TAIL: TAIL_FIXED.size,
}


class Malformed(ValueError):
    """A value breaks a rule of the format; the message says which.

    Never leaves the container package: a reader turns it into `DamagedFile`.
    """


def max_payload(chunk_type: bytes) -> int:
    """Most payload bytes that a chunk of this type may state."""
    return _MAX_PAYLOADS.get(chunk_type, MAX_OTHER_PAYLOAD)


def check_range(name: str, value: int, low: int, high: int) -> None:
    """Raise Malformed unless low ≤ value ≤ high."""
    if not low <= value <= high:
        raise Malformed(f"{name} is {value} (allowed: {low} to {high})")
