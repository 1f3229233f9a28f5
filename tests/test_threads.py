"""How many threads PyTorch uses is decided for each of our own threads apart."""

import threading

import torch

from neuralcodec.codec.device import use_threads


def test_a_thread_keeps_its_number_whatever_another_sets_before_its_first_operation():
    before = torch.get_num_threads()
    other_has_set = threading.Event()
    has_set = threading.Event()
    found: list[int] = []

    def work() -> None:
        use_threads(2)
        has_set.set()
        other_has_set.wait(10)
        torch.ones(8).sum()
        found.append(torch.get_num_threads())

    thread = threading.Thread(target=work)
    thread.start()
    has_set.wait(10)
    try:
        use_threads(1)
        other_has_set.set()
        thread.join()
        assert found == [2]
        assert torch.get_num_threads() == 1
    finally:
        use_threads(before)
