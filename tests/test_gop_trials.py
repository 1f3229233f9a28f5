"""The intra frame of a GOP gets as much quality as pays, tried on the frames that lean on it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from codec_clips import CPU, city_frames, cropped, source_frame

from neuralcodec.decoder.decoder import Decoder, DecoderSettings
from neuralcodec.encoder.encoder import CodedGop, Encoder
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.encoder.gop_structure import INTRA_BONUS
from neuralcodec.encoder.gop_trials import LAMBDA_FACTOR, BonusTrials
from neuralcodec.encoder.lookahead import SequenceReader, SourceFrame
from neuralcodec.encoder.presets import MEDIUM, PRESETS, Effort
from neuralcodec.encoder.quality_control import FrameResult, TryIntra
from neuralcodec.metrics import frame_psnr
from neuralcodec.model.distortion import CHROMA_WEIGHT, LUMA_WEIGHT
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.rate.first_pass import survey
from neuralcodec.rate.trials import SampleCoder, Trials
from neuralcodec.rate.two_pass import PlannedBits
from neuralcodec.video import Frame, VideoFormat

QUALITY, GOP = 16, 4
BONUSES = (4, 12, 20)
TRYING = Effort(gop_trials=BONUSES, trial_frames=GOP)
Clip = tuple[VideoFormat, list[Frame]]


@pytest.fixture(scope="module")
def still() -> Clip:
    fmt, frames = cropped(*city_frames(1), 48, 32)
    return fmt, [replace(frames[0], pts=t) for t in range(GOP)]


@pytest.fixture(scope="module")
def restless(still: Clip) -> Clip:
    """No frame has anything to do with another."""
    _, [whole] = city_frames(1)

    def part(plane: np.ndarray, step: int, t: int) -> np.ndarray:
        top, left = 40 * t // step, 80 * t // step
        cut = plane[top : top + 32 // step, left : left + 48 // step]
        return np.ascontiguousarray(cut[:: 1 - 2 * (t % 2)])

    y, u, v = whole.planes
    return still[0], [Frame(part(y, 1, t), part(u, 2, t), part(v, 2, t), t) for t in range(GOP)]


@pytest.fixture(scope="module")
def mixed(still: Clip, restless: Clip) -> Clip:
    """A GOP of the one kind, then one of the other."""
    frames = [*still[1], *restless[1]]
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
    lasting, passing = intra_bonuses(coded(installed_model, mixed, TRYING))
    assert lasting == max(BONUSES)
    assert passing < lasting


def test_what_is_chosen_is_what_costs_least(restless: Clip, installed_model: InstalledModel):
    fmt, _ = restless
    config = installed_model.model.config
    weight = LAMBDA_FACTOR * float(config.quality_lambdas(torch.tensor(float(QUALITY))))

    def cost(bonus: int) -> float:
        [gop] = coded(installed_model, restless, replace(TRYING, gop_trials=(bonus,)))
        assert intra_bonuses([gop]) == [bonus]
        bits = 8 * sum(len(f.payload) for f in gop.record.frames)
        errors = [[10 ** (-db / 10) for db in planes] for planes in gop.stats.psnr]
        error = sum(LUMA_WEIGHT * y + CHROMA_WEIGHT * (u + v) / 2 for y, u, v in errors)
        return bits + weight * fmt.width * fmt.height * error

    chosen = intra_bonuses(coded(installed_model, restless, TRYING))
    assert chosen == [min(BONUSES, key=cost)]


def test_the_choice_is_the_same_for_any_batch(mixed: Clip, installed_model: InstalledModel):
    alone = coded(installed_model, mixed, TRYING)
    together = coded(installed_model, mixed, TRYING, batch=2)
    assert intra_bonuses(together) == intra_bonuses(alone)


def test_a_cut_within_a_sequence_begins_a_gop_with_a_choice_of_its_own(
    still: Clip, restless: Clip, installed_model: InstalledModel
):
    fmt = still[0]
    frames = [replace(f, pts=t) for t, f in enumerate([*restless[1][:3], *still[1]])]
    settings = EncoderSettings(QUALITY, 7, 2, CPU, torch.float32, effort=TRYING)
    encoder = Encoder(installed_model, fmt, settings)
    placed = (source_frame(f, t, t in (0, 3)) for t, f in enumerate(frames))
    by_networks = list(encoder._run_networks(placed))
    assert [f.position for f in by_networks] == [0, 1, 2, 0, 1, 2, 3]
    assert by_networks[0].q < by_networks[3].q == QUALITY + max(BONUSES)


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

    def source() -> Iterator[SourceFrame]:
        nonlocal read
        for number in range(9):
            read += 1
            yield source_frame(replace(frame, pts=number), number, number in (0, 5))

    frames = SequenceReader(source())
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

    frames_ahead = 0

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.told: list[FrameResult] = []

    def quality(self, frame: SourceFrame, try_intra: TryIntra) -> int:
        self.asked.append(frame.number)
        return QUALITY

    def observe(self, cost: FrameResult) -> None:
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
    samples = []
    for effort in (TRYING, replace(TRYING, gop_trials=())):
        code = SampleCoder(installed_model, fmt, replace(settings, effort=effort))
        samples.append([code(segment, 20) for segment in seen.segments])
    assert samples[0] == samples[1]


def test_a_target_is_met_although_intra_frames_cost_more_than_planned(
    installed_model: InstalledModel,
):
    fmt, frames = cropped(*city_frames(24), 48, 32)
    settings = EncoderSettings(0, 8, 1, CPU, torch.float32, effort=TRYING)
    budget = 24_000.0
    seen = survey(iter(frames), fmt, settings)
    trials = Trials(SampleCoder(installed_model, fmt, settings), seen, fmt.width * fmt.height)
    control = PlannedBits(trials.plan_bits(budget))
    costs = Encoder(installed_model, fmt, settings, control).results(iter(frames))
    assert sum(c.bits for c in costs) == pytest.approx(budget, rel=0.08)  # of 24 frames


def test_slow_and_placebo_try_and_the_others_do_not():
    assert not PRESETS["fast"].gop_trials and not MEDIUM.gop_trials
    slow, placebo = PRESETS["slow"], PRESETS["placebo"]
    assert INTRA_BONUS in slow.gop_trials and set(slow.gop_trials) < set(placebo.gop_trials)
    assert 1 < slow.trial_frames < placebo.trial_frames
