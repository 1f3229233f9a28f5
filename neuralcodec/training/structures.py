"""In which order the frames of a sequence are coded, and what they refer to."""

from dataclasses import dataclass

import numpy as np

KEY_EVERY = 4  # frames, in chains of low delay
# By the size of a mini-GOP and the level in it.
MORE_Q = {
    1: (0.0,),
    2: (1.0, -2.0),
    4: (3.0, 0.0, -3.0),
    8: (4.0, 1.0, -2.0, -4.0),
    16: (5.0, 2.0, -1.0, -3.0, -5.0),
}
KEY_MORE_Q, OTHER_MORE_Q = 3.0, -1.0
LOW_DELAY_SHARE, CHAIN_SHARE = 0.12, 0.13  # of drawn structures; the others are pyramids
SIZE_ODDS = {2: 0.15, 4: 0.4, 8: 0.45, 16: 0.3}


@dataclass(frozen=True)
class CodedFrame:
    """An inter frame: its number in the sequence as shown, those it refers to, its level, and how
    much more q it has than the sequence asks for."""

    frame: int
    references: tuple[int, int]
    level: int
    more_q: float


# In coding order, without the intra frame, which is number 0 and comes first.
Structure = tuple[CodedFrame, ...]


def pyramids(length: int, size: int) -> Structure:
    """Mini-GOPs of `size` frames, a power of two; at the end smaller ones, where they must be."""
    found: list[CodedFrame] = []
    older = last = 0
    while last < length - 1:
        own = min(size, 1 << (length - 1 - last).bit_length() - 1)
        more_q = MORE_Q[own]
        end = last + own
        inner: list[CodedFrame] = []
        step = own // 2
        for level in range(1, len(more_q)):
            for middle in range(last + step, end, 2 * step):
                around = middle - step, middle + step
                inner.append(CodedFrame(middle, around, level, more_q[level]))
            step //= 2
        found += [CodedFrame(end, (last, older), 0, more_q[0]), *inner]
        older, last = last, end
    return tuple(found)


def chain(length: int) -> Structure:
    """Each frame from the two before."""
    return pyramids(length, 1)


def low_delay(length: int) -> Structure:
    """Each frame from the one before and from the last one of higher quality."""
    found = []
    for frame in range(1, length):
        is_key = frame % KEY_EVERY == 0
        key = (frame - 1) // KEY_EVERY * KEY_EVERY
        more_q = KEY_MORE_Q if is_key else OTHER_MORE_Q
        found.append(CodedFrame(frame, (frame - 1, key), 0 if is_key else 1, more_q))
    return tuple(found)


def drawn_structure(length: int, random: np.random.Generator) -> Structure:
    """As the encoder might choose it."""
    sizes = [size for size in SIZE_ODDS if size < length]
    kind = random.random()
    if kind < LOW_DELAY_SHARE:
        return low_delay(length)
    if kind < LOW_DELAY_SHARE + CHAIN_SHARE or not sizes:
        return chain(length)
    odds = np.array([SIZE_ODDS[size] for size in sizes])
    return pyramids(length, int(random.choice(sizes, p=odds / odds.sum())))


def more_q_as_shown(structure: Structure) -> list[float]:
    """Of all frames, the intra frame among them: how much more q they have."""
    by_frame = {coded.frame: coded.more_q for coded in structure}
    return [0.0, *(by_frame[frame] for frame in sorted(by_frame))]


def reach(structure: Structure) -> int:
    """How far the farthest first reference is, in frames."""
    return max((abs(coded.frame - coded.references[0]) for coded in structure), default=0)
