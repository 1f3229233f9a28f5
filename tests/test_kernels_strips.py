"""Kernels that threads share."""

import threading
import time

import numpy as np
import pytest
import torch

from neuralcodec.kernels import strips
from neuralcodec.kernels.strips import core_taken, in_strips


@pytest.fixture(autouse=True)
def _threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("rows", [1, 2, 5, 64])
def test_each_row_is_in_one_strip(rows: int, threads: int):
    torch.set_num_threads(threads)
    seen = np.zeros(rows, int)

    def kernel(seen: np.ndarray, first: int, end: int) -> None:
        seen[first:end] += 1

    in_strips(kernel, rows, seen)
    assert (seen == 1).all()


def test_strips_of_several_threads_run_at_once():
    torch.set_num_threads(2)
    met = threading.Barrier(2)
    in_strips(lambda first, end: met.wait(10) if first in (0, 3) else None, 4)


def test_a_core_that_is_taken_is_left_alone():
    torch.set_num_threads(2)
    threads = set()

    def kernel(first: int, end: int) -> None:
        threads.add(threading.current_thread())
        time.sleep(0.001)

    with core_taken():
        in_strips(kernel, 8)
    assert threads == {threading.current_thread()}


@pytest.mark.parametrize("failing", [0, 3])
def test_an_error_of_any_thread_is_raised_and_harms_no_later_kernel(failing: int):
    torch.set_num_threads(2)
    met = threading.Barrier(2)

    def kernel(first: int, end: int) -> None:
        if first in (0, 3):
            met.wait(10)
        if first == failing:
            raise ValueError("as asked")

    with pytest.raises(ValueError, match="as asked"):
        in_strips(kernel, 4)
    test_each_row_is_in_one_strip(64, 3)


def test_helpers_are_used_again():
    torch.set_num_threads(3)
    in_strips(lambda first, end: time.sleep(0.001), 12)
    idle = len(strips._idle)
    for _ in range(20):
        in_strips(lambda first, end: None, 12)
    assert len(strips._idle) == idle >= 2
