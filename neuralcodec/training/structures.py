"""In which order the frames of a sequence are coded, and what they refer to: as encoders do it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neuralcodec.encoder.structure.mini_gops import INTRA_STEP, GopOrder, largest_size

LOW_DELAY_SHARE, CHAIN_SHARE = 0.15, 0.3  # of drawn structures; the others are of mini-GOPs
SIZE_ODDS = {1: 0.05, 2: 0.15, 4: 0.4, 8: 0.45, 16: 0.3}  # of each mini-GOP, as far as they fit


@dataclass(frozen=True)
class CodedFrame:
    """An inter frame: its number in the sequence as shown, those it refers to, its level, and how
    much more q it has than the sequence asks for."""

    frame: int
    references: tuple[int, int]
    level: int
    more_q: int


# In coding order, without the intra frame, which is number 0 and comes first.
Structure = tuple[CodedFrame, ...]


def of_mini_gops(sizes: Sequence[int], low_delay: bool = False) -> Structure:
    order = GopOrder(low_delay)
    held = {INTRA_STEP.place.stored: 0}  # frames, by slot
    found = []
    for step in (step for size in sizes for batch in order.add(size) for step in batch):
        place = step.place
        assert place.slots is not None
        first, second = (held[slot] for slot in place.slots)
        found.append(CodedFrame(place.shown, (first, second), place.level, step.offset))
        held[place.stored] = place.shown
    return tuple(found)


def pyramids(length: int, size: int) -> Structure:
    """Mini-GOPs of `size` frames; at the end smaller ones, where they must be."""
    sizes: list[int] = []
    while left := length - 1 - sum(sizes):
        sizes.append(largest_size(min(left, size)))
    return of_mini_gops(sizes)


def chain(length: int) -> Structure:
    """Each frame from the two before."""
    return of_mini_gops([1] * (length - 1))


def low_delay(length: int) -> Structure:
    """Each frame from the one before and from the last one of higher quality."""
    return of_mini_gops([1] * (length - 1), low_delay=True)


def drawn_structure(length: int, random: np.random.Generator) -> Structure:
    """As an encoder might choose it."""
    kind = random.random()
    if kind < LOW_DELAY_SHARE:
        return low_delay(length)
    if kind < LOW_DELAY_SHARE + CHAIN_SHARE:
        return chain(length)
    sizes: list[int] = []
    while left := length - 1 - sum(sizes):
        fitting = [size for size in SIZE_ODDS if size <= left]
        odds = np.array([SIZE_ODDS[size] for size in fitting])
        sizes.append(int(random.choice(fitting, p=odds / odds.sum())))
    return of_mini_gops(sizes)


def coded_together(structure: Structure) -> list[list[int]]:
    """The structure's frames, by their places in it, in groups that can be coded one after the
    other, each at once: none refers to another one of its group, and all of a group refer to two
    frames, or all to one."""
    depths = {0: 0}  # how many frames must be coded one after the other before
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for n, coded in enumerate(structure):
        depth = 1 + max(depths[frame] for frame in coded.references)
        depths[coded.frame] = depth
        groups[depth, len(set(coded.references))].append(n)
    return [groups[key] for key in sorted(groups)]


def more_q_as_shown(structure: Structure) -> list[int]:
    """Of all frames, the intra frame among them: how much more q they have. It has none."""
    by_frame = {coded.frame: coded.more_q for coded in structure}
    return [0, *(by_frame[frame] for frame in sorted(by_frame))]


def reach(structure: Structure) -> int:
    """How far the farthest first reference is, in frames."""
    return max((abs(coded.frame - coded.references[0]) for coded in structure), default=0)
