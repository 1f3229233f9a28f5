"""How the frames of a file were taken from their source."""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class RawPictures:
    """What headerless video consists of."""

    pixel_format: str  # FFmpeg's name
    width: int
    height: int


@dataclass(frozen=True)
class Origin:
    """What has to be done again with the source so that its frames can be compared with the
    file's; the default is to read it from its beginning as it is."""

    start: Fraction | None = None  # seconds of the source at which the file's time 0 is
    fps: Fraction | None = None  # the constant rate that frames were repeated or dropped to
    is_scaled: bool = False  # to the size of the file's pictures
    keeps_fields: bool = False  # interlaced frames were left as they are
    stream: int | None = None  # of the source's streams, counted from 0; None = the best video
    frame_rate: Fraction | None = None  # that was said of raw video or numbered pictures
    first_picture: int | None = None  # that was said of numbered pictures
    raw: RawPictures | None = None
    is_renumbered: bool = False  # frames may be missing before any: only times tell which they are
