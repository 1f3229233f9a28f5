"""Stages in threads: order, errors, and an end that waits for nobody."""

import os
import threading
import time
from collections.abc import Iterator

import pytest

from neuralcodec.codec import pipeline as ahead
from neuralcodec.codec.pipeline import RunAhead


def stalling(go_on: threading.Event) -> Iterator[int]:
    yield 1
    go_on.wait()
    yield 2


def test_items_come_in_order_and_an_error_where_it_happened():
    def failing() -> Iterator[int]:
        yield from range(20)
        raise ValueError("item 20")

    items = RunAhead(failing(), 3)
    assert [next(items) for _ in range(20)] == list(range(20))
    with pytest.raises(ValueError, match="item 20"):
        next(items)
    assert list(items) == []


def test_closing_does_not_wait_for_a_source_that_stalls():
    go_on = threading.Event()
    items = RunAhead(stalling(go_on), 2)
    assert next(items) == 1
    start = time.monotonic()
    items.close(patience=0.1)
    assert time.monotonic() - start < 2
    assert items.is_stuck
    go_on.set()
    items.close()
    assert not items.is_stuck


def test_closing_the_first_stage_frees_a_later_one_that_waits_for_it():
    go_on = threading.Event()
    first = RunAhead(stalling(go_on), 2)
    second = RunAhead(first, 2)
    assert next(second) == 1
    first.close(patience=0.1)
    second.close(patience=None)
    assert not second.is_stuck
    go_on.set()


def test_closing_closes_the_source_even_while_the_buffer_is_full():
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    items = RunAhead(endless(), 2)
    next(items)
    items.close()
    assert closed.is_set()
    assert not items.is_stuck


def test_a_stage_that_is_forgotten_stops():
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    items = RunAhead(endless(), 2)
    next(items)
    del items
    assert closed.wait(5)


@pytest.mark.skipif(os.name != "posix", reason="fork as in POSIX")
def test_no_process_is_forked_in_the_middle_of_an_item():
    inside = [False, False]

    def working(stage: int, items: Iterator[int]) -> Iterator[int]:
        for item in items:
            inside[stage] = True
            time.sleep(0.002)
            inside[stage] = False
            yield item

    first = RunAhead(working(0, iter(range(1000))), 2)
    second = RunAhead(working(1, first), 2)
    for number in range(20):
        assert next(second) == number
        child = os.fork()
        if child == 0:
            os._exit(any(inside))
        assert os.waitpid(child, 0)[1] == 0
    second.close()
    first.close()


@pytest.mark.skipif(os.name != "posix", reason="fork as in POSIX")
def test_a_fork_does_not_wait_for_ever_for_a_source_that_stalls(monkeypatch):
    monkeypatch.setattr(ahead, "FORK_PATIENCE", 0.1)
    go_on = threading.Event()
    items = RunAhead(stalling(go_on), 2)
    assert next(items) == 1
    child = os.fork()
    if child == 0:
        own = RunAhead(iter(range(3)), 2)
        os._exit(list(own) != [0, 1, 2])
    assert os.waitpid(child, 0)[1] == 0
    go_on.set()
    assert list(items) == [2]
