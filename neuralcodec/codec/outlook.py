"""What is known of the frames to come before they are coded."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from neuralcodec.codec.gop_structure import Outlook, PlacedFrame, place_after_cuts
from neuralcodec.codec.scene_cuts import JudgedFrame, judge_frames
from neuralcodec.video import Frame

HELD_BYTES = 192 << 20  # at most, of the planes of the frames looked at


def place_judged(
    frames: Iterator[Frame], gop: int, batch: int, scene_cuts: bool
) -> Iterator[tuple[PlacedFrame, Outlook]]:
    """As `gop_structure.place_gops`, and what the pictures say of each frame."""
    waiting: deque[JudgedFrame] = deque()

    def cuts() -> Iterator[tuple[Frame, bool]]:
        for one in judge_frames(frames, gop):
            waiting.append(one)
            yield one.frame, one.is_cut and scene_cuts

    number, first = -1, 0
    for placed in place_after_cuts(cuts(), gop, batch):
        judged = waiting.popleft()
        if placed.begins_gop:
            number, first = number + 1, placed.number
        position = placed.number - first
        pts = placed.frame.pts
        yield (
            placed,
            Outlook(placed.number, number, position, pts, judged.intra_cost, judged.inter_cost),
        )


def with_outlook(frames: Iterator[tuple[PlacedFrame, Outlook]], most: int) -> Iterator[PlacedFrame]:
    """The frames, each with the outlook of at most `most` frames from itself on."""
    held: deque[tuple[PlacedFrame, Outlook]] = deque()
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
        ahead = tuple(outlook for _, outlook in held)[:most]
        sees_end = all_read and len(held) == len(ahead)
        placed, _ = held.popleft()
        yield replace(placed, ahead=ahead, sees_end=sees_end)


def frames_held(wanted: int, frame_bytes: int) -> int:
    """How many frames to look ahead: `wanted` where memory allows."""
    return max(1, min(wanted, HELD_BYTES // frame_bytes))
