"""Scene cuts: found where the scene changes, and nowhere else."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from codec_clips import city_frames, ten_bit

from neuralcodec.encoder.scene_cuts import judge_frames
from neuralcodec.video import Frame


def cuts(frames: Sequence[Frame], gop: int = 96) -> list[int]:
    return [i for i, judged in enumerate(judge_frames(iter(frames), gop)) if judged.is_cut]


def city(count: int) -> list[Frame]:
    return city_frames(count)[1]


def mirrored(frame: Frame) -> Frame:
    return replace(frame, y=np.ascontiguousarray(frame.y[:, ::-1]))


def cropped(frame: Frame) -> Frame:
    """A fourth of the picture, as large as the whole."""
    height, width = (n // 2 for n in frame.y.shape)
    return replace(frame, y=frame.y[height:, :width].repeat(2, 0).repeat(2, 1))


def with_luma(frame: Frame, gain: float, offset: float = 0.0) -> Frame:
    return replace(frame, y=np.clip(frame.y * gain + offset, 0, 255).round().astype(np.uint8))


def test_every_joint_of_two_scenes_is_a_cut():
    one, other, third = city(30), [mirrored(f) for f in city(30)], [cropped(f) for f in city(30)]
    assert cuts(one[:9] + other[9:20] + third[20:]) == [9, 20]


def test_a_cut_is_one_right_after_another_too():
    one, other = city(12), [mirrored(f) for f in city(12)]
    assert cuts(one[:4] + other[4:7] + one[7:]) == [4, 7]


def test_ten_bit_cuts_are_found_in_the_same_places():
    fmt, frames = city_frames(12)
    joined = frames[:5] + [mirrored(f) for f in frames[5:]]
    assert cuts(ten_bit(fmt, joined)[1]) == [5]


def test_a_clip_of_one_scene_has_no_cut():
    assert cuts(city(48)) == []


@pytest.mark.parametrize("length", [1, 2])
def test_a_flash_is_no_cut(length: int):
    frames = city(16)
    frames[7 : 7 + length] = [with_luma(f, 0.4, 150) for f in frames[7 : 7 + length]]
    assert cuts(frames) == []


def test_a_fade_is_no_cut():
    frames = [with_luma(f, max(0.1, 1 - t / 10)) for t, f in enumerate(city(14))]
    assert cuts(frames) == []
    assert cuts(frames[::-1]) == []


def test_fast_motion_is_no_cut():
    wide = city(1)[0].y
    frames = [
        Frame(np.ascontiguousarray(np.roll(wide, 26 * t, axis=1)), *city(1)[0].planes[1:], t)
        for t in range(12)
    ]
    assert cuts(frames) == []


def test_noise_is_no_row_of_cuts():
    rng = np.random.default_rng(1)
    frames = [replace(f, y=rng.integers(0, 256, (48, 64), dtype=np.uint8)) for f in city(24)]
    assert len(cuts(frames)) <= 1


def test_still_and_black_frames_are_no_cuts():
    frames = [city(1)[0]] * 6
    black = [with_luma(f, 0.0, 16) for f in frames]
    assert cuts(frames) == cuts(black) == []


def test_frames_pass_unchanged_and_in_order():
    frames = city(5)
    assert [judged.frame for judged in judge_frames(iter(frames), 96)] == frames


@pytest.mark.parametrize("size", [(16, 16), (16, 200), (50, 18)])
def test_the_smallest_pictures_can_be_judged(size: tuple[int, int]):
    frames = [replace(f, y=np.ascontiguousarray(f.y[: size[0], : size[1]])) for f in city(4)]
    assert cuts(frames) == []
