"""Training sequences: coded in the structures of encoders, with motion between their own frames."""

from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from codec_clips import CPU, city_frames, cropped, installed_from, tiny_model
from torch import Tensor
from training_runs import TINY, make_cache

from neuralcodec.encoder.encoder import Encoder
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.encoder.structure.gop_structure import INTRA_BONUS, LOW_DELAY_OFFSETS, OFFSETS
from neuralcodec.encoder.structure.mini_gops import LOW_DELAY, SIZES
from neuralcodec.encoder.structure.mini_gops import Structure as Wanted
from neuralcodec.model.config import HIGHEST_Q, LOWEST_Q, QUALITIES
from neuralcodec.model.motion_values import BOTH, FIRST, SECOND
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.drawn_batches import BatchSource
from neuralcodec.training.graphed_step import GraphedStep
from neuralcodec.training.objective import FrameCost, coded_frames, sequence_costs
from neuralcodec.training.sampling import FARTHEST, MOST_MOVED, Clip, Sampler, open_cache
from neuralcodec.training.schedule import PHASES, Phase
from neuralcodec.training.sequences import DrawnSequences, Sequences
from neuralcodec.training.source_motion import with_source_motion
from neuralcodec.training.structures import (
    Structure,
    chain,
    coded_together,
    drawn_structure,
    low_delay,
    more_q_as_shown,
    of_mini_gops,
    pyramids,
    reach,
)
from neuralcodec.training.training_step import TrainingStep

