"""What damage between two undamaged GOPs costs: numbers of frames, and times from time stamps."""

from fractions import Fraction

from neuralcodec.container import layout
from neuralcodec.container.records import Damage, GopRecord, Loss
from neuralcodec.video import VideoFormat

_NOTHING_OF_THE_FILM = (
    layout.STAT,
    layout.ENDT,
    layout.HEAD_COPY,
    layout.INDX,
    layout.TAIL,
)


class LossFinder:
    """Told each undamaged GOP in file order, it says what was lost since the one before."""

    def __init__(self, fmt: VideoFormat, frames: int) -> None:
        """frames: before the part of the file that is read."""
        self.total: int | None = None  # frames in the file, where its end has said so
        self._fmt = fmt
        self._next_frame = frames
        self._last: Fraction | None = None  # seconds, of the last frame so far; None before any
        self._end: Fraction | None = None  # where it ends, about

    def before(self, damage: Damage, gop: GopRecord) -> Loss | None:
        """What damage met since the last GOP costs, now that the next one is known."""
        start, duration = gop.times[0] * self._fmt.time_base, self._duration(gop)
        lost = gop.first_frame - self._next_frame
        if _is_packets(damage):
            return Loss(
                None, None, self._end if self._last is not None else start, start + duration
            )
        if lost <= 0:
            return None
        if self._last is not None:
            begin: Fraction | None = self._last + (start - self._last) / (lost + 1)
        else:
            begin = start - lost * duration / len(gop.frames) if duration else None
        return Loss(self._next_frame, gop.first_frame, begin, start)

    def at_end(self, damage: Damage) -> Loss | None:
        """As `before`, where no other GOP has come."""
        if _is_packets(damage):
            return Loss(None, None, self._end, None)
        if self.total is not None and self.total <= self._next_frame:
            return None
        if self.total is None and _type_of(damage) in _NOTHING_OF_THE_FILM:
            return None
        end = None
        rate = self._fmt.frame_rate
        if self.total is not None and self._end is not None and rate is not None:
            end = self._end + (self.total - self._next_frame) / rate
        return Loss(self._next_frame, self.total, self._end, end)

    @property
    def has_passed_none(self) -> bool:
        """Whether no undamaged GOP has come so far."""
        return self._last is None

    def pass_gop(self, gop: GopRecord) -> None:
        """From now on it is the last GOP."""
        self._next_frame = gop.first_frame + len(gop.frames)
        self._last = gop.times[-1] * self._fmt.time_base
        self._end = gop.times[0] * self._fmt.time_base + self._duration(gop)

    def _duration(self, gop: GopRecord) -> Fraction:
        """Seconds from its first frame to the end of its last, about."""
        between = (gop.times[-1] - gop.times[0]) * self._fmt.time_base
        if self._fmt.frame_rate is not None:
            return between + 1 / self._fmt.frame_rate
        return between * len(gop.frames) / max(len(gop.frames) - 1, 1)


def _is_packets(damage: Damage) -> bool:
    return _type_of(damage) == layout.PCKT


def _type_of(damage: Damage) -> bytes:
    return (damage.chunk_type or "").encode()
