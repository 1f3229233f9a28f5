"""The constants of the .nlc layout: signature, version, chunk types, limits, fixed fields.

Guarantee: every size, count and length that a file states is compared with a limit from here
before anything is allocated for it.
"""

import re
import struct
from fractions import Fraction
from typing import Final

from neuralcodec.streams import ATTACHMENT, AUDIO, DATA, SUBTITLE

SIGNATURE: Final = b"\x8eNLC\r\n\x1a\n"
VERSION: Final = struct.Struct("<HH")  # major, minor
MAJOR: Final = 1
MINOR: Final = 0
FIRST_CHUNK: Final = len(SIGNATURE) + VERSION.size  # offset of HEAD

CHUNK_HEAD: Final = struct.Struct("<4sI")  # type, payload length
CHUNK_CRC: Final = struct.Struct("<I")  # CRC-32 of type, length and payload
CHUNK_OVERHEAD: Final = CHUNK_HEAD.size + CHUNK_CRC.size

HEAD: Final = b"HEAD"
HEAD_COPY: Final = b"head"
GOPS: Final = b"GOPS"
STAT: Final = b"stat"
INDX: Final = b"INDX"
TAIL: Final = b"TAIL"
TAGS: Final = b"tags"
MDCV: Final = b"mdcv"
CLLI: Final = b"clli"
ORIG: Final = b"orig"
STRM: Final = b"strm"
PCKT: Final = b"pckt"
ENDT: Final = b"endt"
DESCRIPTIONS: Final = (TAGS, MDCV, CLLI, ORIG, STRM)  # between HEAD and all others
# What reading goes on at after damage.
CHUNKS_AFTER_HEAD: Final = re.compile(
    b"tags|mdcv|clli|orig|strm|pckt|GOPS|stat|endt|head|INDX|TAIL"
)

# The elements of HEAD in file order: (name, type). `text` is a u8 length and UTF-8; `matrix` a u8
# that says whether there is one, and nine i32 if so.
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
    ("field_order", "u8"),
    ("max_gop_frames", "u32"),
    ("model_name", "text"),
    ("model_sha256", "32 bytes"),
    ("display_matrix", "matrix"),
)
CHROMA_420: Final = 1
DISPLAY_MATRIX: Final = struct.Struct("<9i")

GOP_FIXED: Final = struct.Struct("<QIqI")  # first frame, frame count, first PTS, symbols CRC-32
STAT_FIXED: Final = struct.Struct("<Q")  # first frame
STAT_FRAME: Final = struct.Struct("<3H")  # PSNR of Y, U, V
END_FIXED: Final = struct.Struct("<q")  # PTS at which the last frame ends
INDEX_ENTRY: Final = struct.Struct("<QQIq")  # GOPS offset, first frame, frame count, first PTS
TAIL_FIXED: Final = struct.Struct("<QQ")  # INDX offset, frames in the file
TAIL_CHUNK_SIZE: Final = CHUNK_OVERHEAD + TAIL_FIXED.size

MASTERING_DISPLAY: Final = struct.Struct("<B8H2I")  # flags, x and y of R, G, B, white; luminance
HAS_PRIMARIES, HAS_WHITE_POINT, HAS_LUMINANCE = 1, 2, 4
CONTENT_LIGHT: Final = struct.Struct("<2H")  # MaxCLL, MaxFALL
# The flags of an orig chunk: which elements it has, and what they need not say
HAS_START, HAS_FPS, HAS_FRAME_RATE, HAS_STREAM, HAS_FIRST_PICTURE, HAS_RAW = 1, 2, 4, 8, 16, 32
IS_SCALED, KEEPS_FIELDS, IS_RENUMBERED = 64, 128, 256
ORIGIN_FLAGS: Final = struct.Struct("<H")
CHAPTER_FIXED: Final = struct.Struct("<qqII")  # start, end, time base
DISPOSITION: Final = struct.Struct("<I")
STREAM_FIXED: Final = struct.Struct("<BBIII")  # number, kind, time base, disposition
STREAM_KINDS: Final = (AUDIO, SUBTITLE, DATA, ATTACHMENT)

# The flags of a packet: what it is, and which elements its row has
IS_KEYFRAME, HAS_PTS, HAS_DTS = 1, 2, 4
PTS_FOLLOWS, DTS_FOLLOWS, DURATION_FOLLOWS, SIDE_DATA_FOLLOWS, STREAM_FOLLOWS = 8, 16, 32, 64, 128

PSNR_STEPS_PER_DB: Final = 500
PSNR_LOSSLESS: Final = 0xFFFF

# Limits
MIN_SIDE, MAX_SIDE = 16, 16384  # luma samples
BIT_DEPTHS: Final = (8, 10)
MAX_FIELD_ORDER: Final = 2
MAX_CHROMA_LOCATION: Final = 6
MAX_GOP_FRAMES: Final = 1 << 16
MAX_FRAMES: Final = 1 << 48  # in a file
MAX_GOPS: Final = 1 << 22  # in a file: 48 days of one-second GOPs
MIN_Q, MAX_Q = -9, 90
MAX_WAITING_FRAMES: Final = 16  # coded, while one shown before them is not
MAX_PTS: Final = (1 << 61) - 1  # so that the difference of two differences fits 64 bits
MAX_PACKET_TIME: Final = (1 << 61) - 1  # PTS, DTS and duration; so that their deltas fit 64 bits
MAX_PACKETS: Final = 1 << 14  # in a chunk
MAX_SIDE_DATA: Final = 16  # of a packet
MAX_STREAMS: Final = 256
MAX_STREAMS_PAYLOAD: Final = 1 << 28  # of all strm chunks together
MAX_METADATA: Final = 1 << 12  # pairs in one list
MAX_CHAPTERS: Final = 1 << 14
MAX_START: Final = 1 << 31  # seconds
MAX_RATE: Final = (1 << 31) - 1  # numerator and denominator, as FFmpeg has them
MAX_PICTURE_NUMBER: Final = (1 << 31) - 1  # likewise
MAX_U16: Final = (1 << 16) - 1
MAX_U32: Final = (1 << 32) - 1
MAX_TEXT_BYTES: Final = 255
MAX_VARINT_BYTES: Final = 10
MAX_DAMAGES: Final = 10_000  # reported for one file
# Bytes from the start in which a copy of HEAD is looked for: a pipe has to be held so far.
MAX_COPY_SEARCH: Final = 1 << 26

MAX_GOP_PAYLOAD: Final = 1 << 30
MAX_OTHER_PAYLOAD: Final = 1 << 24
_MAX_PAYLOADS: Final = {
    HEAD: 1 << 12,
    HEAD_COPY: VERSION.size + (1 << 12),
    GOPS: MAX_GOP_PAYLOAD,
    STAT: STAT_FIXED.size + MAX_GOP_FRAMES * STAT_FRAME.size,
    ENDT: END_FIXED.size,
    INDX: MAX_GOPS * INDEX_ENTRY.size,
    TAIL: TAIL_FIXED.size,
    TAGS: 1 << 20,
    MDCV: MASTERING_DISPLAY.size,
    CLLI: CONTENT_LIGHT.size,
    ORIG: 1 << 10,
    STRM: 1 << 26,
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


def check_ratio(name: str, ratio: Fraction) -> None:
    """Raise Malformed unless the ratio is above 0 and fits two u32."""
    if not (0 < ratio.numerator <= MAX_U32 and ratio.denominator <= MAX_U32):
        raise Malformed(f"{name} is {ratio} (allowed: above 0, both numbers below 2^32)")
