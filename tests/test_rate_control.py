"""Steering: whatever the clip is like, the sum comes out as planned and q moves slowly.

A simulated coder stands for the networks: bits and PSNR of each frame are a law of q.
"""

import math
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from neuralcodec.codec.gop_structure import PlacedFrame, frame_quality
from neuralcodec.codec.rate_control import FrameCost, QualityControl, Smoother
from neuralcodec.codec.rate_curve import DB_PER_Q, OCTAVES_PER_Q, Curve, solve
from neuralcodec.codec.rate_live import LiveBits, LivePsnr
from neuralcodec.codec.rate_plan import BitsPlan, PlannedBits, PlannedPsnr, PsnrPlan
from neuralcodec.video import Frame, VideoFormat

FRAMES, GOP, DELAY = 250, 48, 2
PLANE = np.zeros((2, 2), np.uint8)
IS_INTRA = np.arange(FRAMES) % GOP == 0

# Inter bits at q 0 of a frame, as a share of what the forecast says.
SCENES: dict[str, Callable[[int], float]] = {
    "as foretold": lambda t: 1.0,
    "cheaper and cheaper": lambda t: 2.0 - 1.5 * t / FRAMES,
    "dearer and dearer": lambda t: 0.5 + 1.5 * t / FRAMES,
    "a still part": lambda t: 0.01 if 60 < t < 120 else 1.0,
    "much dearer than foretold": lambda t: 2.5,
    "a scene that is dearer": lambda t: 2.0 if 100 < t < 150 else 1.0,
    "restless": lambda t: math.exp(0.5 * math.sin(12.9898 * t)),
}


def steered(
    control: QualityControl, bits: Callable[[int, int], float], psnr: Callable[[int, int], float]
) -> tuple[list[int], float, float]:
    """q of each frame, all bits and the mean PSNR, where `bits` and `psnr` tell what becomes of a
    frame number at a q."""
    coming: deque[FrameCost] = deque()
    qualities, costs = [], []
    for number in range(FRAMES):
        while len(coming) >= DELAY:
            control.observe(coming.popleft())
        begins_gop = bool(IS_INTRA[number])
        frame = Frame(PLANE, PLANE, PLANE, number)
        wanted = control.quality(PlacedFrame(frame, number, begins_gop))
        q = frame_quality(wanted, 0 if begins_gop else 1)
        cost = FrameCost(number, begins_gop, wanted, round(bits(number, q)), psnr(number, q))
        coming.append(cost)
        costs.append(cost)
        qualities.append(wanted)
    return qualities, sum(c.bits for c in costs), float(np.mean([c.psnr for c in costs]))


def real_bits(scene: Callable[[int], float], slope: float = 1 / 12) -> Callable[[int, int], float]:
    def bits(number: int, q: int) -> float:
        return (30_000.0 if IS_INTRA[number] else 3_000.0 * scene(number)) * 2.0 ** (q * slope)

    return bits


def bits_plan(start: float, budget: float) -> BitsPlan:
    bits = real_bits(SCENES["as foretold"])
    weights = np.array([bits(t, round(start) + 8 * IS_INTRA[t]) for t in range(FRAMES)])
    flat = Curve(((start, 20.0),), OCTAVES_PER_Q)
    return BitsPlan(weights, IS_INTRA, flat, flat, start, budget)


def no_psnr(number: int, q: int) -> float:
    return 0.0


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("slope", [1 / 9, 1 / 14])
def test_two_passes_spend_the_budget_within_2_percent(scene: str, slope: float):
    plan = bits_plan(32, 0)
    budget = float(plan.weights.sum()) * 2.0 ** (32 * (slope - 1 / 12))
    control = PlannedBits(bits_plan(32, budget))
    qualities, spent, _ = steered(control, real_bits(SCENES[scene], slope), no_psnr)
    assert spent == pytest.approx(budget, rel=0.02)
    assert max(abs(a - b) for a, b in pairwise(qualities)) <= 2


