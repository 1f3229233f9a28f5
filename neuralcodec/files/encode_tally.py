"""Adds up what an encode has written."""

from neuralcodec.codec.time_span import TimeSpan
from neuralcodec.encoder.encoder import CodedGop
from neuralcodec.metrics import PsnrMeter
from neuralcodec.rate.target import RateKind, RateOutcome, RateTarget, judge_outcome
from neuralcodec.video import VideoFormat


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
        self._span.add([f.pts for f in coded.record.frames])
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
        lowest, highest = min(self.qualities), max(self.qualities)
        return judge_outcome(rate, achieved[rate.kind], lowest, highest)
