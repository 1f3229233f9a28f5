"""What is found to train on, and how it is read."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from codec_clips import CITY, city_frames, cropped

from neuralcodec.errors import InputError
from neuralcodec.media import open_writer
from neuralcodec.training import frame_cache
from neuralcodec.training.footage import find_footage
from neuralcodec.training.frame_cache import build_cache


@pytest.fixture
def small_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_cache, "SMALLEST_SIDE", 32)


def write_pictures(folder: Path, count: int) -> None:
    """shot8.png, shot9.png, shot10.png, ...: in no alphabet's order."""
    folder.mkdir(parents=True)
    fmt, frames = cropped(*city_frames(count), 64, 48)
    for number, frame in enumerate(frames, 8):
        with open_writer(folder / "one%d.png", fmt) as writer:
            writer.write(frame)
        next(folder.glob("one*.png")).rename(folder / f"shot{number}.png")


def test_videos_and_folders_of_pictures_are_found_anywhere_with_names_of_their_own(tmp_path: Path):
    for name in ("b.mp4", "x/b.mp4", "notes.txt", ".hidden.mp4", "x/one.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in ("y/1.jpg", "y/2.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_footage([tmp_path])
    assert [(f.name, len(f.files)) for f in found] == [("b.mp4", 1), ("x_b.mp4", 1), ("y", 2)]


def test_numbered_pictures_are_frames_in_the_order_of_their_numbers(
    tmp_path: Path, small_enough: None
):
    write_pictures(tmp_path / "shots", 4)
    (entry,) = build_cache(find_footage([tmp_path]), tmp_path / "cache", 3)
    assert (entry.name, entry.frames) == ("shots", 3)
    cached = np.load(tmp_path / "cache" / "shots.npy")[:, :48]
    _, frames = cropped(*city_frames(3), 64, 48)
    for shown, frame in zip(cached, frames, strict=True):  # by way of RGB
        assert np.abs(shown.astype(int) - frame.y).mean() < 2
    assert np.abs(cached[2].astype(int) - frames[0].y).mean() > 4


def test_of_a_long_clip_parts_are_taken_all_over_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(frame_cache, "PART", 4)
    build_cache(find_footage([CITY]), tmp_path / "parts", 12, end_apart=2)
    build_cache(find_footage([CITY]), tmp_path / "whole", 100)
    whole = np.load(tmp_path / "whole" / "city.npy")
    names = [e["name"] for e in json.loads((tmp_path / "parts" / "index.json").read_text())]
    assert names == ["city@0", "city@22", "city@44", "city@end"]
    for name, first, last in (("city@22", 22, 26), ("city@44", 44, 46), ("city@end", 46, 48)):
        assert np.array_equal(np.load(tmp_path / "parts" / f"{name}.npy"), whole[first:last])


def test_what_cannot_be_trained_on_is_told_and_left_out(tmp_path: Path):
    write_pictures(tmp_path / "small", 2)
    (tmp_path / "bad.mp4").write_text("no video")
    shutil.copy(CITY, tmp_path / "good.mp4")
    told: list[str] = []
    entries = build_cache(find_footage([tmp_path]), tmp_path / "cache", 2, tell=told.append)
    assert [entry.name for entry in entries] == ["good"]
    assert "bad.mp4 is not a video" in told[0]
    assert told[1] == "good: 2 frames"
    assert told[2].endswith("small is 64x48; at least 240x240 is needed")


def test_nothing_to_train_on_is_an_error_that_names_the_folder(tmp_path: Path):
    with pytest.raises(InputError, match="no video and no folder of numbered pictures in it"):
        find_footage([tmp_path])
