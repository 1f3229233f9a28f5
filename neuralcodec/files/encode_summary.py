"""What an encode came to."""

from dataclasses import dataclass, field

from neuralcodec.rate.target import RateOutcome


@dataclass(frozen=True)
class EncodeSummary:
    """What `encode` did. Bytes are those of the whole file; PSNR is of what a decoder shows."""

    frames: int
    width: int
    height: int
    bytes: int
    bpp: float  # bits per luma sample
    bitrate: float  # bits per second
    video_bytes: int  # of `bytes`, what the pictures take
    video_bitrate: float
    streams: int  # other streams that are carried
    ratio: float | None  # size of the source / size of the result; None for a pipe
    psnr_y: float
    psnr_u: float
    psnr_v: float
    psnr_yuv: float  # (6 Y + U + V) / 8
    fps: float  # frames coded per second, in the pass that wrote the file
    seconds: float  # all passes
    model: str
    quality: int | None  # as asked for; None where a target was
    preset: str
    gop: int
    gops: int
    device: str
    rate: RateOutcome | None = None  # None at constant quality
    notices: list[str] = field(default_factory=list)
    truncated: str | None = None  # why the source is not whole, if it is not
    stage_seconds: dict[str, float] = field(default_factory=dict)
