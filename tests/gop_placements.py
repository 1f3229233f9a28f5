"""Structures of GOPs for tests: chains, and pyramids that show frames in another order than that of
coding."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from neuralcodec.references import Placement, chain


@dataclass(frozen=True)
class _Planned:
    shown: int
    level: int
    references: tuple[int, int] | None  # numbers in the order of showing


def chain_of(frames: int) -> list[Placement]:
    return [chain(t) for t in range(frames)]


def pyramids(frames: int, size: int, depth_first: bool = False) -> list[Placement]:
    """An intra frame, then pyramids of at most `size` frames: the last frame of each first, then
    the middles, level by level or each half to its end."""
    return list(_with_slots([_Planned(0, 0, None), *_after_intra(frames, size, depth_first)]))


def _after_intra(frames: int, size: int, depth_first: bool) -> Iterator[_Planned]:
    before, past = 0, 0
    while past < frames - 1:
        anchor = min(past + size, frames - 1)
        yield _Planned(anchor, 0, (past, before))
        middles = list(_middles(past, anchor, 1))
        yield from middles if depth_first else sorted(middles, key=lambda middle: middle.level)
        before, past = past, anchor


def _middles(past: int, future: int, level: int) -> Iterator[_Planned]:
    if future - past > 1:
        middle = (past + future) // 2
        yield _Planned(middle, level, (past, future))
        yield from _middles(past, middle, level + 1)
        yield from _middles(middle, future, level + 1)


def _with_slots(frames: list[_Planned]) -> Iterator[Placement]:
    last_use = {shown: i for i, frame in enumerate(frames) for shown in frame.references or ()}
    held: dict[int, int] = {}  # frames by slot
    for i, frame in enumerate(frames):
        slots = None
        if frame.references is not None:
            at = {shown: slot for slot, shown in held.items()}
            slots = at[frame.references[0]], at[frame.references[1]]
        held = {slot: shown for slot, shown in held.items() if last_use[shown] > i}
        stored = None
        if frame.shown in last_use:
            stored = next(slot for slot in count() if slot not in held)
            held[stored] = frame.shown
        yield Placement(frame.shown, frame.level, slots, stored)
