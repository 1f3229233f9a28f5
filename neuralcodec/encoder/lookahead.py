"""Frames of the source on their way into the encoder: where GOPs and mini-GOPs begin, and what is
known of each frame, and of those that follow it, before it is coded."""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice

from neuralcodec.encoder.motion.seen_motion import SeenMotion
from neuralcodec.encoder.scene_cuts import LOOKAHEAD, JudgedFrame, judge_frames
from neuralcodec.encoder.structure.mini_gops import Structure, largest_size, level_at
from neuralcodec.encoder.structure.structure_choice import StructureChoice
from neuralcodec.video import Frame, VideoFormat

HELD_BYTES = 192 << 20  # at most, of the planes of the frames looked at


@dataclass(frozen=True, kw_only=True)
class FrameComplexity:
    """What is known of a frame before it is coded; its planes are left out.

    Costs are those of `scene_cuts.JudgedFrame`; NaN where frames are not compared.
    """

    number: int  # from 0, in the order of the source
    gop: int  # number of its GOP
    position: int  # in it, in the order of showing
    pts: int
    intra_cost: float = math.nan
    inter_cost: float = math.nan
    mini_gop: int = 1  # frames of its mini-GOP; 0: the first frame of a GOP
    level: int = 0  # in the hierarchy

    @property
    def begins_gop(self) -> bool:
        return self.position == 0

    @property
    def kind(self) -> tuple[int, int]:
        """What its place makes of it."""
        return self.mini_gop, self.level

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
    motion: SeenMotion | None = None  # where it was looked for

    @property
    def number(self) -> int:
        return self.info.number

    @property
    def begins_gop(self) -> bool:
        return self.info.begins_gop


def look_ahead(
    frames: Iterator[Frame],
    gop: int,
    scene_cuts: bool,
    choice: StructureChoice,
    window: int = 0,
) -> Iterator[SourceFrame]:
    """GOPs of at most `gop` frames, and a new one at each scene cut.

    choice: of the mini-GOPs; window: how many frames each is to know of, itself included. With low
    delay no frame waits for those that follow it, nor knows of them."""
    compare, structure = bool(window) or scene_cuts, choice.structure
    placed = _structured(_placed(frames, gop, scene_cuts, compare, structure), choice)
    if not window:
        return placed
    if structure.low_delay:
        return (replace(source, ahead=(source.info,)) for source in placed)
    return _with_window(placed, window)


def compared_frames(
    frames: Iterator[Frame], gop: int, scene_cuts: bool, choice: StructureChoice
) -> Iterator[SourceFrame]:
    """As `look_ahead`, each frame knowing of itself alone, and what it costs."""
    return _structured(_placed(frames, gop, scene_cuts, True, choice.structure), choice)


def _placed(
    frames: Iterator[Frame], gop: int, scene_cuts: bool, compare: bool, structure: Structure
) -> Iterator[SourceFrame]:
    if compare:
        judged = judge_frames(frames, gop, 0 if structure.low_delay else LOOKAHEAD)
    else:
        judged = (JudgedFrame(frame, False, math.nan, math.nan) for frame in frames)
    gops, position = -1, gop
    for number, one in enumerate(judged):
        if position == gop or (one.is_cut and scene_cuts):
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
        position += 1


def _structured(frames: Iterator[SourceFrame], choice: StructureChoice) -> Iterator[SourceFrame]:
    """The same frames; each knows its mini-GOP and its level."""
    for held in _windows_of_gops(frames, choice.structure.largest):
        if held[0].begins_gop:
            [first] = held
            choice.begin(first.frame)
            yield replace(first, info=replace(first.info, mini_gop=0))
            continue
        begin = 0  # of the mini-GOP
        for size in choice.sizes([source.frame for source in held]):
            for index in range(1, size + 1):
                source = held.popleft()
                level = level_at(source.info.position, index, size, choice.structure)
                info = replace(source.info, mini_gop=size, level=level)
                motion = choice.seen_motion(begin, size, index)
                yield replace(source, info=info, motion=motion)
            begin += size


