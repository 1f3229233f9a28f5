"""The intra frame of a GOP gets as much quality as pays, tried on the frames that lean on it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from codec_clips import CPU, city_frames, cropped

import neuralcodec
from neuralcodec.codec.decoder import Decoder, DecoderSettings
from neuralcodec.codec.encoder import CodedGop, Encoder, EncoderSettings
from neuralcodec.codec.gop_structure import INTRA_BONUS, Lookahead, PlacedFrame
from neuralcodec.codec.gop_trials import BonusTrials
from neuralcodec.codec.presets import MEDIUM, PRESETS, Effort
from neuralcodec.codec.rate_control import FrameCost
from neuralcodec.codec.rate_first_pass import Trials, survey
from neuralcodec.codec.rate_target import RateKind, RateTarget
from neuralcodec.media import open_writer
from neuralcodec.metrics import frame_psnr, psnr_yuv
from neuralcodec.model.zoo import InstalledModel
from neuralcodec.video import Frame, VideoFormat

QUALITY, GOP = 16, 6
BONUSES = (4, 12, 20)
TRYING = Effort(gop_trials=BONUSES, trial_frames=GOP)
Clip = tuple[VideoFormat, list[Frame]]


@pytest.fixture(scope="module")
def still() -> Clip:
    fmt, frames = cropped(*city_frames(1), 64, 48)
    return fmt, [replace(frames[0], pts=t) for t in range(GOP)]


@pytest.fixture(scope="module")
def restless(still: Clip) -> Clip:
    """No frame has anything to do with another."""
    fmt, _ = still
    rng = np.random.default_rng(4)

    def noise(width: int, height: int) -> np.ndarray:
        cells = rng.integers(16, 236, (height // 4, width // 4)).astype(np.uint8)
        return cells.repeat(4, 0).repeat(4, 1)

    return fmt, [Frame(noise(64, 48), noise(32, 24), noise(32, 24), t) for t in range(GOP)]


@pytest.fixture(scope="module")
def mixed(still: Clip, restless: Clip) -> Clip:
    """Two GOPs of the one kind, then one of the other."""
    frames = [*still[1], *still[1], *restless[1]]
    return still[0], [replace(f, pts=t) for t, f in enumerate(frames)]


def coded(installed: InstalledModel, clip: Clip, effort: Effort, batch: int = 1) -> list[CodedGop]:
    fmt, frames = clip
    settings = EncoderSettings(QUALITY, GOP, batch, CPU, torch.float32, effort=effort)
    return list(Encoder(installed, fmt, settings).gops(iter(frames)))


def intra_bonuses(gops: Sequence[CodedGop]) -> list[int]:
    assert all(f.q == QUALITY for g in gops for f in g.record.frames[1:])
    return [g.record.frames[0].q - QUALITY for g in gops]


def test_an_intra_frame_gets_more_where_the_frames_after_it_live_on_it(
    mixed: Clip, installed_model: InstalledModel
):
    first, second, last = intra_bonuses(coded(installed_model, mixed, TRYING))
    assert first == second == max(BONUSES)
    assert last == min(BONUSES)


def test_what_is_chosen_saves_bits_at_the_same_picture(
    still: Clip, installed_model: InstalledModel
):
    def bits_and_psnr(effort: Effort, quality: int) -> tuple[int, float]:
        fmt, frames = still
        settings = EncoderSettings(quality, GOP, 1, CPU, torch.float32, effort=effort)
        [gop] = Encoder(installed_model, fmt, settings).gops(iter(frames))
        bits = 8 * sum(len(f.payload) for f in gop.record.frames)
        return bits, float(np.mean([psnr_yuv(*planes) for planes in gop.stats.psnr]))

    usual, picture = bits_and_psnr(Effort(), QUALITY + 8)
    tried, better_picture = bits_and_psnr(TRYING, QUALITY)
    assert tried < usual
    assert better_picture > picture


@pytest.mark.parametrize("batch", [2, 3])
def test_the_choice_is_the_same_for_any_batch(
    batch: int, mixed: Clip, installed_model: InstalledModel
):
    alone = coded(installed_model, mixed, TRYING)
    together = coded(installed_model, mixed, TRYING, batch)
    assert intra_bonuses(together) == intra_bonuses(alone)


def test_a_cut_within_a_sequence_begins_a_gop_with_a_choice_of_its_own(
    still: Clip, restless: Clip, installed_model: InstalledModel
):
    fmt = still[0]
    frames = [replace(f, pts=t) for t, f in enumerate([*restless[1][:3], *still[1][:5]])]
    settings = EncoderSettings(QUALITY, 8, 2, CPU, torch.float32, effort=TRYING)
    encoder = Encoder(installed_model, fmt, settings)
    placed = (PlacedFrame(f, t, t in (0, 3)) for t, f in enumerate(frames))
    by_networks = list(encoder._run_networks(placed))
    assert [f.position for f in by_networks] == [0, 1, 2, 0, 1, 2, 3, 4]
    assert by_networks[0].q == QUALITY + min(BONUSES)
    assert by_networks[3].q == QUALITY + max(BONUSES)


def test_a_decoder_shows_what_the_encoder_recorded(mixed: Clip, installed_model: InstalledModel):
    fmt, frames = mixed
    gops = coded(installed_model, mixed, TRYING)
    decoder = Decoder(installed_model, fmt, DecoderSettings(1, CPU, torch.float32), "clip.nlc")
    shown = decoder.frames([g.record for g in gops])
    measured = [frame_psnr(a, b) for a, b in zip(frames, shown, strict=True)]
    recorded = [planes for g in gops for planes in g.stats.psnr]
    assert [(p.y, p.u, p.v) for p in measured] == recorded


@pytest.mark.parametrize(
    ("quality", "frames", "chosen"), [(-3, GOP, INTRA_BONUS), (16, 1, INTRA_BONUS), (63, GOP, 20)]
)
def test_nothing_is_tried_where_nothing_can_be_gained(
    quality: int, frames: int, chosen: int, still: Clip, installed_model: InstalledModel
):
    fmt, sequence = still
    trials = BonusTrials(installed_model, fmt, CPU, torch.float32, TRYING)
    trials._cost = None  # type: ignore[assignment, method-assign]
    assert trials.choose(sequence[:frames], quality) == chosen


def test_looking_ahead_ends_with_the_gop_and_reads_no_more_than_asked_for():
    _, [frame] = city_frames(1)
    read = 0

    def source() -> Iterator[PlacedFrame]:
        nonlocal read
        for number in range(9):
            read += 1
            yield PlacedFrame(replace(frame, pts=number), number, number in (0, 5))

    frames = Lookahead(source())
    assert next(frames).number == 0
    assert [f.pts for f in frames.rest_of_gop(2)] == [1, 2]
    assert read == 3
    assert [f.pts for f in frames.rest_of_gop(2)] == [1, 2]
    assert read == 3
    assert [f.pts for f in frames.rest_of_gop(20)] == [1, 2, 3, 4]
    assert [p.number for p in frames] == list(range(1, 9))
    assert frames.rest_of_gop(2) == []


class Recorder:
    """A control that always wants the same."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.told: list[FrameCost] = []

    def quality(self, frame: PlacedFrame) -> int:
        self.asked.append(frame.number)
        return QUALITY

    def observe(self, cost: FrameCost) -> None:
        self.told.append(cost)


