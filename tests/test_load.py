"""Many encodes in a row and several at once: no leak, and each as if it were alone."""

import os
import threading
from pathlib import Path
from typing import Any

import forked
import pytest

import neuralcodec
from neuralcodec.errors import NcodecError

PATIENCE = 120  # seconds; far more than any of this takes
JOBS: list[dict[str, Any]] = [
    {"gop": 4, "quality": 20},
    {"gop": 3, "low_delay": True, "quality": 40},
    {"gop": 96, "quality": 32, "preset": "fast"},
    {"gop": 5, "frames": 6, "preset": "slow"},
]
COMMON: dict[str, Any] = {"device": "cpu", "precision": "float32"}


@pytest.fixture(scope="module")
def alone(small_source: Path, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """What each job gives by itself."""
    folder = tmp_path_factory.mktemp("alone")
    for number, job in enumerate(JOBS):
        neuralcodec.encode(small_source, folder / f"{number}.nlc", **COMMON, **job)
    return [(folder / f"{number}.nlc").read_bytes() for number in range(len(JOBS))]


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads Linux's memory figures")
def test_after_twenty_encodes_memory_is_what_it_was_after_two(small_source: Path, tmp_path: Path):
    report = tmp_path / "report"
    options = {"gop": 4, "frames": 6, **COMMON}
    with forked.running(
        forked.encode_many, 20, str(report), small_source, tmp_path / "out.nlc", **options
    ) as run:
        run.join(PATIENCE)
        assert run.exitcode == 0
    resident = [int(line) for line in report.read_text().split()]
    assert len(resident) == 20
    assert resident[-1] < 1.05 * resident[1], resident


def test_four_processes_at_once_give_what_each_gives_alone(
    small_source: Path, alone: list[bytes], tmp_path: Path
):
    runs = [
        forked.start(forked.encode, small_source, tmp_path / f"{number}.nlc", **COMMON, **job)
        for number, job in enumerate(JOBS)
    ]
    for run in runs:
        run.join(PATIENCE)
    assert [run.exitcode for run in runs] == [0] * len(JOBS)
    assert [(tmp_path / f"{n}.nlc").read_bytes() for n in range(len(JOBS))] == alone


def test_four_threads_at_once_give_what_each_gives_alone(
    small_source: Path, alone: list[bytes], tmp_path: Path
):
    errors: list[Exception] = []

    def encode(number: int) -> None:
        try:
            out = tmp_path / f"{number}.nlc"
            neuralcodec.encode(small_source, out, **COMMON, **JOBS[number])
            with neuralcodec.open(out, device="cpu") as video:  # a decoder beside the encoders
                assert len(list(video)) == JOBS[number].get("frames", 12)
        except (AssertionError, NcodecError) as error:
            errors.append(error)

    threads = [threading.Thread(target=encode, args=(n,)) for n in range(len(JOBS))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not errors
    assert [(tmp_path / f"{n}.nlc").read_bytes() for n in range(len(JOBS))] == alone