def test_a_forecast_that_is_right_leaves_q_as_it_is():
    plan = bits_plan(32, 0)
    control = PlannedBits(bits_plan(32, float(plan.weights.sum())))
    qualities, _, _ = steered(control, real_bits(SCENES["as foretold"], 1 / 12), no_psnr)
    assert set(qualities) <= {31, 32, 33}


@pytest.mark.parametrize(("budget", "end"), [(1.0, -8), (1e12, 63)])
def test_a_budget_out_of_reach_ends_at_the_end_of_the_scale(budget: float, end: int):
    control = PlannedBits(bits_plan(end, budget))
    qualities, _, _ = steered(control, real_bits(SCENES["as foretold"]), no_psnr)
    assert set(qualities) == {end}


def real_psnr(scene: Callable[[int], float], slope: float) -> Callable[[int, int], float]:
    return lambda number, q: 34 - 2 * math.log2((scene(number) + 0.5) / 1.5) + slope * (q - 22)


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("slope", [0.15, 0.22])
def test_two_passes_end_within_a_tenth_of_a_decibel(scene: str, slope: float):
    curve = Curve(((32.0, 36.0),), DB_PER_Q)
    plan = PsnrPlan(np.full(FRAMES, 36.0), curve, 32.0, 36.0)
    qualities, _, mean = steered(
        PlannedPsnr(plan), lambda t, q: 1.0, real_psnr(SCENES[scene], slope)
    )
    assert mean == pytest.approx(36.0, abs=0.1)
    assert max(abs(a - b) for a, b in pairwise(qualities)) <= 2


@pytest.mark.parametrize("scene", ["as foretold", "dearer and dearer", "restless"])
def test_one_pass_keeps_to_a_bitrate_within_8_percent(scene: str):
    fmt = VideoFormat(416, 240, Fraction(1, 25), frame_rate=Fraction(25))
    control = LiveBits(fmt, GOP, per_second=500e3, per_frame=None)
    _, spent, _ = steered(control, real_bits(SCENES[scene]), no_psnr)
    assert spent == pytest.approx(500e3 * FRAMES / 25, rel=0.08)


def test_after_a_still_part_one_pass_spends_no_more_than_a_window_at_once():
    fmt = VideoFormat(416, 240, Fraction(1, 25), frame_rate=Fraction(25))
    control = LiveBits(fmt, GOP, per_second=500e3, per_frame=None)
    costs = []

    def bits(number: int, q: int) -> float:
        costs.append(real_bits(lambda t: 0.001 if t < 150 else 1.0)(number, q))
        return costs[-1]

    steered(control, bits, no_psnr)
    assert sum(costs[150:]) < 500e3 * (100 + 2 * GOP) / 25


@pytest.mark.parametrize("scene", ["as foretold", "dearer and dearer", "restless"])
def test_one_pass_keeps_to_a_psnr(scene: str):
    _, _, mean = steered(LivePsnr(36.0), lambda t, q: 1.0, real_psnr(SCENES[scene], 0.15))
    assert mean == pytest.approx(36.0, abs=0.1)


def test_one_pass_keeps_to_a_psnr_across_scene_cuts():
    levels = (0.0, 3.0, -2.5, 3.0, -2.0, -2.0)  # dB that a scene has more than usual

    def psnr(number: int, q: int) -> float:
        return 34 + levels[number // GOP] + 0.17 * (q - 22)

    _, _, mean = steered(LivePsnr(36.0), lambda t, q: 1.0, psnr)
    assert mean == pytest.approx(36.0, abs=0.1)


def test_whole_numbers_follow_a_real_one_on_average():
    smoother = Smoother(30.0)
    given = [smoother.approach(30.4, 1.0) for _ in range(100)]
    assert set(given) == {30, 31}
    assert np.mean(given) == pytest.approx(30.4, abs=0.02)


def test_a_curve_goes_through_its_points_and_on():
    curve = Curve.through({20: 10.0, 30: 11.0, 40: 13.0}, 0.1)
    assert [curve(q) for q in (20, 25, 30, 35, 40)] == pytest.approx([10, 10.5, 11, 12, 13])
    assert curve(50) == pytest.approx(15)
    assert solve(curve, 12.0) == pytest.approx(35, abs=0.01)