QUALITY = 30


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cache(tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("length", [1, 2, 3, 6, 9, 17, 24])
def test_every_frame_of_a_drawn_structure_is_coded_once_after_those_it_refers_to(length: int):
    random = np.random.default_rng(length)
    for _ in range(50):
        coded = {0}
        for frame in drawn_structure(length, random):
            assert frame.frame not in coded and coded.issuperset(frame.references)
            coded.add(frame.frame)
        assert coded == set(range(length))


@pytest.mark.parametrize("length", [1, 2, 5, 17, 24])
def test_frames_coded_at_once_refer_to_frames_coded_before_and_all_to_as_many(length: int):
    random = np.random.default_rng(length)
    for _ in range(50):
        structure, coded = drawn_structure(length, random), {0}
        for group in coded_together(structure):
            frames = [structure[n] for n in group]
            assert all(coded.issuperset(frame.references) for frame in frames)
            assert len({len(set(frame.references)) for frame in frames}) == 1
            assert coded.isdisjoint(frame.frame for frame in frames)
            coded |= {frame.frame for frame in frames}
        assert coded == set(range(length))


def test_17_frames_of_mini_gops_of_8_are_five_turns_of_the_networks():
    assert [len(group) for group in coded_together(pyramids(17, 8))] == [1, 2, 3, 6, 4]


@torch.no_grad()
def test_frames_coded_at_once_cost_what_each_costs_alone(
    cache: Path, monkeypatch: pytest.MonkeyPatch
):
    torch.manual_seed(0)
    model = VideoModel(TINY).eval()
    with torch.no_grad():
        for parameter in model.inter.parameters():
            parameter += 0.03 * torch.randn_like(parameter)
    structure = of_mini_gops([4, 2, 1, 2])
    monkeypatch.setattr("neuralcodec.training.sampling.drawn_structure", lambda *_: structure)
    sequences = with_source_motion(TINY, Sampler(open_cache(cache), 0).batch(2, 10, 32))
    at_once = sequence_costs(model, sequences)
    assert len(coded_frames(model, sequences)) < 8
    monkeypatch.setattr(
        "neuralcodec.training.objective.coded_together",
        lambda structure: [[n] for n in range(len(structure))],
    )
    alone = sequence_costs(model, sequences)
    assert [cost.frame for cost in alone] == [0, *(coded.frame for coded in structure)]
    for one, other in zip(alone, sorted_as(at_once, alone), strict=True):
        assert torch.equal(one.q, other.q)
        assert torch.equal(one.q, sequences.q[:, one.frame])
        torch.testing.assert_close(other.bpp, one.bpp, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(other.distortion, one.distortion, rtol=1e-4, atol=1e-8)
        torch.testing.assert_close(other.shown.y, one.shown.y, rtol=0, atol=1e-4)


def sorted_as(costs: list[FrameCost], like: list[FrameCost]) -> list[FrameCost]:
    by_frame = {cost.frame: cost for cost in costs}
    return [by_frame[cost.frame] for cost in like]


def test_structures_of_all_kinds_are_drawn():
    random = np.random.default_rng(0)
    drawn = {drawn_structure(17, random) for _ in range(400)}
    assert {low_delay(17), chain(17), pyramids(17, 16), pyramids(17, 8)} <= drawn
    mixed = [of_mini_gops(sizes) for sizes in ([8, 4, 4], [4, 8, 4], [4, 4, 8])]
    assert drawn & set(mixed)


@pytest.mark.parametrize(
    ("wanted", "structure", "size"),
    [
        (Wanted(8, is_fixed=True), pyramids(9, 8), 8),
        (Wanted(4, is_fixed=True), pyramids(9, 4), 4),
        (Wanted(1), chain(9), 1),
        (LOW_DELAY, low_delay(9), 0),
    ],
    ids=["pyramid of 8", "pyramids of 4", "chain", "low delay"],
)
def test_encoders_code_the_same_frames_from_the_same_ones_with_as_much_q(
    wanted: Wanted, structure: Structure, size: int, tmp_path: Path
):
    fmt, frames = cropped(*city_frames(9), 32, 32)
    settings = EncoderSettings(QUALITY, 9, CPU, torch.float32, structure=wanted)
    [gop] = Encoder(installed_from(tiny_model(), tmp_path), fmt, settings).gops(iter(frames))
    first, *inter = gop.record.frames
    held = {first.place.stored: 0}
    for record, coded in zip(inter, structure, strict=True):
        place = record.place
        assert place.slots is not None
        assert tuple(held[slot] for slot in place.slots) == coded.references
        assert (place.shown, place.level) == (coded.frame, coded.level)
        assert record.q == QUALITY + coded.more_q
        held[place.stored] = place.shown
    offsets = OFFSETS[size] if size else LOW_DELAY_OFFSETS
    assert {coded.more_q for coded in structure} == set(offsets)


def test_all_sequences_of_a_step_have_one_structure_which_a_resumed_run_draws_again(cache: Path):
    one, other = (Sampler(open_cache(cache), seed=3) for _ in range(2))
    found = []
    for step in range(12):
        one.start_step(step)
        found.append(one.batch(2, 9, 32))
    assert len({drawn.structure for drawn in found}) > 3
    other.start_step(7)
    again = other.batch(2, 9, 32)
    assert again.structure == found[7].structure
    pairs = zip(again.tensors.values(), found[7].tensors.values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    other = Sampler(open_cache(cache), seed=4)
    assert [_structure_at(other, step) for step in range(12)] != [d.structure for d in found]


def test_steps_in_a_row_keep_their_structure_where_steps_are_recorded(cache: Path):
    sampler = Sampler(open_cache(cache), seed=3, alike=20)
    structures = [_structure_at(sampler, step) for step in range(100)]
    changes = [step for step, (a, b) in enumerate(pairwise(structures), 1) if a != b]
    assert changes and all(step % 20 == 0 for step in changes)
    sampler.start_step(0)
    first, second = (sampler.batch(1, 5, 32), sampler.batch(1, 5, 32))
    assert not torch.equal(first.q, second.q)


def _structure_at(sampler: Sampler, step: int) -> Structure:
    sampler.start_step(step)
    return sampler.batch(1, 9, 32).structure


@pytest.mark.parametrize("length", [5, 9, 17])
def test_references_are_up_to_16_frames_of_the_clip_away_and_no_farther(length: int):
    clip = Clip("long", np.zeros((80, 48, 32), np.uint8), 1.0)
    sampler, farthest = Sampler([clip], 0), set()
    for step in range(150):
        sampler.start_step(step)
        drawn = sampler.batch(2, length, 16)
        assert set(drawn.stride.tolist()) <= {1, 2, 4, 8}
        farthest |= set((drawn.stride * reach(drawn.structure)).tolist())
    assert max(farthest) == FARTHEST and min(farthest) == 1


def test_frames_of_a_stride_are_as_far_apart_in_the_clip(monkeypatch: pytest.MonkeyPatch):
    """On a clip that says in its samples which frame it is."""
    for share in ("SYNTHETIC_SHARE", "STRETCHED_SHARE", "STILL_SHARE"):
        monkeypatch.setattr(f"neuralcodec.training.sampling.{share}", 0.0)
    counted = np.broadcast_to(np.arange(20, dtype=np.uint8)[:, None, None], (20, 48, 32))
    sampler = Sampler([Clip("counted", counted, 1.0)], 0)
    seen = set()
    for step in range(40):
        sampler.start_step(step)
        drawn = sampler.batch(2, 3, 16)
        numbers = (drawn.y[:, :, 0, 0, 0] * 255).round()
        assert torch.equal(numbers.diff().abs(), drawn.stride[:, None].expand(-1, 2).float())
        seen |= set(drawn.stride.tolist())
    assert seen == {1, 2, 4, 8}


def test_q_goes_by_level_and_most_intra_frames_have_a_bonus(cache: Path):
    sampler = Sampler(open_cache(cache), 0)
    bonus, moved, lowest, highest = [], [], 99.0, -99.0
    for step in range(200):
        sampler.start_step(step)
        drawn = sampler.batch(1, 3, 16)
        q = drawn.q[0]
        lowest, highest = min(lowest, float(q.min())), max(highest, float(q.max()))
        if q.min() > 20 and q.max() < 45:
            base = q - torch.tensor(more_q_as_shown(drawn.structure))
            spread = float((base[1:] - base[1:].mean()).abs().max())
            assert spread <= MOST_MOVED
            moved.append(spread > 1e-4)
            bonus.append(float(base[0] - base[1:].mean()) > INTRA_BONUS / 2)
    assert LOWEST_Q <= lowest < -2 and QUALITIES < highest <= HIGHEST_Q
    assert 0.6 < np.mean(bonus) < 0.95 and 0.3 < np.mean(moved) < 0.7


def moving_scene(frames: int, hidden: bool) -> Tensor:
    """Luma (1, T, 1, 64, 96) that moves by 3 samples a frame to the right; hidden: what is in the
    left half of the first frame alone is something else than in all others."""
    noise = torch.rand(1, 1, 64, 96 + 32, generator=torch.Generator().manual_seed(1))
    texture = torch.nn.functional.avg_pool2d(noise, 3, 1, 1)
    y = torch.stack([texture[..., 32 - 3 * t : 32 - 3 * t + 96] for t in range(frames)], 1)
    if hidden:
        y[:, 0, :, :, :48] = 0.9
    return y


def motion_of(y: Tensor, structure: Structure) -> Tensor:
    drawn = DrawnSequences(
        y,
        torch.full((1, y.shape[1], 2, 32, 48), 0.5),
        torch.full(y.shape[:2], 40.0),
        structure,
        torch.ones(1, dtype=torch.int64),
    )
    return with_source_motion(TINY, drawn).motion[0]


def test_motion_is_that_of_the_scene_to_both_sides_in_the_order_of_coding():
    last, middle = motion_of(moving_scene(3, hidden=False), pyramids(3, 2))[:, :, 2:-2, 4:-4]
    # the last frame refers to the first one alone: content comes from 6 samples to the left
    assert (last[0] == FIRST).all()
    assert (last[1] == -24).all() and (last[2:] == 0).all()
    assert (middle[0] == BOTH).float().mean() > 0.9
    used = middle[:, middle[0] == BOTH]
    assert (used[1] == -12).all() and (used[3] == 12).all()
    assert (used[2] == 0).all() and (used[4] == 0).all()


def test_what_one_reference_hides_is_predicted_from_the_other_alone():
    _, middle = motion_of(moving_scene(3, hidden=True), pyramids(3, 2))
    left = middle[:, 2:-2, 1:5]
    assert (left[0] == SECOND).all()
    assert (left[1:3] == 0).all()  # of the reference that is not used
    assert (left[3] == 12).all()
    alone = middle[:, middle[0] == FIRST]
    assert (alone[3:5] == 0).all()


@pytest.mark.parametrize("search", [True, False])
def test_batches_that_cross_between_processes_are_those_of_the_sampler(cache: Path, search: bool):
    source = BatchSource(cache, frozenset(), TINY, seed=0, search=search)
    phase = Phase(0.0, 2, 5, 32)
    found = source.on_device(source.draw(3, phase), CPU)
    sampler = Sampler(open_cache(cache), 0)
    sampler.start_step(3)
    expected = with_source_motion(TINY, sampler.batch(phase.items, phase.length, phase.size))
    assert found.structure == expected.structure
    for name, tensor in expected.tensors.items():
        assert torch.equal(found.tensors[name], tensor), name


def batch_of(value: float, structure: Structure, items: int = 2) -> Sequences:
    length = len(structure) + 1
    return Sequences(
        torch.full((items, length, 1, 16, 16), value),
        torch.full((items, length, 2, 8, 8), value),
        torch.full((items, length), value),
        structure,
        torch.ones(items, dtype=torch.int64),
        torch.zeros(items, length - 1, 5, 2, 2),
    )


@pytest.mark.parametrize("structure", [pyramids(5, 4), low_delay(6)], ids=["pyramid", "low delay"])
def test_a_step_looks_at_no_values_so_that_a_gpu_can_record_it(
    structure: Structure, monkeypatch: pytest.MonkeyPatch
):
    """On a device that has none."""
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: nullcontext())
    nowhere = torch.device("meta")
    step = TrainingStep(VideoModel(TINY).to(nowhere).train())
    loss, figures = step(batch_of(0.5, structure).to(nowhere))
    loss.backward()
    assert loss.device == figures.device == nowhere


def test_a_step_is_recorded_anew_for_each_shape_and_structure(monkeypatch: pytest.MonkeyPatch):
    class Graph:
        def replay(self) -> None:
            pass

    recorded: list[Sequences] = []

    def record(self: GraphedStep, batch: Sequences) -> None:
        recorded.append(batch)
        self.graph, self.inputs = Graph(), batch.clone()  # type: ignore[assignment]

    monkeypatch.setattr(GraphedStep, "_record", record)
    step = GraphedStep(torch.nn.Module(), lambda batch: (batch.y, batch.q))
    step.results = (torch.zeros(1), torch.zeros(1))

    batches = [
        batch_of(0.1, pyramids(5, 4)),
        batch_of(0.2, pyramids(5, 4)),
        batch_of(0.3, low_delay(5)),
        batch_of(0.4, low_delay(5), items=1),
    ]
    for one in batches:
        step(one)
        assert torch.equal(step.inputs.y, one.y) and torch.equal(step.inputs.q, one.q)
    assert recorded == [batches[0], batches[2], batches[3]]


def test_mini_gops_of_every_size_fit_into_the_sequences_of_the_phases():
    lengths = {phase.length for phase in PHASES}
    assert {size + 1 for size in SIZES if size > 1} == lengths
