"""The measures of quality and of savings."""

import numpy as np
import pytest

from neuralcodec.metrics import (
    MAX_DB,
    PsnrMeter,
    RatePoint,
    bd_psnr,
    bd_rate,
    frame_psnr,
    mse_to_db,
    plane_mse,
    psnr_yuv,
)
from neuralcodec.metrics.ssim import ms_ssim, ssim
from neuralcodec.video import Frame

RNG_SEED = 20


def flat_frame(y: int, u: int, v: int, dtype: type = np.uint8) -> Frame:
    return Frame(np.full((8, 6), y, dtype), np.full((4, 3), u, dtype), np.full((4, 3), v, dtype), 0)


def noise(shape: tuple[int, int], bit_depth: int = 8) -> np.ndarray:
    values = np.random.default_rng(RNG_SEED).integers(0, 2**bit_depth, shape)
    return values.astype(np.uint8 if bit_depth == 8 else np.uint16)


# PSNR


def test_an_error_of_one_step_is_48_dB_at_8_bit_and_60_dB_at_10_bit():
    eight = frame_psnr(flat_frame(100, 50, 60), flat_frame(101, 49, 61))
    ten = frame_psnr(flat_frame(100, 50, 60, np.uint16), flat_frame(101, 49, 61, np.uint16))
    assert (eight.y, eight.u, eight.v) == pytest.approx((48.1308, 48.1308, 48.1308), abs=1e-4)
    assert (ten.y, ten.u, ten.v) == pytest.approx((60.1975, 60.1975, 60.1975), abs=1e-4)


def test_each_plane_is_measured_by_itself():
    measured = frame_psnr(flat_frame(0, 128, 255), flat_frame(255, 128, 253))
    assert measured.y == 0
    assert measured.u == MAX_DB
    assert measured.v == pytest.approx(mse_to_db(4, bit_depth=8))


def test_the_error_of_the_darkest_against_the_brightest_does_not_wrap_around():
    black, white = np.zeros((4, 4), np.uint16), np.full((4, 4), 1023, np.uint16)
    assert plane_mse(black, white) == plane_mse(white, black) == 1023**2


def test_luma_weighs_six_eighths():
    assert psnr_yuv(40, 32, 48) == pytest.approx(40)
    assert psnr_yuv(41, 32, 48) == pytest.approx(40.75)


def test_identical_planes_count_as_100_dB():
    frame = flat_frame(1, 2, 3)
    assert frame_psnr(frame, frame).yuv == 100


def test_a_sequence_has_the_mean_of_its_frames_dB_not_the_dB_of_their_mean_error():
    source, good, bad = (flat_frame(level, 0, 0) for level in (100, 101, 110))
    meter = PsnrMeter()
    meter.add(source, good)
    meter.add(source, bad)
    assert meter.frames == 2
    assert meter.mean.y == pytest.approx((48.1308 + 28.1308) / 2, abs=1e-4)


def test_a_meter_takes_known_figures_like_measured_ones():
    meter = PsnrMeter()
    meter.add(flat_frame(5, 5, 5), flat_frame(5, 5, 5))
    meter.add_db(40, float("inf"), 50)
    assert (meter.mean.y, meter.mean.u, meter.mean.v) == (70, 100, 75)


def test_a_meter_without_frames_has_no_mean():
    with pytest.raises(ValueError, match="no frame"):
        _ = PsnrMeter().mean


@pytest.mark.parametrize(
    "shown",
    [np.zeros((4, 5), np.uint8), np.zeros((4, 4), np.uint16), np.zeros((4, 4), np.float32)],
    ids=["another size", "another depth", "floats"],
)
@pytest.mark.parametrize("metric", [plane_mse, ssim, ms_ssim])
def test_planes_that_differ_in_kind_are_not_compared(metric, shown):
    with pytest.raises(ValueError, match="cannot be compared"):
        metric(np.zeros((4, 4), np.uint8), shown)


# SSIM


