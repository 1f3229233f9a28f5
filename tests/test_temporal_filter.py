"""What is filtered along its motion before it is coded, and what becomes of it."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from codec_clips import CPU, city_frames, cropped

from neuralcodec.codec.tensors import to_tensors
from neuralcodec.encoder.encoder import Encoder
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.encoder.frame_encoder import EncodedFrame, FrameEncoder, FrameTask
from neuralcodec.encoder.structure.mini_gops import LOW_DELAY, P_FRAMES, Structure
from neuralcodec.encoder.temporal_filter import RADIUS, Planes, filtered
from neuralcodec.metrics import frame_psnr
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.video import Frame

NOISE = 4 / 255  # standard deviation
MOVED = 6  # luma samples to the left, from frame to frame


def moving_pictures() -> dict[int, Planes]:
    """By how much later they are shown; without noise."""
    fmt, [frame] = city_frames(1)
    y, uv = to_tensors([frame], fmt, CPU)
    found = {}
    for later in range(-RADIUS, RADIUS + 1):
        left = 64 + MOVED * later
        found[later] = (
            y[..., 32:160, left : left + 256],
            uv[..., 16:80, left // 2 : left // 2 + 128],
        )
    return found


def noisy(planes: Planes, seed: int) -> Planes:
    random = torch.Generator().manual_seed(seed)
    y, uv = (p + NOISE * torch.randn(p.shape, generator=random) for p in planes)
    return y, uv


def error(planes: Planes, wanted: Planes, plane: int) -> float:
    return float((planes[plane] - wanted[plane]).square().mean())


def by_distance(pictures: Mapping[int, Planes]) -> dict[int, Planes]:
    return {later: noisy(planes, 10 + later) for later, planes in pictures.items() if later}


@pytest.mark.parametrize("plane", [0, 1])
def test_noise_is_averaged_out_of_what_moves(plane: int):
    pictures = moving_pictures()
    source = noisy(pictures[0], 1)
    found = filtered(source, 20, by_distance(pictures).items(), 0.8)
    assert error(found, pictures[0], plane) < 0.6 * error(source, pictures[0], plane)


def test_less_is_filtered_the_better_the_picture_is_to_be():
    pictures = moving_pictures()
    source = noisy(pictures[0], 1)
    changes = [
        error(filtered(source, q, by_distance(pictures).items(), 0.8), source, 0)
        for q in (0, 40, 80)
    ]
    assert changes == sorted(changes, reverse=True)
    assert changes[-1] < 0.8 * changes[0]


def test_what_neighbours_do_not_show_stays():
    pictures = moving_pictures()
    source = pictures[0]
    random = torch.Generator().manual_seed(3)
    others = {
        later: (torch.rand(y.shape, generator=random), torch.rand(uv.shape, generator=random))
        for later, (y, uv) in by_distance(pictures).items()
    }
    y, uv = filtered(source, 20, others.items(), 0.8)
    assert float((y - source[0]).abs().mean()) < 1 / 255
    assert float((uv - source[1]).abs().mean()) < 1 / 255


def test_without_neighbours_nothing_changes():
    source = moving_pictures()[0]
    assert all(map(torch.equal, filtered(source, 20, {}.items(), 0.8), source))


class Spy:
    """Notes which frames were coded with which neighbours."""

    def __init__(self, patch: pytest.MonkeyPatch, frames: list[Frame]) -> None:
        self.neighbours: dict[int, list[int]] = {}
        numbers = {frame.pts: number for number, frame in enumerate(frames)}
        encode = FrameEncoder.encode

        def noting(encoder: FrameEncoder, tasks: list[FrameTask]) -> list[EncodedFrame]:
            for task in tasks:
                number = numbers[task.frame.pts]
                others = task.neighbours.frames if task.neighbours else {}
                assert all(numbers[frame.pts] == number + later for later, frame in others.items())
                self.neighbours[number] = sorted(others)
            return encode(encoder, tasks)

        patch.setattr(FrameEncoder, "encode", noting)


AROUND = [-4, -3, -2, -1, 1, 2, 3, 4]
OF_EIGHTS = {0: AROUND[4:], 8: AROUND, 4: AROUND, 12: AROUND[:4], 13: AROUND[4:6]}
OF_FOURS = {0: AROUND[4:], 4: AROUND, 8: AROUND, 12: AROUND[:4], 13: AROUND[4:6], 15: AROUND[2:4]}
OF_LOW_DELAY = {4: AROUND[:4], 8: AROUND[:4], 12: AROUND[:4]}
OF_PAIRS = {0: AROUND[4:], 2: AROUND[2:], 4: AROUND, 13: AROUND[4:6], 15: AROUND[2:4]}


@pytest.mark.parametrize(
    ("structure", "wanted", "others"),
    [
        (Structure(8, is_fixed=True), OF_EIGHTS, {1, 2, 3, 5, 6, 7, 9, 10, 11}),
        (Structure(4, is_fixed=True), OF_FOURS, {1, 2, 3, 5, 6, 7, 9, 10, 11}),
        (Structure(2, is_fixed=True), OF_PAIRS, {1, 3, 5, 7, 9, 11}),
        (P_FRAMES, {}, set(range(16))),
        (LOW_DELAY, OF_LOW_DELAY, {0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15}),
    ],
)
def test_intra_frames_and_anchors_are_filtered_with_frames_of_their_gop(
    installed_model: InstalledModel,
    monkeypatch: pytest.MonkeyPatch,
    structure: Structure,
    wanted: dict[int, list[int]],
    others: set[int],
):
    fmt, frames = cropped(*city_frames(16), 64, 48)
    spy = Spy(monkeypatch, frames)
    settings = EncoderSettings(32, 13, CPU, torch.float32, structure=structure)
    Encoder(installed_model, fmt, settings).results(iter(frames))
    assert {number: spy.neighbours[number] for number in wanted} == wanted
    assert not any(spy.neighbours[number] for number in others)


def test_psnr_is_that_of_the_source(installed_model: InstalledModel):
    fmt, frames = cropped(*city_frames(9), 128, 96)
    random = np.random.default_rng(5)
    frames = [
        replace(f, y=(f.y + random.integers(-6, 7, f.y.shape)).clip(0, 255).astype(np.uint8))
        for f in frames
    ]
    settings = EncoderSettings(40, 96, CPU, torch.float32, structure=Structure(8, is_fixed=True))
    encoder = Encoder(installed_model, fmt, settings)
    coded = {frame.source.number: frame for frame in encoder.coded_frames(iter(frames))}
    found = {
        r.number: r.psnr for r in Encoder(installed_model, fmt, settings).results(iter(frames))
    }
    for number, frame in coded.items():
        assert found[number] == pytest.approx(frame_psnr(frames[number], frame.shown).yuv)