def _windows_of_gops(frames: Iterator[SourceFrame], most: int) -> Iterator[deque[SourceFrame]]:
    """First frames of GOPs by themselves, the others by up to so many of the same GOP."""
    held: deque[SourceFrame] = deque()
    for source in frames:
        if source.begins_gop and held:
            yield held
            held = deque()
        held.append(source)
        if source.begins_gop or len(held) == most:
            yield held
            held = deque()
    if held:
        yield held


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


def frames_held(wanted: int, fmt: VideoFormat) -> int:
    """How many frames to look ahead: `wanted` where memory allows."""
    frame_bytes = fmt.width * fmt.height * 3 // 2 * (2 if fmt.bit_depth > 8 else 1)
    return max(1, min(wanted, HELD_BYTES // frame_bytes))


def fitting(structure: Structure, fmt: VideoFormat) -> Structure:
    """The same, in mini-GOPs whose frames memory allows to hold."""
    return replace(structure, largest=largest_size(frames_held(structure.largest, fmt)))


class MiniGopReader(Iterator[list[SourceFrame]]):
    """Frames by mini-GOPs, those that begin a GOP by themselves. Some can be seen before they are
    taken."""

    def __init__(self, frames: Iterator[SourceFrame], kept: int = 0) -> None:
        """kept: frames before a mini-GOP that are still known as its neighbours."""
        self._frames, self._kept = frames, kept
        self._taken: list[SourceFrame] = []  # last, and those kept, of the same GOP
        self._seen: deque[list[SourceFrame]] = deque()

    def __next__(self) -> list[SourceFrame]:
        if not self._see(1):
            raise StopIteration
        taken = self._seen.popleft()
        known = [] if taken[0].begins_gop else self._taken
        self._taken = [*known[max(len(known) - self._kept, 0) :], *taken]
        return taken

    def neighbours(self, source: SourceFrame, radius: int, past_only: bool) -> dict[int, Frame]:
        """Frames of the GOP of the mini-GOP taken last, by how many frames later they are than one
        of that mini-GOP: -radius..radius, as far as they are kept. past_only: waits for none."""
        rest = [] if past_only else self.rest_of_gop(radius)[0]
        known = chain(self._taken, *rest)
        by_distance = {other.number - source.number: other.frame for other in known}
        return {later: frame for later, frame in by_distance.items() if 0 < abs(later) <= radius}

    def rest_of_gop(self, most: int) -> tuple[list[list[SourceFrame]], bool]:
        """The mini-GOPs that follow the one taken last in its GOP, as many as together have at
        most so many frames, but one at least; and whether the GOP has more."""
        rest: list[list[SourceFrame]] = []
        count = 0
        while self._see(len(rest) + 1) and not self._seen[len(rest)][0].begins_gop:
            count += len(self._seen[len(rest)])
            if rest and count > most:
                return rest, True
            rest.append(self._seen[len(rest)])
        return rest, False

    def _see(self, mini_gops: int) -> bool:
        """Whether there are as many."""
        while len(self._seen) < mini_gops:
            first = next(self._frames, None)
            if first is None:
                return False
            others = islice(self._frames, max(first.info.mini_gop - 1, 0))
            self._seen.append(_knowing_of_each_other([first, *others]))
        return True


def _knowing_of_each_other(frames: list[SourceFrame]) -> list[SourceFrame]:
    """Whichever is coded first, it knows what the first one knows of the frames to come."""
    first = frames[0]
    if not first.ahead or len(frames) == 1:
        return frames
    ahead, sees_end = first.ahead, first.sees_end
    if len(ahead) < len(frames):
        ahead, sees_end = tuple(source.info for source in frames), frames[-1].sees_end
    return [replace(source, ahead=ahead, sees_end=sees_end) for source in frames]