def test_identical_planes_have_similarity_one():
    plane = noise((180, 192))
    assert ssim(plane, plane) == pytest.approx(1)
    assert ms_ssim(plane, plane) == pytest.approx(1)


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_one_window_follows_the_formula_of_wang_2004(bit_depth):
    a = noise((11, 11), bit_depth)
    b = (a // 2 + 30).astype(a.dtype)
    square = (np.arange(11) - 5) ** 2
    w = np.exp(-(square[:, None] + square) / (2 * 1.5**2))
    w /= w.sum()
    x, y = a.astype(float), b.astype(float)
    mx, my = (w * x).sum(), (w * y).sum()
    vx, vy, vxy = (
        (w * (x - mx) ** 2).sum(),
        (w * (y - my) ** 2).sum(),
        (w * (x - mx) * (y - my)).sum(),
    )
    peak = 2**bit_depth - 1
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    by_hand = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    assert ssim(a, b) == pytest.approx(by_hand, rel=1e-9)


def test_multi_scale_similarity_judges_brightness_only_at_the_coarsest_scale():
    dark, bright = np.full((176, 180), 60, np.uint8), np.full((176, 180), 120, np.uint8)
    luminance = ssim(dark, bright)
    assert luminance == pytest.approx((2 * 60 * 120 + 2.55**2) / (60**2 + 120**2 + 2.55**2))
    assert ms_ssim(dark, bright) == pytest.approx(luminance**0.1333)


def test_multi_scale_similarity_gives_the_finest_detail_its_published_weight():
    checkerboard = np.indices((176, 176)).sum(0) % 2 * 2 - 1  # gone after one 2×2 mean
    sharp, soft = ((128 + gain * checkerboard).astype(np.uint8) for gain in (60, 20))
    assert ms_ssim(sharp, soft) == pytest.approx(ssim(sharp, soft) ** 0.0448, rel=1e-4)


def test_similarities_agree_with_the_published_package():
    # pytorch-msssim 1.0.0, ssim and ms_ssim, on the same planes (its window is in float32).
    ys, xs = np.mgrid[0:192, 0:224]
    smooth = 128 + 60 * np.sin(xs / 5) * np.cos(ys / 7) + 40 * np.sin(xs * ys / 900)
    source = smooth.astype(np.uint8)
    banded = source // 24 * 24 + 8
    assert ssim(source, banded) == pytest.approx(0.8696824053658705, rel=1e-5)
    assert ms_ssim(source, banded) == pytest.approx(0.9876695431623517, rel=1e-6)


def test_a_plane_too_small_for_the_scales_is_refused():
    with pytest.raises(ValueError, match="under 176"):
        ms_ssim(noise((175, 300)), noise((175, 300)))
    with pytest.raises(ValueError, match="under 11"):
        ssim(noise((10, 300)), noise((10, 300)))


# BD-rate

RATES = (0.05, 0.11, 0.24, 0.61, 1.4)
PSNRS = (27.9, 31.2, 34.6, 38.1, 41.7)


def curve(rates=RATES, psnrs=PSNRS, *, rate_factor=1.0, db_more=0.0) -> list[RatePoint]:
    return [RatePoint(r * rate_factor, p + db_more) for r, p in zip(rates, psnrs, strict=True)]


@pytest.mark.parametrize("factor", [1.1, 1.0, 0.5])
def test_a_codec_with_ten_percent_more_bits_has_a_bd_rate_of_ten_percent(factor):
    assert bd_rate(curve(), curve(rate_factor=factor)) == pytest.approx(100 * (factor - 1))


def test_a_codec_that_is_half_a_dB_better_everywhere_has_a_bd_psnr_of_half_a_dB():
    assert bd_psnr(curve(), curve(db_more=0.5)) == pytest.approx(0.5)


def test_bjontegaard_deltas_agree_with_the_published_package():
    # bjontegaard 1.3.0, bd_rate and bd_psnr with method='pchip', on the same points.
    other = curve((0.04, 0.10, 0.2, 0.52, 1.3), (28.3, 31.0, 34.9, 38.4, 42.2))
    assert bd_rate(curve(), other) == pytest.approx(-17.426107860682706, rel=1e-9)
    assert bd_psnr(curve(), other) == pytest.approx(0.7653512393671632, rel=1e-9)


def test_the_order_of_points_does_not_matter():
    assert bd_rate(curve()[::-1], curve(rate_factor=2)) == pytest.approx(100)


def test_curves_that_overlap_by_less_than_a_dB_are_refused():
    above = PSNRS[-1] - PSNRS[0]
    assert bd_rate(curve(), curve(db_more=above - 1.1)) < 0
    with pytest.raises(ValueError, match="overlap by less than 1 dB"):
        bd_rate(curve(), curve(db_more=above - 0.9))
    with pytest.raises(ValueError, match="overlap by less than 1 dB"):
        bd_psnr(curve(), curve(db_more=above - 0.9))


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (curve()[:3], "4 are needed"),
        (curve(psnrs=(27.9, 31.2, 31.1, 38.1, 41.7)), "must rise"),
        (curve(rates=(0.0, 0.11, 0.24, 0.61, 1.4)), "above 0"),
        (curve(psnrs=(27.9, 31.2, float("nan"), 38.1, 41.7)), "finite"),
    ],
    ids=["three points", "a dent", "no bits", "not a number"],
)
def test_a_curve_that_is_none_is_refused_with_its_reason(points, reason):
    for pair in ((points, curve()), (curve(), points)):
        with pytest.raises(ValueError, match=reason):
            bd_rate(*pair)
