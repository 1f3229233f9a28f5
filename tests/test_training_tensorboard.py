"""What a run shows in TensorBoard, without TensorBoard."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from codec_clips import city_frames

from neuralcodec.training.tensorboard import TensorBoard, to_rgb
from neuralcodec.training.validation import Figures, ShownFrame


class Writer:
    """As much of SummaryWriter as is used."""

    scalars: dict[tuple[str, int], float]
    pictures: dict[tuple[str, int], torch.Tensor]

    def __init__(self, folder: str) -> None:
        type(self).folder = folder  # type: ignore[attr-defined]
        type(self).scalars, type(self).pictures = {}, {}

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars[name, step] = value

    def add_image(self, name: str, picture: torch.Tensor, step: int) -> None:
        self.pictures[name, step] = picture

    def flush(self) -> None: ...


@pytest.fixture(autouse=True)
def writer(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)


def test_the_log_becomes_curves(tmp_path: Path):
    board = TensorBoard(tmp_path)
    board.logged({"step": 0, "run": {"data": ["a"]}})
    board.logged({"step": 9, "seconds": 4, "skipped": 1, "loss": 2.5})
    found = {"score": -1.5, "bpp_8": 0.1}
    board.logged({"step": 9, "validation": found, "training_crops": {"score": -2.0}})
    assert Writer.folder == str(tmp_path / "tensorboard")  # type: ignore[attr-defined]
    assert Writer.scalars == {
        ("training/skipped", 9): 1,
        ("training/loss", 9): 2.5,
        ("validation/score", 9): -1.5,
        ("validation/bpp_8", 9): 0.1,
        ("training_crops/score", 9): -2.0,
    }


def test_source_and_decoded_picture_are_shown_side_by_side(tmp_path: Path):
    planes = torch.full((1, 16, 32), 16 / 255), torch.full((2, 8, 16), 128 / 255)
    white = torch.full((1, 16, 32), 235 / 255), planes[1]
    shown = [ShownFrame("bus", planes, white)]
    TensorBoard(tmp_path).validated(7, Figures({}, shown), None)
    picture = Writer.pictures["source, decoded/bus", 7]
    assert picture.shape == (3, 16, 64) and picture.dtype == torch.uint8
    assert bool((picture[:, :, :32] == 0).all()) and bool((picture[:, :, 32:] == 255).all())


def test_colours_are_those_of_other_players():
    """Against libswscale, which smooths chroma: on average."""
    import av

    fmt, (frame,) = city_frames(1)
    y = torch.from_numpy(frame.y[None]).float() / 255
    uv = torch.from_numpy(np.stack([frame.u, frame.v])).float() / 255
    planar = np.concatenate([p.ravel() for p in frame.planes]).reshape(-1, fmt.width)
    picture = av.VideoFrame.from_ndarray(planar, "yuv420p")
    theirs = picture.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray()
    ours = to_rgb(y, uv).permute(1, 2, 0).numpy()
    assert np.abs(ours.astype(int) - theirs).mean() < 2
