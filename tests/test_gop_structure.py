"""Where GOPs begin: at most so many frames, and a new one where prediction breaks down."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from codec_clips import CPU, city_frames, cropped

from neuralcodec.decoder.decoder import Decoder, DecoderSettings
from neuralcodec.encoder import lookahead
from neuralcodec.encoder.encoder import Encoder
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.encoder.frame_encoder import EncodedFrame, FrameEncoder, FrameTask
from neuralcodec.encoder.scene_cuts import LOOKAHEAD, JudgedFrame
from neuralcodec.encoder.structure.gop_structure import (
    BONUS_BEFORE,
    INTRA_BONUS,
    LOW_DELAY_OFFSETS,
    LOWEST,
    OFFSETS,
    RecurrenceWatch,
    frame_quality,
)
from neuralcodec.encoder.structure.mini_gops import LOW_DELAY, P_FRAMES, SIZES, GopOrder, Structure
from neuralcodec.encoder.structure.structure_choice import StructureChoice
from neuralcodec.model.config import HIGHEST_Q, LOWEST_Q, QUALITIES
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.video import Frame, VideoFormat

ALL_OFFSETS = [
    *(INTRA_BONUS, *BONUS_BEFORE.values(), *LOW_DELAY_OFFSETS),
    *(offset for each in OFFSETS.values() for offset in each),
]


def test_intra_frames_get_more_quality_within_the_range():
    assert [frame_quality(30, INTRA_BONUS), frame_quality(30)] == [30 + INTRA_BONUS, 30]
    assert frame_quality(HIGHEST_Q, INTRA_BONUS) == HIGHEST_Q


def test_no_offset_is_cut_where_qualities_can_be_asked_for():
    asked = range(QUALITIES)
    assert {frame_quality(q, offset) - q - offset for q in asked for offset in ALL_OFFSETS} == {0}


def test_at_the_lowest_quality_all_frames_have_the_lowest_q():
    assert {frame_quality(LOWEST, offset) for offset in ALL_OFFSETS} == {LOWEST_Q}


@pytest.mark.parametrize("count", [1, 4, 5, 8, 12, 13])
def test_every_frame_is_in_one_gop(count: int):
    gops = gops_of(count, cuts=())
    assert [n for gop in gops for mini_gop in gop for n in mini_gop] == list(range(count))
    lengths = [sum(map(len, gop)) for gop in gops]
    assert lengths[:-1] == [4] * (len(lengths) - 1)


def gops_of(
    count: int, cuts: Sequence[int], gop: int = 4, structure: Structure = P_FRAMES
) -> list[list[list[int]]]:
    """Numbers of frames, in mini-GOPs, in GOPs."""
    _, [frame] = city_frames(1)
    judged = (JudgedFrame(replace(frame, pts=n), n in cuts, 1.0, 1.0) for n in range(count))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lookahead, "judge_frames", lambda *_: judged)
        sources = lookahead.look_ahead(
            iter(()), gop, scene_cuts=True, choice=StructureChoice(structure)
        )
        gops: list[list[list[int]]] = []
        for mini_gop in lookahead.MiniGopReader(sources):
            if mini_gop[0].begins_gop:
                assert len(mini_gop) == 1
                gops.append([])
            gops[-1].append([source.number for source in mini_gop])
        return gops


def test_a_gop_ends_at_a_cut_and_the_count_begins_anew():
    assert gops_of(9, cuts=(2, 3)) == [[[0], [1]], [[2]], [[3], [4], [5], [6]], [[7], [8]]]


def test_at_the_end_of_a_gop_mini_gops_become_smaller():
    fixed = Structure(8, is_fixed=True)
    [first, second] = gops_of(20, cuts=(16,), gop=96, structure=fixed)
    assert [len(mini_gop) for mini_gop in first] == [1, 8, 4, 2, 1]
    assert [len(mini_gop) for mini_gop in second] == [1, 2, 1]


@pytest.mark.parametrize("structure", [P_FRAMES, LOW_DELAY, *(Structure(n, True) for n in SIZES)])
def test_a_frame_knows_the_level_at_which_it_is_coded(structure: Structure):
    _, [frame] = city_frames(1)
    frames = (replace(frame, pts=n) for n in range(40))
    placed = lookahead.look_ahead(frames, 96, scene_cuts=False, choice=StructureChoice(structure))
    order, first = GopOrder(structure.low_delay), 0
    for mini_gop in lookahead.MiniGopReader(placed):
        if mini_gop[0].begins_gop:
            continue
        first = mini_gop[0].number
        steps = [step for batch in order.add(len(mini_gop)) for step in batch]
        found = {source.number: source.info.level for source in mini_gop}
        assert found == {step.place.shown: step.place.level for step in steps}
        assert all(source.info.mini_gop == len(mini_gop) for source in mini_gop)
    assert first + structure.largest > 32


@pytest.mark.parametrize(
    ("structure", "window", "most"),
    [
        (LOW_DELAY, 0, 0),
        (LOW_DELAY, 24, 0),
        (P_FRAMES, 0, LOOKAHEAD),
        (Structure(8), 0, 7 + LOOKAHEAD),
    ],
)
def test_a_frame_waits_for_few_later_ones(structure: Structure, window: int, most: int):
    _, frames = city_frames(1)
    read = 0

    def source() -> Iterator[Frame]:
        nonlocal read
        for number in range(40):
            read += 1
            yield replace(frames[0], pts=number)

    choice = StructureChoice(structure)
    placed = lookahead.look_ahead(source(), 96, scene_cuts=True, choice=choice, window=window)
    waited = []
    for mini_gop in lookahead.MiniGopReader(placed):
        waited.append(read - 1 - mini_gop[0].number)
        assert not window or mini_gop[0].ahead == (mini_gop[0].info,)
    assert max(waited) == most


def test_of_large_pictures_fewer_frames_are_held():
    large = VideoFormat(7680, 4320, Fraction(1, 25))
    assert lookahead.fitting(Structure(16), large).largest == 4
    assert lookahead.fitting(Structure(16), replace(large, width=1920, height=1080)).largest == 16


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


@pytest.mark.parametrize("structure", [P_FRAMES, LOW_DELAY, Structure(4, is_fixed=True)], ids=str)
def test_no_frame_is_predicted_across_a_cut(structure: Structure, installed_model: InstalledModel):
    fmt, frames = cropped(*city_frames(12), 208, 144)
    upside_down = [Frame(f.y[::-1], f.u[::-1], f.v[::-1], f.pts) for f in frames]
    frames[5:] = upside_down[5:]
    settings = EncoderSettings(32, 6, CPU, torch.float32, scene_cuts=True, structure=structure)
    gops = list(Encoder(installed_model, fmt, settings).gops(iter(frames)))
    starts = [gop.record.first_frame for gop in gops]
    assert starts == [0, 5, 11]

    decoder = Decoder(installed_model, fmt, DecoderSettings(1, CPU, torch.float32), "clip")
    shown = list(decoder.frames(gop.record for gop in gops))
    for source, picture in zip(frames, shown, strict=True):
        assert np.abs(source.y.astype(int) - picture.y).mean() < 12


@pytest.mark.parametrize("structure", [P_FRAMES, LOW_DELAY], ids=str)
def test_where_prediction_breaks_down_a_new_gop_begins(
    structure: Structure, installed_model: InstalledModel, monkeypatch: pytest.MonkeyPatch
):
    fmt, frames = cropped(*city_frames(12), 64, 48)
    healthy = FrameEncoder.encode
    steps = 0

    def encode(self: FrameEncoder, tasks: Sequence[FrameTask]) -> list[EncodedFrame]:
        nonlocal steps
        steps += 1
        if steps == 4:
            for reference in tasks[0].references or ():
                reference.state.feature[:] = 1e4
                reference.state.y[:] = torch.rand_like(reference.state.y)
        return healthy(self, tasks)

    monkeypatch.setattr(FrameEncoder, "encode", encode)
    settings = EncoderSettings(32, 6, CPU, torch.float32, structure=structure)
    encoder = Encoder(installed_model, fmt, settings)
    gops = list(encoder.gops(iter(frames)))
    assert [len(gop.record.frames) for gop in gops] == [3, 3, 6]
    assert [gop.record.first_frame for gop in gops] == [0, 3, 6]

    decoder = Decoder(installed_model, fmt, DecoderSettings(1, CPU, torch.float32), "clip")
    shown = list(decoder.frames(gop.record for gop in gops))
    assert [f.pts for f in shown] == [f.pts for f in frames]
    for source, picture in zip(frames, shown, strict=True):
        assert np.abs(source.y.astype(int) - picture.y).mean() < 12