def test_rate_control_is_asked_once_for_each_frame_and_told_of_no_trial(
    mixed: Clip, installed_model: InstalledModel
):
    fmt, frames = mixed
    control = Recorder()
    settings = EncoderSettings(0, GOP, 1, CPU, torch.float32, effort=TRYING)
    steered = list(Encoder(installed_model, fmt, settings, control).gops(iter(frames)))
    assert control.asked == list(range(len(frames)))
    assert [c.number for c in control.told] == control.asked[: len(control.told)]
    assert {c.quality for c in control.told} == {QUALITY}
    assert steered == coded(installed_model, mixed, TRYING)


def test_the_first_pass_tries_nothing(still: Clip, installed_model: InstalledModel):
    fmt, frames = still
    settings = EncoderSettings(0, GOP, 1, CPU, torch.float32, effort=TRYING)
    seen = survey(iter(frames), fmt, settings)
    plans = []
    for effort in (TRYING, replace(TRYING, gop_trials=())):
        trials = Trials(installed_model, fmt, replace(settings, effort=effort), seen)
        trials.plan_bits(5000)
        plans.append(trials.costs)
    assert plans[0] == plans[1]


def test_a_target_is_met_although_intra_frames_cost_more_than_planned(mixed: Clip, tmp_path: Path):
    fmt, frames = mixed
    source = tmp_path / "source.y4m"
    with open_writer(source, fmt) as writer:
        for frame in frames * 2:
            writer.write(frame)
    target = RateTarget(RateKind.SIZE, 16_000.0)
    done = neuralcodec.encode(source, tmp_path / "a.nlc", rate=target, gop=GOP, preset="slow")
    assert done.rate is not None
    assert done.rate.achieved == pytest.approx(target.value, rel=0.08)


def test_slow_and_placebo_try_and_the_others_do_not():
    assert not PRESETS["fast"].gop_trials and not MEDIUM.gop_trials
    slow, placebo = PRESETS["slow"], PRESETS["placebo"]
    assert INTRA_BONUS in slow.gop_trials and set(slow.gop_trials) < set(placebo.gop_trials)
    assert 1 < slow.trial_frames < placebo.trial_frames
