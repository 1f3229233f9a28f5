"""The first pass reads the whole source: what it saw, and the frames it keeps to be tried."""

from collections.abc import Iterator
from dataclasses import dataclass

from neuralcodec.codec.time_span import TimeSpan
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.encoder.lookahead import FrameComplexity, SourceFrame, compared_frames, fitting
from neuralcodec.encoder.structure.structure_choice import StructureChoice
from neuralcodec.rate.complexity import inter_look
from neuralcodec.video import Frame, VideoFormat

SAMPLED_FRAMES = 64  # at most, of the whole source
SAMPLED_BYTES = 192 << 20  # at most, of their planes
BEGINNING_SHARE = 0.4  # of them are the first ones of GOPs
SEGMENT_FRAMES = 4  # in a row; more of the beginnings where there are few GOPs
STILL_WEIGHT = 0.25  # of a frame where nothing is new, in frames where all is


@dataclass(frozen=True)
class Segment:
    """Frames in a row."""

    first: int  # number of its first frame
    begins_gop: bool  # whether this is the first of its GOP too
    frames: tuple[Frame, ...]


@dataclass(frozen=True)
class Survey:
    """What the first pass saw of the source."""

    infos: tuple[FrameComplexity, ...]  # of all frames
    segments: tuple[Segment, ...]  # in order; none overlap
    seconds: float

    @property
    def frames(self) -> int:
        return len(self.infos)

    @property
    def gops(self) -> int:
        return sum(info.begins_gop for info in self.infos)


class _Beginnings:
    """First frames of GOPs at regular distances, thinned as more GOPs come."""

    def __init__(self, most: int) -> None:
        self._most = max(most, SEGMENT_FRAMES)
        self._every = 1  # GOPs
        self._gop = -1
        self.kept: dict[int, list[tuple[int, Frame]]] = {}  # by the number of the GOP

    def add(self, source: SourceFrame) -> None:
        self._gop += source.begins_gop
        if self._gop % self._every:
            return
        segment = self.kept.setdefault(self._gop, [])
        if len(segment) < max(SEGMENT_FRAMES, self._most // len(self.kept)):
            segment.append((source.number, source.frame))
        while sum(map(len, self.kept.values())) > self._most:
            self._thin()

    def _thin(self) -> None:
        longest = max(SEGMENT_FRAMES, self._most // len(self.kept))
        if any(len(s) > longest for s in self.kept.values()):
            self.kept = {g: s[:longest] for g, s in self.kept.items()}
            return
        self._every *= 2
        self.kept = {g: s for g, s in self.kept.items() if g % self._every == 0}


class _Middles:
    """Frames from within GOPs, more often where more is new, thinned as the source goes on."""

    def __init__(self, most: int) -> None:
        self._most = max(most // SEGMENT_FRAMES, 1)  # segments
        self._distance = float(SEGMENT_FRAMES)  # from one to the next, as `_effort` adds up
        self._passed = 0.0  # so far
        self._current: int | None = None  # of `kept`, not yet full
        self.kept: dict[int, list[tuple[int, Frame]]] = {}  # by the distances passed

    def add(self, source: SourceFrame) -> None:
        place = int(self._passed / self._distance)
        self._passed += _effort(source.info)
        if source.begins_gop:
            self._current = None
        elif int(self._passed / self._distance) > place:
            self._current = place + 1
            self.kept[self._current] = []
        if self._current is None:
            return
        segment = self.kept[self._current]
        segment.append((source.number, source.frame))
        if len(segment) == SEGMENT_FRAMES:
            self._current = None
        if len(self.kept) > self._most:
            self._thin()

    def _thin(self) -> None:
        self._distance *= 2
        self.kept = {place // 2: s for place, s in self.kept.items() if place % 2 == 0}
        if self._current is not None:
            self._current = None if self._current % 2 else self._current // 2


def _effort(info: FrameComplexity) -> float:
    """What a frame weighs: its bits, and that it is one."""
    return STILL_WEIGHT + 2.0 ** inter_look(info)


def survey(frames: Iterator[Frame], fmt: VideoFormat, settings: EncoderSettings) -> Survey:
    """Reads all frames. Memory: a few numbers a frame, and those of the sample."""
    frame_bytes = (2 if fmt.bit_depth > 8 else 1) * fmt.width * fmt.height * 3 // 2
    most = min(SAMPLED_FRAMES, SAMPLED_BYTES // frame_bytes)
    beginnings = _Beginnings(round(BEGINNING_SHARE * most))
    middles = _Middles(most - round(BEGINNING_SHARE * most))
    span = TimeSpan(fmt)
    infos: list[FrameComplexity] = []
    choice = StructureChoice(fitting(settings.structure, fmt))
    for source in compared_frames(frames, settings.gop, settings.scene_cuts, choice):
        span.add([source.info.pts])
        infos.append(source.info)
        beginnings.add(source)
        middles.add(source)
    segments = _joined(beginnings, middles)
    return Survey(tuple(infos), segments, span.seconds)


def _joined(beginnings: _Beginnings, middles: _Middles) -> tuple[Segment, ...]:
    """In order; what the middles have in common with the beginnings is left out of them."""
    taken = {number for segment in beginnings.kept.values() for number, _ in segment}
    found = [_segment(listed, True) for listed in beginnings.kept.values()]
    found += [
        _segment(listed, False)
        for listed in middles.kept.values()
        if len(listed) > 1 and taken.isdisjoint(number for number, _ in listed)
    ]
    return tuple(sorted(found, key=lambda segment: segment.first))


def _segment(listed: list[tuple[int, Frame]], begins_gop: bool) -> Segment:
    return Segment(listed[0][0], begins_gop, tuple(frame for _, frame in listed))
