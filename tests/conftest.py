"""What every test shares: tests marked `gpu` are skipped where there is no CUDA device."""

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from media_clips import seeded_frames

import neuralcodec
from neuralcodec.media import open_writer
from neuralcodec.video import VideoFormat

if TYPE_CHECKING:
    from neuralcodec.model.zoo import InstalledModel


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    no_gpu = pytest.mark.skip(reason="no CUDA device")
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(no_gpu)


@pytest.fixture(scope="session")
def installed_model() -> "InstalledModel":
    """The model that `encode` takes by default, loaded once; not to be altered."""
    from neuralcodec.model.zoo import DEFAULT_MODEL, load_model

    return load_model(DEFAULT_MODEL)


@pytest.fixture(scope="session")
def small_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Y4M of 12 frames of 48x32 that ncodec has never seen."""
    fmt = VideoFormat(48, 32, Fraction(1, 25), frame_rate=Fraction(25))
    path = tmp_path_factory.mktemp("source") / "source.y4m"
    with open_writer(path, fmt) as writer:
        for frame in seeded_frames(fmt, range(12)):
            writer.write(frame)
    return path


@pytest.fixture(scope="session")
def small_coded(small_source: Path) -> Path:
    """`small_source` as ncodec codes it: three GOPs of four frames."""
    path = small_source.with_name("coded.nlc")
    neuralcodec.encode(small_source, path, gop=4)
    return path
