"""What an encode came to, added up while it writes."""

from dataclasses import dataclass, field

from neuralcodec.codec.time_span import TimeSpan
from neuralcodec.encoder.encoder import CodedGop
from neuralcodec.encoder.structure.gop_structure import HIGHEST, LEAST_OFFSET
from neuralcodec.metrics import PsnrMeter
from neuralcodec.model.config import LOWEST_Q
from neuralcodec.rate.target import RateKind, RateOutcome, RateTarget, judge_outcome
from neuralcodec.video import VideoFormat


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


class EncodeTally:
    """GOPs, frames, seconds and PSNR of a file so far."""

    def __init__(self, fmt: VideoFormat) -> None:
        self.meter = PsnrMeter()
        self.gops = 0
        self.qualities: set[int] = set()
        self._span = TimeSpan(fmt)
        self._size = fmt.width * fmt.height

    def add(self, coded: CodedGop) -> None:
        for psnr in coded.stats.psnr:
            self.meter.add_db(*psnr)
        self._span.add(coded.record.times)
        self.qualities |= {f.q for f in coded.record.frames}
        self.gops += 1

    def end(self, pts: int | None) -> None:
        """When the last frame ends; None where it is shown as long as is usual."""
        self._span.end(pts)

    @property
    def frames(self) -> int:
        return self.meter.frames

    @property
    def seconds(self) -> float:
        return self._span.seconds

    @property
    def samples(self) -> int:
        """Of luma, in all frames."""
        return self._size * self.frames

    def judge(self, rate: RateTarget, size: int, video_bytes: int) -> RateOutcome:
        """How near a target was met; size: of the whole file, in bytes."""
        achieved = {
            RateKind.BITRATE: 8 * video_bytes / self.seconds,
            RateKind.SIZE: float(size),
            RateKind.BPP: 8 * video_bytes / self.samples,
            RateKind.PSNR: self.meter.mean.yuv,
        }
        is_smallest = max(self.qualities) == LOWEST_Q
        is_best = min(self.qualities) >= HIGHEST + LEAST_OFFSET
        return judge_outcome(rate, achieved[rate.kind], is_smallest, is_best)
