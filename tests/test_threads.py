"""How many threads PyTorch uses is the program's business: nothing here changes it."""

import threading
from pathlib import Path

import torch

import neuralcodec


def _of_a_new_thread() -> int:
    found: list[int] = []

    def look() -> None:
        torch.ones(8).sum()
        found.append(torch.get_num_threads())

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found[0]


def test_coding_leaves_the_number_of_threads_alone(small_source: Path, tmp_path: Path):
    before = torch.get_num_threads()
    seen: list[tuple[int, int]] = []

    def look(_: object) -> None:
        seen.append((torch.get_num_threads(), _of_a_new_thread()))

    coded = tmp_path / "a.nlc"
    try:
        torch.set_num_threads(3)
        neuralcodec.encode(small_source, coded, frames=3, device="cpu", progress=look)
        neuralcodec.decode(coded, tmp_path / "a.y4m", progress=look)
        with neuralcodec.open(coded) as video:
            for _ in video:
                look(None)
        assert not neuralcodec.check(coded).damage
        look(None)
    finally:
        torch.set_num_threads(before)
    assert len(seen) >= 8 and set(seen) == {(3, 3)}


def test_the_number_of_threads_does_not_change_a_file(small_source: Path, tmp_path: Path):
    before = torch.get_num_threads()
    files = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            neuralcodec.encode(small_source, tmp_path / f"{threads}.nlc", frames=4, device="cpu")
            files.append((tmp_path / f"{threads}.nlc").read_bytes())
    finally:
        torch.set_num_threads(before)
    assert files[0] == files[1] == files[2]
