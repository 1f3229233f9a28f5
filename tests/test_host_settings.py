"""A program that uses the library has settings of its own: they change nothing, and stay."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from codec_clips import city_frames, cropped

import neuralcodec
from neuralcodec.media import open_writer


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def default_device(name: str) -> Iterator[None]:
    torch.set_default_device(name)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def warnings_as_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


SETTINGS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "default dtype bfloat16": lambda: default_dtype(torch.bfloat16),
    "default dtype float16": lambda: default_dtype(torch.float16),
    "default dtype float64": lambda: default_dtype(torch.float64),
    "default device meta": lambda: default_device("meta"),
    "default device cpu": lambda: default_device("cpu"),
    "inference mode": lambda: torch.inference_mode(),
    "no gradients": lambda: torch.no_grad(),
    "gradients": lambda: torch.enable_grad(),
    "anomaly detection": lambda: torch.autograd.set_detect_anomaly(True),
    "deterministic": lambda: deterministic(),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "numpy raises": lambda: np.errstate(all="raise"),
    "warnings are errors": lambda: warnings_as_errors(),
}


def settings_now() -> dict[str, object]:
    return {
        "dtype": torch.get_default_dtype(),
        "device": torch.empty(0).device,
        "inference": torch.is_inference_mode_enabled(),
        "gradients": torch.is_grad_enabled(),
        "anomaly": torch.is_anomaly_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "threads": torch.get_num_threads(),
        "random": torch.get_rng_state().tolist(),
        "numpy": np.geterr(),
    }


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    fmt, frames = cropped(*city_frames(2), 32, 32)
    path = tmp_path_factory.mktemp("host") / "source.y4m"
    with open_writer(path, fmt) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def all_results(source: Path, folder: Path) -> list[bytes]:
    """What `encode`, `decode` with a comparison, `check` and `open` give."""
    coded, shown = folder / "coded.nlc", folder / "shown.yuv"
    neuralcodec.encode(source, coded, device="cpu", overwrite=True)
    done = neuralcodec.decode(coded, shown, reference=source, device="cpu", overwrite=True)
    assert not neuralcodec.check(coded).damage
    with neuralcodec.open(coded, device="cpu") as video:
        clip = video.clip(0, 2)
    planes = [np.asarray(plane.tolist()).tobytes() for plane in clip]
    return [coded.read_bytes(), shown.read_bytes(), *planes, repr(done.measured).encode()]


@pytest.fixture(scope="module")
def usual(source: Path) -> list[bytes]:
    return all_results(source, source.parent)


@pytest.mark.parametrize("name", SETTINGS)
def test_results_do_not_depend_on_the_settings_of_the_program_and_leave_them(
    name: str, source: Path, usual: list[bytes], tmp_path: Path
):
    outside = settings_now()
    with SETTINGS[name]():
        before = settings_now()
        found = all_results(source, tmp_path)
        assert settings_now() == before
    assert found == usual
    assert settings_now() == outside
