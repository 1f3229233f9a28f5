"""Where GOPs begin: at most so many frames, and a new one where prediction breaks down."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from codec_clips import CPU, city_frames, cropped

from neuralcodec.decoder.decoder import Decoder, DecoderSettings
from neuralcodec.encoder import lookahead
from neuralcodec.encoder.encoder import Encoder
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.encoder.frame_encoder import EncodedFrame, FrameEncoder, FrameTask
from neuralcodec.encoder.gop_structure import INTRA_BONUS, RecurrenceWatch, frame_quality
from neuralcodec.encoder.scene_cuts import JudgedFrame
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.video import Frame


def test_intra_frames_get_more_quality_within_the_range():
    assert [frame_quality(30, t) for t in range(3)] == [30 + INTRA_BONUS, 30, 30]
    assert frame_quality(63, 0) == 63


def test_at_the_lowest_quality_intra_frames_get_no_more_than_others():
    assert [frame_quality(-INTRA_BONUS, t) for t in range(3)] == [0, 0, 0]


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 4, 5, 8, 12, 13])
def test_every_frame_is_in_one_gop_whatever_the_batch(count: int, batch: int):
    batches = batches_of(count, cuts=(), batch=batch)
    gops = [gop for gops in batches for gop in gops if gop]
    assert [n for gop in gops for n in gop] == list(range(count))
    assert all(len(gop) == 4 for gop in gops[:-1])
    assert all(len(gops) <= batch for gops in batches)


def batches_of(count: int, cuts: Sequence[int], batch: int) -> list[list[list[int]]]:
    """Numbers of frames, in GOPs of at most 4."""
    _, [frame] = city_frames(1)
    judged = (JudgedFrame(replace(frame, pts=n), n in cuts, 1.0, 1.0) for n in range(count))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lookahead, "judge_frames", lambda frames, gop: judged)
        sources = lookahead.look_ahead(iter(()), 4, batch, scene_cuts=True)
        batches = lookahead.split_batches(sources, 4, batch)
        return [[[source.number for source in one] for one in b] for b in batches]


def test_one_by_one_a_gop_ends_at_a_cut_and_the_count_begins_anew():
    assert batches_of(9, cuts=(2, 3), batch=1) == [[[0, 1]], [[2]], [[3, 4, 5, 6]], [[7, 8]]]


def test_side_by_side_a_cut_does_not_move_the_ends_of_the_sequences():
    assert batches_of(9, cuts=(2,), batch=2) == [[[0, 1, 2, 3], [4, 5, 6, 7]], [[8]]]


def test_a_slow_loss_is_no_breakdown_but_a_sudden_one_is():
    watch = RecurrenceWatch()
    assert not any(watch.is_suspicious(40 * 1.004**t) for t in range(96))
    assert watch.is_suspicious(120.0)
    assert watch.settle(120.0, 40.0)


def test_a_first_inter_frame_far_worse_than_its_intra_frame_is_a_breakdown():
    assert not RecurrenceWatch(40.0).is_suspicious(110.0)
    assert RecurrenceWatch(40.0).is_suspicious(130.0)


def test_losing_the_higher_quality_of_the_intra_frame_is_no_breakdown():
    watch = RecurrenceWatch(40.0)  # which had 15 itself
    assert not any(watch.is_suspicious(error) for error in (16.0, 25.0, 40.0, 60.0))
    assert watch.is_suspicious(70.0)


def test_a_picture_that_is_harder_to_code_is_tried_once_only():
    watch = RecurrenceWatch()
    watch.is_suspicious(40.0)
    assert watch.is_suspicious(90.0)
    assert not watch.settle(90.0, 80.0)
    assert not watch.is_suspicious(95.0)


@pytest.mark.parametrize("batch", [1, 2])
def test_no_frame_is_predicted_across_a_cut(batch: int, installed_model: InstalledModel):
    fmt, frames = cropped(*city_frames(12), 208, 144)
    upside_down = [Frame(f.y[::-1], f.u[::-1], f.v[::-1], f.pts) for f in frames]
    frames[5:] = upside_down[5:]
    settings = EncoderSettings(32, 6, batch, CPU, torch.float32, scene_cuts=True)
    gops = list(Encoder(installed_model, fmt, settings).gops(iter(frames)))
    starts = [gop.record.first_frame for gop in gops]
    assert starts == ([0, 5, 11] if batch == 1 else [0, 5, 6])

    decoder = Decoder(installed_model, fmt, DecoderSettings(1, CPU, torch.float32), "clip")
    shown = list(decoder.frames(gop.record for gop in gops))
    for source, picture in zip(frames, shown, strict=True):
        assert np.abs(source.y.astype(int) - picture.y).mean() < 12


@pytest.mark.parametrize("batch", [1, 2])
def test_where_prediction_breaks_down_a_new_gop_begins(
    batch: int, installed_model: InstalledModel, monkeypatch: pytest.MonkeyPatch
):
    fmt, frames = cropped(*city_frames(12), 64, 48)
    healthy = FrameEncoder.encode
    steps = 0

    def encode(self: FrameEncoder, tasks: Sequence[FrameTask]) -> list[EncodedFrame]:
        nonlocal steps
        steps += 1
        if steps == 4:
            assert tasks[0].before is not None
            state = tasks[0].before.state
            state.feature[:] = 1e4
            state.y[:] = torch.rand_like(state.y)
        return healthy(self, tasks)

    monkeypatch.setattr(FrameEncoder, "encode", encode)
    settings = EncoderSettings(32, 6, batch, CPU, torch.float32)
    encoder = Encoder(installed_model, fmt, settings)
    gops = list(encoder.gops(iter(frames)))
    assert [len(gop.record.frames) for gop in gops] == [3, 3, 6]
    assert [gop.record.first_frame for gop in gops] == [0, 3, 6]

    decoder = Decoder(installed_model, fmt, DecoderSettings(1, CPU, torch.float32), "clip")
    shown = list(decoder.frames(gop.record for gop in gops))
    assert [f.pts for f in shown] == [f.pts for f in frames]
    for source, picture in zip(frames, shown, strict=True):
        assert np.abs(source.y.astype(int) - picture.y).mean() < 12
