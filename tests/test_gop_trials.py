"""The intra frame of a GOP gets as much quality as pays, tried on the frames that lean on it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from codec_clips import CPU, city_frames, cropped

from neuralcodec.decoder.decoder import Decoder, DecoderSettings
from neuralcodec.encoder.encoder import CodedGop, Encoder
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.encoder.frame_encoder import EncodedFrame, FrameEncoder, FrameTask
from neuralcodec.encoder.gop_trials import BonusTrials
from neuralcodec.encoder.lookahead import MiniGopReader, SourceFrame, look_ahead
from neuralcodec.encoder.presets import MEDIUM, PRESETS, Effort
from neuralcodec.encoder.quality_control import FrameResult, TryIntra
from neuralcodec.encoder.structure.gop_structure import BONUS_BEFORE, INTRA_BONUS
from neuralcodec.encoder.structure.mini_gops import LOW_DELAY, P_FRAMES, Structure
from neuralcodec.encoder.structure.structure_choice import StructureChoice
from neuralcodec.metrics import frame_psnr
from neuralcodec.model.distortion import CHROMA_WEIGHT, LUMA_WEIGHT
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.rate.first_pass import survey
from neuralcodec.rate.trials import SampleCoder, Trials
from neuralcodec.rate.two_pass import PlannedBits
from neuralcodec.references import Placement
from neuralcodec.video import Frame, VideoFormat

QUALITY, GOP = 40, 4
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


def coded(installed: InstalledModel, clip: Clip, effort: Effort) -> list[CodedGop]:
    fmt, frames = clip
    settings = EncoderSettings(QUALITY, GOP, CPU, torch.float32, effort=effort, structure=P_FRAMES)
    return list(Encoder(installed, fmt, settings).gops(iter(frames)))


def intra_bonuses(gops: Sequence[CodedGop]) -> list[int]:
    assert all(f.q == QUALITY for g in gops for f in g.record.frames[1:])
    return [g.record.frames[0].q - QUALITY for g in gops]


@pytest.mark.parametrize(
    ("structure", "bonus"),
    [
        (Structure(16), BONUS_BEFORE[16]),
        (Structure(8), BONUS_BEFORE[8]),
        (Structure(8, is_fixed=True), INTRA_BONUS),  # chosen by nobody who has looked
        (P_FRAMES, INTRA_BONUS),
        (LOW_DELAY, INTRA_BONUS),
    ],
)
def test_an_intra_frame_gets_more_before_a_large_mini_gop(
    structure: Structure, bonus: int, still: Clip, installed_model: InstalledModel
):
    fmt, frames = still
    whole = [replace(frames[0], pts=t) for t in range(17)]
    settings = EncoderSettings(QUALITY, 17, CPU, torch.float32, structure=structure)
    [gop] = Encoder(installed_model, fmt, settings).gops(iter(whole))
    assert gop.record.frames[0].q - QUALITY == bonus


def test_an_intra_frame_gets_more_where_the_frames_after_it_live_on_it(
    mixed: Clip, installed_model: InstalledModel
):
    lasting, passing = intra_bonuses(coded(installed_model, mixed, TRYING))
    assert passing < lasting


def test_what_is_chosen_is_what_costs_least(restless: Clip, installed_model: InstalledModel):
    fmt, _ = restless
    config = installed_model.model.config
    weight = float(config.quality_lambdas(torch.tensor(float(QUALITY))))

    def cost(bonus: int) -> float:
        [gop] = coded(installed_model, restless, replace(TRYING, gop_trials=(bonus,)))
        assert intra_bonuses([gop]) == [bonus]
        bits = 8 * sum(len(f.payload) for f in gop.record.frames)
        errors = [[10 ** (-db / 10) for db in planes] for planes in gop.stats.psnr]
        error = sum(LUMA_WEIGHT * y + CHROMA_WEIGHT * (u + v) / 2 for y, u, v in errors)
        return bits + weight * fmt.width * fmt.height * error

    chosen = intra_bonuses(coded(installed_model, restless, TRYING))
    assert chosen == [min(BONUSES, key=cost)]


@pytest.mark.parametrize("size", [2, 4, 8])
def test_trials_follow_the_structure_of_the_gop(
    size: int, installed_model: InstalledModel, monkeypatch: pytest.MonkeyPatch
):
    fmt, frames = cropped(*city_frames(10), 48, 32)
    structure = Structure(size, is_fixed=True)
    settings = EncoderSettings(
        QUALITY, 10, CPU, torch.float32, effort=Effort(gop_trials=(12, 20), trial_frames=9),
        structure=structure,
    )  # fmt: skip
    tried: list[list[tuple[int, Placement]]] = []
    original = FrameEncoder.encode

    def spy(self: FrameEncoder, tasks: Sequence[FrameTask]) -> list[EncodedFrame]:
        if tasks[0].place.is_intra:
            tried.append([])
        tried[-1] += [(task.q, task.place) for task in tasks]
        return original(self, tasks)

    monkeypatch.setattr(FrameEncoder, "encode", spy)
    Encoder(installed_model, fmt, settings).results(iter(frames))
    *trials, real = tried
    assert [trial[0][0] - QUALITY for trial in trials] == [12, 20]
    assert all(trial[1:] == real[1:9] for trial in trials)
    assert len(real) == 10


def test_a_decoder_shows_what_the_encoder_recorded(mixed: Clip, installed_model: InstalledModel):
    fmt, frames = mixed
    gops = coded(installed_model, mixed, TRYING)
    decoder = Decoder(installed_model, fmt, DecoderSettings(1, CPU, torch.float32), "clip.nlc")
    shown = decoder.frames([g.record for g in gops])
    measured = [frame_psnr(a, b) for a, b in zip(frames, shown, strict=True)]
    recorded = [planes for g in gops for planes in g.stats.psnr]
    assert [(p.y, p.u, p.v) for p in measured] == recorded


@pytest.mark.parametrize(
    ("quality", "frames", "chosen"), [(-3, GOP, INTRA_BONUS), (16, 1, INTRA_BONUS)]
)
def test_nothing_is_tried_where_nothing_can_be_gained(
    quality: int, frames: int, chosen: int, still: Clip, installed_model: InstalledModel
):
    fmt, sequence = still
    settings = EncoderSettings(quality, GOP, CPU, torch.float32, effort=TRYING)
    trials = BonusTrials(installed_model, fmt, settings)
    trials._cost = None  # type: ignore[assignment, method-assign]
    first, *rest = look_ahead(iter(sequence[:frames]), GOP, False, StructureChoice(P_FRAMES))
    assert trials.choose(first, [[source] for source in rest], False, quality) == chosen


def test_trials_look_at_whole_mini_gops_of_the_gop_and_no_further():
    _, [frame] = city_frames(1)
    read = 0

    def source() -> Iterator[Frame]:
        nonlocal read
        for number in range(16):
            read += 1
            yield replace(frame, pts=number)

    placed = look_ahead(
        source(), 11, scene_cuts=False, choice=StructureChoice(Structure(4, is_fixed=True))
    )
    reader = MiniGopReader(placed)
    assert [f.number for f in next(reader)] == [0]

    def rest(most: int) -> tuple[list[list[int]], bool]:
        mini_gops, goes_on = reader.rest_of_gop(most)
        return [[f.number for f in mini_gop] for mini_gop in mini_gops], goes_on

    first, second, third = [1, 2, 3, 4], [5, 6, 7, 8], [9, 10]
    assert rest(2) == ([first], True)
    assert read <= 9
    assert rest(8) == rest(9) == ([first, second], True)
    assert rest(10) == rest(40) == ([first, second, third], False)
    assert [f.number for mini_gop in reader for f in mini_gop] == list(range(1, 16))
    assert reader.rest_of_gop(2) == ([], False)


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
    settings = EncoderSettings(0, GOP, CPU, torch.float32, effort=TRYING, structure=P_FRAMES)
    steered = list(Encoder(installed_model, fmt, settings, control).gops(iter(frames)))
    assert control.asked == list(range(len(frames)))
    assert [c.number for c in control.told] == control.asked[: len(control.told)]
    assert {c.quality for c in control.told} == {QUALITY}
    assert steered == coded(installed_model, mixed, TRYING)


def test_the_first_pass_tries_nothing(still: Clip, installed_model: InstalledModel):
    fmt, frames = still
    settings = EncoderSettings(0, GOP, CPU, torch.float32, effort=TRYING)
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
    settings = EncoderSettings(0, 8, CPU, torch.float32, effort=TRYING)
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
