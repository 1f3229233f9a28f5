"""Mini-GOPs: every frame once, references first, slots that hold what is read."""

import random
from collections.abc import Sequence

import pytest

from neuralcodec.encoder.structure.mini_gops import (
    INTRA_STEP,
    KEY_DISTANCE,
    OFFSETS,
    SIZES,
    CodingStep,
    GopOrder,
    largest_size,
)
from neuralcodec.references import SLOTS

MOST_WAITING = 16  # frames that are decoded and not shown


def batches_of(sizes: Sequence[int], low_delay: bool = False) -> list[list[CodingStep]]:
    order = GopOrder(low_delay)
    batches = [[INTRA_STEP]]
    for size in sizes:
        batches += order.add(size)
    return batches


def mixtures() -> list[list[int]]:
    rng = random.Random(1)
    every_pair = [[a, b] for a in SIZES for b in SIZES]
    return [*every_pair, *([rng.choice(SIZES) for _ in range(20)] for _ in range(20))]


def references(steps: Sequence[CodingStep]) -> dict[int, tuple[int, int]]:
    """The frames that each one reads, as a decoder with slots would find them."""
    slots: dict[int, int] = {}
    read: dict[int, tuple[int, int]] = {}
    for step in steps:
        place = step.place
        if place.slots is not None:
            first, second = place.slots
            read[place.shown] = slots[first], slots[second]
        if place.stored is not None:
            assert 0 <= place.stored < SLOTS
            slots[place.stored] = place.shown
    return read


@pytest.mark.parametrize("sizes", mixtures(), ids=str)
def test_every_frame_is_coded_once_after_those_it_refers_to(sizes: list[int]):
    batches = batches_of(sizes)
    coded: set[int] = set()
    read = references([step for batch in batches for step in batch])
    for batch in batches:
        numbers = {step.place.shown for step in batch}
        assert len(numbers) == len(batch) and not numbers & coded
        # None of a batch refers to another one of it.
        assert all(set(read[n]) <= coded for n in numbers if n in read)
        coded |= numbers
    assert coded == set(range(1 + sum(sizes)))


@pytest.mark.parametrize("sizes", mixtures(), ids=str)
def test_anchors_refer_to_the_last_two_and_inner_frames_to_their_neighbours(sizes: list[int]):
    steps = [step for batch in batches_of(sizes) for step in batch]
    read = references(steps)
    anchors, last = [0, 0], 0
    for size in sizes:
        assert read[last + size] == (anchors[-1], anchors[-2])
        anchors.append(last + size)
        for inner in range(1, size):
            distance = inner & -inner
            assert read[last + inner] == (last + inner - distance, last + inner + distance)
        last += size


@pytest.mark.parametrize("sizes", mixtures(), ids=str)
def test_levels_rise_and_what_is_stored_is_read(sizes: list[int]):
    steps = [step for batch in batches_of(sizes) for step in batch]
    level = {step.place.shown: step.place.level for step in steps}
    read = references(steps)
    for step in steps[1:]:
        place = step.place
        assert all(level[r] < place.level or level[r] == 0 for r in read[place.shown])
        assert step.offset == OFFSETS[step.size][place.level]
    leaves = [s for s in steps[1:] if s.size > 1 and s.place.level == len(OFFSETS[s.size]) - 1]
    assert all(s.place.stored is None for s in leaves)
    kept = {s.place.shown for s in steps if s.place.stored is not None and s.place.level}
    assert kept <= {r for pair in read.values() for r in pair}


@pytest.mark.parametrize("sizes", mixtures(), ids=str)
def test_few_decoded_frames_wait_to_be_shown(sizes: list[int]):
    waiting: set[int] = set()
    following = 0
    for step in (step for batch in batches_of(sizes) for step in batch):
        waiting.add(step.place.shown)
        while following in waiting:
            waiting.remove(following)
            following += 1
        assert len(waiting) <= MOST_WAITING


def test_with_low_delay_no_frame_waits_for_a_later_one():
    steps = [step for batch in batches_of([1] * 40, low_delay=True) for step in batch]
    assert [step.place.shown for step in steps] == list(range(41))
    read = references(steps)
    for step in steps[1:]:
        number = step.place.shown
        is_key = number % KEY_DISTANCE == 0
        assert step.place.level == (0 if is_key else 1)
        key = (number - 1) // KEY_DISTANCE * KEY_DISTANCE
        assert read[number] == (number - 1, key)
        assert step.offset > 0 if is_key else step.offset < 0


def test_as_many_frames_between_anchors_as_asked_for_or_fewer():
    sizes = [largest_size(bframes + 1) for bframes in range(16)]
    assert sizes == [1, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8, 8, 8, 8, 8, 16]
