"""The look-ahead finds mini-GOPs that suit the motion, the same in every run."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from codec_clips import city_frames, ten_bit

from neuralcodec.encoder.structure.mini_gops import LOW_DELAY, P_FRAMES, SIZES, Structure
from neuralcodec.encoder.structure.small_motion import (
    SmallPicture,
    blended_errors,
    find_motion,
)
from neuralcodec.encoder.structure.structure_choice import StructureChoice, estimated_cost
from neuralcodec.kernels.motion.small_search import BLOCK
from neuralcodec.video import Frame

UP_TO_16 = Structure(16)
SIDE = 128
TEXTURE = np.random.default_rng(4).integers(0, 256, (40, 400)).astype(np.float32)


def smooth(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """A texture without end, sampled at real positions."""
    y, x = np.meshgrid(rows / 6, columns / 6, indexing="ij")
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    down, right = y - top, x - left
    down, right = (3 * n**2 - 2 * n**3 for n in (down, right))

    def at(i: int, j: int) -> np.ndarray:
        return TEXTURE[(top + i) % 40, (left + j) % 400]

    upper = at(0, 0) * (1 - right) + at(0, 1) * right
    lower = at(1, 0) * (1 - right) + at(1, 1) * right
    return upper * (1 - down) + lower * down


def frame_of(luma: np.ndarray, number: int) -> Frame:
    plane = np.clip(luma.round(), 0, 255).astype(np.uint8)
    grey = np.full((SIDE // 2, SIDE // 2), 128, np.uint8)
    return Frame(plane, grey, grey, number)


def clip(count: int, luma: Callable[[int], np.ndarray]) -> list[Frame]:
    return [frame_of(luma(t), t) for t in range(count)]


def moved(t: int, speed: float) -> np.ndarray:
    return smooth(np.arange(SIDE) + 1000.0, np.arange(SIDE) + 1000 + speed * t)


def sizes(frames: list[Frame], structure: Structure = UP_TO_16) -> list[int]:
    choice = StructureChoice(structure)
    choice.begin(frames[0])
    return choice.sizes(frames[1:])


def noisy(t: int) -> np.ndarray:
    noise: np.ndarray = np.random.default_rng(t).normal(0, 6, (SIDE, SIDE))
    return moved(0, 0) + noise


def test_what_stands_still_but_for_its_noise_is_coded_in_large_mini_gops():
    assert min(sizes(clip(17, noisy))) >= 8
    assert sizes(clip(17, noisy), Structure(4)) == [4, 4, 4, 4]


def test_where_only_a_part_is_fast_its_mini_gops_alone_are_small():
    """After four frames nothing of the picture is left."""
    found = sizes(clip(17, lambda t: noisy(t) if t <= 8 else moved(t, 38.0)))
    assert found[0] == 8
    assert max(found[1:]) < 8


def erratic(t: int) -> np.ndarray:
    """Squares of 32x32 that go their own ways, other ones from frame to frame."""
    steps = np.random.default_rng(9).integers(-14, 15, (17, 4, 4, 2))
    places = 1000.0 + steps[: t + 1].sum(0)
    side = np.arange(SIDE // 4)
    return np.block(
        [
            [smooth(side + 40.0 * i + places[i, j, 0], side + places[i, j, 1]) for j in range(4)]
            for i in range(4)
        ]
    )


def test_what_moves_every_which_way_is_coded_in_small_mini_gops():
    """Frames between others take two motions, and those are dear."""
    assert max(sizes(clip(17, erratic))) <= 4


@pytest.mark.parametrize("count", [1, 2, 3, 7, 11, 15, 16])
@pytest.mark.parametrize("structure", [P_FRAMES, LOW_DELAY, *(Structure(n, True) for n in SIZES)])
def test_all_frames_are_in_a_mini_gop_that_is_not_too_large(count: int, structure: Structure):
    found = sizes(clip(1 + count, noisy), structure)
    assert sum(found) == count
    assert max(found) == max(n for n in SIZES if n <= min(count, structure.largest))
    assert sum(sizes(clip(1 + count, noisy))) == count


def test_the_choice_is_the_same_for_any_number_of_threads():
    _, frames = city_frames(33)
    found = []
    threads = torch.get_num_threads()
    try:
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            choice = StructureChoice(UP_TO_16)
            choice.begin(frames[0])
            found.append([choice.sizes(frames[1:17]), choice.sizes(frames[17:])])
    finally:
        torch.set_num_threads(threads)
    assert found[0] == found[1] == found[2]


def test_ten_bit_pictures_are_seen_as_those_of_eight():
    fmt, frames = city_frames(17)
    _, deep = ten_bit(fmt, frames)
    for size in (1, 4):
        assert estimated_cost(deep, size) == pytest.approx(estimated_cost(frames, size), rel=0.05)


@pytest.mark.parametrize("speed", [0.0, 2.0, -5.0, 11.0, 30.0])
def test_motion_is_found_as_it_is(speed: float):
    """Half samples of pictures half as large: whole samples."""
    pictures = [SmallPicture(f) for f in clip(2, lambda t: moved(t, speed))]
    found = find_motion(pictures[0], pictures[1], None)
    inside = found.field[1:-1, 3:-3]
    assert np.median(np.abs(inside - np.array([-speed, 0]))) <= 0.5
    assert found.errors[1:-1, 3:-3].mean() < pictures[0].flat_errors[1:-1, 3:-3].mean() / 4


def test_errors_are_those_of_the_windows_that_vectors_point_to():
    pictures = [SmallPicture(f) for f in clip(3, lambda t: moved(t, 7.0))]
    past, future = (find_motion(pictures[1], pictures[n], None) for n in (0, 2))
    mean = blended_errors(pictures[1], pictures[0], past, pictures[2], future)
    rows, columns = pictures[1].grid
    for row in range(rows):
        for column in range(columns):
            own = pictures[1].samples[row * BLOCK :, column * BLOCK :][:BLOCK, :BLOCK].astype(int)
            windows = [
                window(pictures[n], row, column, motion.field[row, column])
                for n, motion in ((0, past), (2, future))
            ]
            assert past.errors[row, column] == np.abs(own - windows[0]).sum()
            assert future.errors[row, column] == np.abs(own - windows[1]).sum()
            both = (windows[0] + windows[1] + 1) >> 1
            assert mean[row, column] == np.abs(own - both).sum()


def window(picture: SmallPicture, row: int, column: int, vector: np.ndarray) -> np.ndarray:
    """By the definition of half samples, from the picture itself."""
    samples = picture.samples.astype(int)
    height, width = samples.shape
    x, y = (int(n) for n in vector)

    def at(down: int, right: int) -> np.ndarray:
        rows = np.clip(row * BLOCK + (y >> 1) + down + np.arange(BLOCK), 0, height - 1)
        columns = np.clip(column * BLOCK + (x >> 1) + right + np.arange(BLOCK), 0, width - 1)
        return samples[rows][:, columns]

    a, b, c, d = at(0, 0), at(0, 1), at(1, 0), at(1, 1)
    planes = (a, (a + b + 1) >> 1, (a + c + 1) >> 1, (a + b + c + d + 2) >> 2)
    return planes[2 * (y & 1) + (x & 1)]


@pytest.mark.parametrize("size", [(16, 16), (16, 200), (50, 18), (8, 8)])
def test_the_smallest_pictures_can_be_looked_at(size: tuple[int, int]):
    _, frames = city_frames(5)
    small = [replace(f, y=np.ascontiguousarray(f.y[: size[0], : size[1]])) for f in frames]
    assert sum(sizes(small)) == 4
