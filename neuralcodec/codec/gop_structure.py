"""Where GOPs begin, and how much quality each frame gets."""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice, takewhile

import numpy as np

from neuralcodec.codec.scene_cuts import judge_frames
from neuralcodec.model.config import QUALITIES
from neuralcodec.video import Frame

INTRA_BONUS = 12  # 2 % fewer bits than 8 over 64 frames, 7 % where little moves; 16 saves 1 %
# Frames. Each picture is predicted from the last one as the decoder's floats gave it: rounding on
# another machine grows over hundreds of frames, and a picture is lost (docs/reliability.md).
LONGEST_GOP = 96
SUSPICIOUS = 1.6  # growth of the squared error after which a new GOP is tried
BROKEN = 3.0  # the same from the intra frame on, beyond what its higher quality explains
CONVINCING = 0.6  # of the squared error, at most, is what an intra frame must leave to be taken


@dataclass(frozen=True)
class Outlook:
    """What is known of a frame before it is coded."""

    number: int  # from 0
    gop: int  # number of its GOP
    position: int  # in it
    pts: int
    intra_cost: float  # see `scene_cuts.JudgedFrame`
    inter_cost: float

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


@dataclass(frozen=True)
class PlacedFrame:
    """A frame of the source, and its place among the GOPs."""

    frame: Frame
    number: int  # from 0
    begins_gop: bool
    ahead: tuple[Outlook, ...] = ()  # of this frame and those after it, where one looks ahead
    sees_end: bool = False  # whether no frame comes after these


def frame_quality(quality: int, position: int, intra_bonus: int = INTRA_BONUS) -> int:
    """q of the frame at a position of its GOP: all others lean on the intra frame.

    quality: -INTRA_BONUS..63; at its lowest, all frames get q 0."""
    return max(0, min(quality + (intra_bonus if position == 0 else 0), QUALITIES - 1))


def place_gops(
    frames: Iterator[Frame], gop: int, batch: int, scene_cuts: bool
) -> Iterator[PlacedFrame]:
    """GOPs of at most `gop` frames, and a new one at each scene cut. Where several are coded side
    by side, sequences of `gop` frames each are, and a cut does not move the ends of these."""
    cuts = (
        ((judged.frame, judged.is_cut) for judged in judge_frames(frames, gop))
        if scene_cuts
        else ((frame, False) for frame in frames)
    )
    return place_after_cuts(cuts, gop, batch)


def place_after_cuts(
    frames: Iterator[tuple[Frame, bool]], gop: int, batch: int
) -> Iterator[PlacedFrame]:
    """As `place_gops`, of frames and whether each is the first after a cut."""
    age = 0  # frames since the GOP began, or the sequence
    for number, (frame, is_cut) in enumerate(frames):
        if age == gop or (is_cut and batch == 1):
            age = 0
        yield PlacedFrame(frame, number, age == 0 or is_cut)
        age += 1


def split_batches(
    frames: Iterator[PlacedFrame], gop: int, batch: int
) -> Iterator[list[Iterator[PlacedFrame]]]:
    """Batches of sequences to be coded side by side: GOP by GOP, or several times `gop` frames.
    The last of a batch is taken from the source as it comes, so that one GOP at a time needs no
    memory for its frames; those before are read first."""
    if batch == 1:
        yield from ([one] for one in _split_gops(frames))
        return
    while (first := next(frames, None)) is not None:
        frames_left = chain([first], frames)
        sequences: list[Iterator[PlacedFrame]] = []
        for _ in range(batch - 1):
            whole = list(islice(frames_left, gop))
            if whole:
                sequences.append(iter(whole))
        if len(whole) == gop:
            sequences.append(islice(frames_left, gop))
        yield sequences


def _split_gops(frames: Iterator[PlacedFrame]) -> Iterator[Iterator[PlacedFrame]]:
    following = next(frames, None)

    def rest_of_gop(first: PlacedFrame) -> Iterator[PlacedFrame]:
        nonlocal following
        yield first
        while (following := next(frames, None)) is not None and not following.begins_gop:
            yield following

    while following is not None:
        yield rest_of_gop(following)


class Lookahead(Iterator[PlacedFrame]):
    """The same frames, some of which can be seen before they are taken."""

    def __init__(self, frames: Iterator[PlacedFrame]) -> None:
        self._frames = frames
        self._seen: deque[PlacedFrame] = deque()

    def __next__(self) -> PlacedFrame:
        return self._seen.popleft() if self._seen else next(self._frames)

    def rest_of_gop(self, most: int) -> list[Frame]:
        """At most so many of the frames that follow the last one taken in its GOP."""
        self._seen.extend(islice(self._frames, max(most - len(self._seen), 0)))
        ahead = islice(self._seen, most)
        return [placed.frame for placed in takewhile(lambda p: not p.begins_gop, ahead)]


def luma_error(source: Frame, shown: Frame) -> float:
    """Mean squared error of the luma plane, in squared sample steps."""
    difference = source.y.astype(np.float32) - shown.y
    return float(np.square(difference).mean())


class RecurrenceWatch:
    """Notices when prediction from frame to frame goes wrong, in one GOP.

    Errors of a recurrence can grow until it breaks down; the decoder cannot know, but the encoder
    sees what will be shown, and can begin a new GOP.
    """

    def __init__(self, intra_error: float = math.inf) -> None:
        """intra_error: what the intra frame would have at the quality of the others."""
        self._intra_error = intra_error
        # error of an inter frame that was as it should be, or the most that the first one may have
        self._usual = BROKEN / SUSPICIOUS * intra_error

    def is_suspicious(self, error: float) -> bool:
        """To be asked for each inter frame in turn."""
        # The first ones inherit the intra frame's higher quality: losing it is no breakdown.
        healthy = self._intra_error if math.isfinite(self._intra_error) else 0.0
        self._usual = max(min(self._usual, error), healthy)
        return error > SUSPICIOUS * self._usual + 1  # + 1: errors nobody sees are none

    def settle(self, error: float, intra_error: float) -> bool:
        """Whether the frame should begin a new GOP, given what an intra frame would leave at the
        frame's own quality. If not, the picture has become harder to code, and its error is the new
        usual."""
        if intra_error < CONVINCING * error:
            return True
        self._usual = error
        return False
