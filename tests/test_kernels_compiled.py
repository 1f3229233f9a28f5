"""Where kernels come from, and what happens where there are none."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import neuralcodec
from neuralcodec.kernels import compiled
from neuralcodec.kernels.compiled import Kernel, can_run
from neuralcodec.kernels.first_use import known_kernels


def test_every_kernel_is_found_for_the_first_use():
    names = {
        kernel._loop.__module__.removeprefix("neuralcodec.kernels.") for kernel in known_kernels()
    }
    assert {"motion.search", "networks.matrix", "pixels.smoothing", "parsing.motion_walk"} <= names


def test_kernels_can_run_on_processors_only():
    assert can_run(torch.zeros(1))
    assert not can_run(torch.zeros(1), torch.zeros(1, device="meta"))


def test_a_kernel_refuses_what_it_was_not_compiled_for():
    @compiled.compiled("void(float32[::1])")
    def doubled(x: np.ndarray) -> None:
        for i in range(x.size):
            x[i] *= np.float32(2)

    x = np.ones(3, np.float32)
    doubled(x)
    assert x.tolist() == [2, 2, 2]
    with pytest.raises(TypeError):
        doubled(np.ones(3))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("cannot cache function '_nothing': no locator available for file", "set NUMBA_CACHE_DIR"),
        ("LLVM is too old", "LLVM is too old"),
    ],
)
def test_a_machine_that_cannot_compile_says_so_once(
    error: str, said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def fail(kernel: Kernel) -> None:
        raise RuntimeError(error)

    monkeypatch.setattr(Kernel, "make", fail)
    compiled._fault.cache_clear()
    try:
        with caplog.at_level(logging.WARNING, "neuralcodec"):
            assert not can_run(torch.zeros(1))
            assert not can_run(torch.zeros(1))
    finally:
        compiled._fault.cache_clear()
    [line] = caplog.messages
    assert line.startswith("no compiled kernels here") and said in line


def test_without_kernels_a_clip_is_coded_to_the_same_symbols(
    small_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As floats are rounded otherwise, a symbol may differ here and there; none does here. Of
    P-frames: the look-ahead needs kernels."""
    for name in ("with", "without"):
        coded = tmp_path / f"{name}.nlc"
        neuralcodec.encode(small_source, coded, frames=4, device="cpu", bframes=0)
        monkeypatch.setattr(compiled, "_fault", lambda: "switched off")
    assert (tmp_path / "with.nlc").read_bytes() == (tmp_path / "without.nlc").read_bytes()


def test_numbas_folder_is_the_one_that_is_asked_for(tmp_path: Path):
    code = "from neuralcodec.kernels.compiled import _nothing; _nothing.make()"
    package = Path(neuralcodec.__file__).parents[1]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(package)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert [path.suffix for path in sorted(tmp_path.rglob("*.nb?"))] == [".nbc", ".nbi"]


def test_numba_keeps_nothing_in_the_package(tmp_path: Path):
    """A package that is removed would leave a folder behind, which hides the next one."""
    assert not list(Path(neuralcodec.__file__).parent.rglob("*.nbi"))
    code = "from neuralcodec.kernels.compiled import _nothing; _nothing.make()"
    package = Path(neuralcodec.__file__).parents[1]
    own = {"PYTHONPATH": str(package), "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | own
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert len(list(tmp_path.rglob("*.nbi"))) == 1
