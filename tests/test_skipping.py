"""Positions at which the prediction stands as it is."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from codec_clips import city_frames, tiny_model
from torch import Tensor

from neuralcodec.encoder.frame_encoder import FrameEncoder, FrameTask
from neuralcodec.metrics import frame_psnr
from neuralcodec.model.exact import exact_float32
from neuralcodec.model.model_file import load_model
from neuralcodec.model.recurrence import Recurrence, State
from neuralcodec.model.skip_choice import choose_skipped
from neuralcodec.model.skip_prior import AREA, SkipContext, SkipPrior, whole_areas
from neuralcodec.model.skipping import with_skipped
from neuralcodec.references import chain
from neuralcodec.video import Frame, VideoFormat

SIDE = 96


def state(seed: int, rows: int = 2, columns: int = 3) -> State:
    torch.manual_seed(seed)
    return State(
        torch.rand(1, 1, 16 * rows, 16 * columns),
        torch.rand(1, 2, 8 * rows, 8 * columns),
        torch.rand(1, 4, 2 * rows, 2 * columns),
        torch.rand(1, 5, rows, columns),
    )


def test_a_skipped_position_shows_the_prediction_sample_for_sample_and_no_other_does():
    coded, still = state(1), state(2)
    skipped = torch.tensor([[[[1.0, 0, 0], [0, 0, 1]]]])
    shown = with_skipped(coded, still, skipped)
    for part, side in (("y", 16), ("uv", 8), ("feature", 2), ("latent", 1)):
        there = skipped.repeat_interleave(side, 2).repeat_interleave(side, 3) > 0
        expected = torch.where(there, getattr(still, part), getattr(coded, part))
        assert torch.equal(getattr(shown, part), expected)


def test_positions_are_skipped_where_that_is_no_worse():
    source = state(0)
    near = replace(source, y=source.y + 0.1)
    far = replace(source, y=source.y - 0.2)
    of_source = source.y, source.uv
    assert choose_skipped(far, near, of_source).all()
    assert choose_skipped(near, near, of_source).all()
    assert not choose_skipped(near, far, of_source).any()
    partly = replace(near, y=torch.where(torch.arange(48) < 16, near.y, far.y))
    expected = torch.tensor([[[[1.0, 0, 0], [1, 0, 0]]]])
    assert torch.equal(choose_skipped(near, partly, of_source), expected)


def test_an_area_at_the_border_is_whole_if_what_there_is_of_it_is():
    skipped = torch.zeros(1, 1, AREA + 1, AREA + 2)
    skipped[..., AREA:, AREA:] = 1
    skipped[..., 1, :] = 1
    assert torch.equal(whole_areas(skipped), torch.tensor([[[[0.0, 0], [0, 1]]]]))


def context(batch: int, rows: int, columns: int) -> SkipContext:
    generator = torch.Generator().manual_seed(5)

    def draw(low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=generator).float()

    return SkipContext(
        draw(0, 64, batch),
        draw(-60, 61, batch, 5, 2 * rows, 2 * columns).clamp(min=0),
        draw(0, 5, batch),
        draw(-8, 9, batch, 2),
        draw(0, 80, batch, rows, columns, 2) / 16,
        draw(0, 2, batch, 2, rows, columns),
    )


def test_every_position_is_asked_once_or_lies_in_a_skipped_area_and_sees_nothing_to_come():
    """What is said later changes no chance before."""
    torch.manual_seed(3)
    prior, table = SkipPrior(), tiny_model().log_table
    skipped = torch.zeros(1, 1, 7, 9)
    skipped[..., :4, :4] = 1
    skipped[..., 5, 2:8:2] = 1
    with torch.no_grad(), exact_float32("cpu"):
        steps = list(prior.walk(skipped, context(1, 7, 9), table))
        asked = sum(step.asked[0].int() for step in steps if not step.is_area)
        inside = skipped[0, 0, :4, :4].bool()
        assert (asked[:4, :4] == 0).all() and inside.all()
        assert (asked[4:] == 1).all() and (asked[:4, 4:] == 1).all()
        # the second half of the positions, which comes last
        late = steps[-1].asked[0] & (skipped[0, 0] == 0)
        other = skipped.clone()
        other[0, 0, 6][late[6]] = 1
        again = list(prior.walk(other, context(1, 7, 9), table))
        for step, same in zip(steps, again, strict=True):
            assert torch.equal(step.indices, same.indices)


@pytest.mark.parametrize("quality", [8, 32])
def test_a_still_picture_does_not_fade(quality: int):
    frame = city_frames(1)[1][0]
    y, half = frame.y[:SIDE, :SIDE], SIDE // 2
    cut = [np.ascontiguousarray(p) for p in (y, frame.u[:half, :half], frame.v[:half, :half])]
    fmt = VideoFormat(SIDE, SIDE, Fraction(1, 25))
    encoder = FrameEncoder(load_model("fast").model, fmt, torch.device("cpu"), torch.float32)
    left: Recurrence | None = None
    psnr = []
    for t in range(16):
        references = None if left is None else (left, left)
        q = quality + 12 * (t == 0)
        task = FrameTask(frame=Frame(*cut, t), q=q, place=chain(t), references=references)
        [coded] = encoder.encode([task])
        left = coded.recurrence
        psnr.append(frame_psnr(task.frame, coded.shown).y)
    assert psnr[-1] > psnr[1] - 0.1
