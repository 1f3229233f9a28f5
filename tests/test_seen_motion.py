"""What the look-ahead saw of motion is where the search begins."""

import numpy as np
import pytest
import torch
from test_motion_search import Q, share, texture

from neuralcodec.encoder.lookahead import SourceFrame, look_ahead
from neuralcodec.encoder.motion.frame_motion import choose_motion
from neuralcodec.encoder.motion.seen_motion import SeenMotion
from neuralcodec.encoder.presets import MEDIUM
from neuralcodec.encoder.structure.mini_gops import Structure
from neuralcodec.encoder.structure.structure_choice import StructureChoice
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.model.motion_prior import MotionSetting
from neuralcodec.video import Frame

HEIGHT, WIDTH, SPEED = 144, 400, 20  # samples to the left from frame to frame


def moving_frames(count: int) -> list[Frame]:
    big = (texture(HEIGHT, WIDTH + SPEED * count)[0, 0] * 255).round().byte().numpy()
    grey = np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8)
    views = (big[:, SPEED * t : SPEED * t + WIDTH] for t in range(count))
    return [Frame(np.ascontiguousarray(y), grey, grey, t) for t, y in enumerate(views)]


def seen_in(size: int) -> list[SourceFrame]:
    choice = StructureChoice(Structure(size, is_fixed=True))
    return list(look_ahead(iter(moving_frames(size + 1)), 96, False, choice))


def test_each_frame_knows_its_motion_to_what_its_mini_gop_refers_it_to():
    sources = seen_in(8)
    seen = [source.motion for source in sources[1:]]
    distances = [(1, -1), (2, -2), (1, -1), (4, -4), (1, -1), (2, -2), (1, -1), (8,)]
    rows, columns = HEIGHT // 16, WIDTH // 16
    for motion, expected in zip(seen, distances, strict=True):
        assert motion is not None and tuple(motion.fields) == expected
        for away in expected:
            inner = motion.toward(away, rows, columns)[1:-1, 10:-10]
            assert np.median(inner, (0, 1)).tolist() == [4 * SPEED * away, 0]
    assert sources[0].motion is None


def test_where_nothing_was_seen_motion_is_taken_to_be_even():
    field = np.full((2, 3, 2), (6, -4))
    seen = SeenMotion({4: field, -4: -field}, scale=2)
    for away, (x, y) in ((4, (12, -8)), (8, (24, -16)), (2, (6, -4)), (-1, (-3, 2))):
        assert (seen.toward(away, 2, 3) == [x, y]).all()


def test_blocks_of_small_pictures_of_any_scale_lie_where_they_were():
    numbers = np.arange(12).reshape(2, 3, 2)
    for scale, rows, columns in ((1, 1, 2), (2, 2, 3), (4, 4, 6)):
        found = SeenMotion({1: numbers}, scale).toward(1, rows, columns)
        assert found.shape == (rows, columns, 2)
        assert (found[0, 0] == 2 * numbers[0, 0]).all() or scale == 1
        assert (found[-1, -1] == 2 * numbers[-1, -1]).all()


@pytest.mark.parametrize("is_seen", [False, True])
def test_motion_further_than_a_search_reaches_is_found_where_it_was_seen(
    is_seen: bool, installed_model: InstalledModel
):
    """At distance 8, 160 samples; the search alone reaches 96."""
    first, last = (
        torch.from_numpy(frame.y)[None, None].float() / 255 for frame in moving_frames(9)[::8]
    )
    motion = seen_in(8)[-1].motion
    assert motion is not None
    seen = torch.from_numpy(motion.toward(8, HEIGHT // 16, WIDTH // 16))[None, None]
    temporal = torch.zeros(1, 5, HEIGHT // 8, WIDTH // 8)
    setting = MotionSetting(temporal, torch.tensor([[8, 8]]), torch.tensor([0]), Q)
    found = choose_motion(
        installed_model.model,
        last,
        (first, first),
        setting,
        MEDIUM,
        seen.expand(1, 2, -1, -1, -1) if is_seen else None,
    )
    inside = found[:, 1:3, 2:-2, 2 : (WIDTH - 8 * SPEED - 32) // 8]
    assert (share(inside, (4 * 8 * SPEED, 0)) > 0.9) == is_seen
