"""Rates and sizes as users write them."""

from collections.abc import Callable

import pytest

from neuralcodec.errors import UsageError
from neuralcodec.rate.target import (
    RateKind,
    RateTarget,
    judge_outcome,
    parse_bitrate,
    parse_bpp,
    parse_psnr,
    parse_size,
)


def test_units_of_bitrates_are_thousands():
    texts = ("800k", "2.5M", "640000", "800 K", ".5m")
    assert [parse_bitrate(t) for t in texts] == [800e3, 2.5e6, 640e3, 800e3, 0.5e6]


def test_units_of_sizes_are_thousands_or_1024():
    texts = ("12MiB", "10MB", "700KB", "3 KiB", "5000", "12b")
    assert [parse_size(t) for t in texts] == [12 << 20, 10e6, 700e3, 3072, 5000, 12]


@pytest.mark.parametrize("parse", [parse_bitrate, parse_size, parse_psnr, parse_bpp])
@pytest.mark.parametrize("text", ["", "fast", "-3", "0", "1e9", "12 ells", "nan", "inf", "1.2.3"])
def test_what_is_no_number_is_refused(parse: Callable[[str], float], text: str):
    with pytest.raises(UsageError):
        parse(text)


def test_a_refusal_shows_how_to_write_it():
    with pytest.raises(UsageError, match="'12 lots' is no size; write it like 10MB"):
        parse_size("12 lots")


def test_figures_that_no_video_has_are_refused():
    for parse, text in ((parse_psnr, "99"), (parse_bpp, "800")):
        with pytest.raises(UsageError):
            parse(text)
    with pytest.raises(UsageError):
        RateTarget(RateKind.PSNR, -1.0)


@pytest.mark.parametrize(
    ("kind", "asked", "near", "far"),
    [
        (RateKind.BITRATE, 800e3, 815e3, 817e3),
        (RateKind.SIZE, 10e6, 9.81e6, 9.79e6),
        (RateKind.PSNR, 38.0, 38.09, 38.11),
    ],
)
def test_a_target_is_met_within_2_percent_or_a_tenth_of_a_decibel(
    kind: RateKind, asked: float, near: float, far: float
):
    target = RateTarget(kind, asked)
    assert judge_outcome(target, near, False, False).met
    missed = judge_outcome(target, far, False, False)
    assert not missed.met
    assert missed.notice


def test_out_of_reach_is_said_only_where_the_end_of_the_scale_was_used():
    target = RateTarget(RateKind.SIZE, 12288)
    at_the_end = judge_outcome(target, 36045, is_smallest=True, is_best=False)
    assert at_the_end.notice == "12.0 KiB is out of reach: 35.2 KiB is the nearest"
    within = judge_outcome(target, 36045, is_smallest=False, is_best=True)
    assert within.notice == "12.0 KiB was asked for, the result has 35.2 KiB"
