"""Frames of the source on their way into the encoder: where GOPs begin, and what is known of each
frame, and of those that follow it, before it is coded."""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice, takewhile

from neuralcodec.encoder.scene_cuts import JudgedFrame, judge_frames
from neuralcodec.video import Frame

HELD_BYTES = 192 << 20  # at most, of the planes of the frames looked at


@dataclass(frozen=True, kw_only=True)
class FrameComplexity:
    """What is known of a frame before it is coded; its planes are left out.

    Costs are those of `scene_cuts.JudgedFrame`; NaN where frames are not compared.
    """

    number: int  # from 0, in the order of the source
    gop: int  # number of its GOP
    position: int  # in it
    pts: int
    intra_cost: float = math.nan
    inter_cost: float = math.nan

    @property
    def begins_gop(self) -> bool:
        return self.position == 0

    @property
    def alike(self) -> float:
        """How much it has in common with the frame before it, 0..1: the share of its cost that
        prediction saves."""
        if self.intra_cost <= 0:
            return 1.0
        return min(max(1 - self.inter_cost / self.intra_cost, 0.0), 1.0)


@dataclass(frozen=True, kw_only=True)
class SourceFrame:
    """A frame of the source as the encoder gets it."""

    frame: Frame
    info: FrameComplexity
    ahead: tuple[FrameComplexity, ...] = ()  # of this frame and those after it, if asked for
    sees_end: bool = False  # whether no frame comes after these

    @property
    def number(self) -> int:
        return self.info.number

    @property
    def begins_gop(self) -> bool:
        return self.info.begins_gop


def look_ahead(
    frames: Iterator[Frame], gop: int, batch: int, scene_cuts: bool, window: int = 0
) -> Iterator[SourceFrame]:
    """GOPs of at most `gop` frames, and a new one at each scene cut. Where several are coded side
    by side, sequences of `gop` frames each are, and a cut does not move the ends of these.

    window: how many frames each is to know of, itself included. Without one, and without scene
    cuts, no frame waits for those that follow it."""
    if not window:
        return _placed(frames, gop, batch, scene_cuts, compare=scene_cuts)
    return _with_window(_placed(frames, gop, batch, scene_cuts, compare=True), window)


def compared_frames(
    frames: Iterator[Frame], gop: int, batch: int, scene_cuts: bool
) -> Iterator[SourceFrame]:
    """As `look_ahead`, each frame knowing of itself alone, and what it costs."""
    return _placed(frames, gop, batch, scene_cuts, compare=True)


def _placed(
    frames: Iterator[Frame], gop: int, batch: int, scene_cuts: bool, compare: bool
) -> Iterator[SourceFrame]:
    if compare:
        judged = judge_frames(frames, gop)
    else:
        judged = (JudgedFrame(frame, False, math.nan, math.nan) for frame in frames)
    age = 0  # frames since the GOP began, or the sequence
    gops, position = -1, 0
    for number, one in enumerate(judged):
        is_cut = one.is_cut and scene_cuts
        if age == gop or (is_cut and batch == 1):
            age = 0
        if age == 0 or is_cut:
            gops, position = gops + 1, 0
        info = FrameComplexity(
            number=number,
            gop=gops,
            position=position,
            pts=one.frame.pts,
            intra_cost=one.intra_cost,
            inter_cost=one.inter_cost,
        )
        yield SourceFrame(frame=one.frame, info=info)
        age, position = age + 1, position + 1


def _with_window(frames: Iterator[SourceFrame], most: int) -> Iterator[SourceFrame]:
    held: deque[SourceFrame] = deque()
    all_read = False
    while True:
        while not all_read and len(held) <= most:  # one more, to know whether it is the last
            following = next(frames, None)
            if following is None:
                all_read = True
            else:
                held.append(following)
        if not held:
            return
        ahead = tuple(source.info for source in islice(held, most))
        sees_end = all_read and len(held) == len(ahead)
        yield replace(held.popleft(), ahead=ahead, sees_end=sees_end)


def frames_held(wanted: int, frame_bytes: int) -> int:
    """How many frames to look ahead: `wanted` where memory allows."""
    return max(1, min(wanted, HELD_BYTES // frame_bytes))


def split_batches(
    frames: Iterator[SourceFrame], gop: int, batch: int
) -> Iterator[list[Iterator[SourceFrame]]]:
    """Batches of sequences to be coded side by side: GOP by GOP, or several times `gop` frames.
    The last of a batch is taken from the source as it comes, so that one GOP at a time needs no
    memory for its frames; those before are read first."""
    if batch == 1:
        yield from ([one] for one in _split_gops(frames))
        return
    while (first := next(frames, None)) is not None:
        frames_left = chain([first], frames)
        sequences: list[Iterator[SourceFrame]] = []
        for _ in range(batch - 1):
            whole = list(islice(frames_left, gop))
            if whole:
                sequences.append(iter(whole))
        if len(whole) == gop:
            sequences.append(islice(frames_left, gop))
        yield sequences


def _split_gops(frames: Iterator[SourceFrame]) -> Iterator[Iterator[SourceFrame]]:
    following = next(frames, None)

    def rest_of_gop(first: SourceFrame) -> Iterator[SourceFrame]:
        nonlocal following
        yield first
        while (following := next(frames, None)) is not None and not following.begins_gop:
            yield following

    while following is not None:
        yield rest_of_gop(following)


class SequenceReader(Iterator[SourceFrame]):
    """The same frames, some of which can be seen before they are taken."""

    def __init__(self, frames: Iterator[SourceFrame]) -> None:
        self._frames = frames
        self._seen: deque[SourceFrame] = deque()

    def __next__(self) -> SourceFrame:
        return self._seen.popleft() if self._seen else next(self._frames)

    def rest_of_gop(self, most: int) -> list[Frame]:
        """At most so many of the frames that follow the last one taken in its GOP."""
        self._seen.extend(islice(self._frames, max(most - len(self._seen), 0)))
        ahead = islice(self._seen, most)
        return [source.frame for source in takewhile(lambda s: not s.begins_gop, ahead)]
