"""The encoder's motion search finds motion that is known."""

import pytest
import torch
import torch.nn.functional as F
from codec_clips import city_frames, cropped
from torch import Tensor

from neuralcodec.encoder.motion.frame_motion import choose_motion
from neuralcodec.encoder.motion.motion_search import (
    THOROUGH_SEARCH,
    SearchEffort,
    padded_planes,
    search_vectors,
)
from neuralcodec.encoder.presets import MEDIUM, PRESETS, Effort
from neuralcodec.kernels.motion.planes import BORDER, FILTER_UNITS, FILTERS, PEAK
from neuralcodec.kernels.parsing.motion_walk import VECTOR_LIMIT
from neuralcodec.model.code_length import motion_bits
from neuralcodec.model.config import VECTOR_BLOCK
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.model.motion_compensation import interpolation_filter, warp_planes
from neuralcodec.model.motion_prior import MotionSetting
from neuralcodec.model.motion_values import BOTH, FIRST, SECOND

HEIGHT, WIDTH = 96, 128
MARGIN = 32
LAMBDA = torch.tensor([2000.0])
Q = torch.tensor([40])


def texture(height: int, width: int, seed: int = 1) -> Tensor:
    """(1, 1, H, W): smooth enough that half samples can be interpolated, and unlike everywhere."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(1, 1, height + 8, width + 8, generator=generator)
    blurred = F.avg_pool2d(F.avg_pool2d(noise, 5, 1), 5, 1)
    return (blurred - blurred.min()) / (blurred.max() - blurred.min())


def no_vectors(height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    return torch.zeros(1, 2, height // VECTOR_BLOCK, width // VECTOR_BLOCK)


def inner(vectors: Tensor) -> Tensor:
    """Those of blocks that see no border."""
    edge = MARGIN // VECTOR_BLOCK
    return vectors[:, :, edge:-edge, edge:-edge]


def share(vectors: Tensor, expected: tuple[int, int]) -> float:
    wanted = torch.tensor(expected, dtype=vectors.dtype)[None, :, None, None]
    return float((vectors == wanted).all(1).float().mean())


@pytest.mark.parametrize("shift", [(0, 3), (-7, 2), (12, -9), (24, 16)])
def test_a_shift_by_whole_samples_is_found_in_every_inner_block(shift: tuple[int, int]):
    x, y = shift
    big = texture(HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN)
    reference = big[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    current = big[..., MARGIN + y : MARGIN + y + HEIGHT, MARGIN + x : MARGIN + x + WIDTH]
    found = search_vectors(current, reference, no_vectors(), LAMBDA)
    assert share(inner(found), (4 * x, 4 * y)) == 1


@pytest.mark.parametrize("quarters", [(0, 0), (1, 0), (0, 2), (3, 1), (2, 3)])
def test_what_is_compared_is_what_motion_compensation_gives(quarters: tuple[int, int]):
    y = texture(HEIGHT, WIDTH)
    right, down = quarters
    field = torch.tensor([float(right), float(down)])[None, :, None, None]
    field = field.expand(1, 2, HEIGHT // 8, WIDTH // 8)
    expected, _ = warp_planes(y, torch.zeros(1, 2, HEIGHT // 2, WIDTH // 2), field)
    inner = slice(BORDER, -BORDER)
    found = padded_planes(y)[:, 4 * down + right, inner, inner]
    difference = found - expected[:, 0] * PEAK
    assert difference.abs().max() < 4 and difference.abs().mean() < 1


def test_the_filter_of_the_search_is_that_of_motion_compensation_in_128ths():
    exact = interpolation_filter(torch.arange(4) / 4).T * FILTER_UNITS
    assert (exact - torch.tensor(FILTERS)).abs().max() < 0.5
    assert all(sum(weights) == FILTER_UNITS for weights in FILTERS)


def test_a_thorough_search_sees_what_moves_between_the_rows_that_others_compare():
    big = texture(HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN)
    big[..., ::2, :] = 0.5
    reference = big[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    current = big[..., MARGIN:-MARGIN, MARGIN + 1 : MARGIN + 1 + WIDTH]
    found = search_vectors(current, reference, no_vectors(), LAMBDA, THOROUGH_SEARCH)
    assert share(inner(found), (4, 0)) == 1
    assert share(inner(search_vectors(current, reference, no_vectors(), LAMBDA)), (4, 0)) < 0.9


@pytest.mark.parametrize("halves", [(1, 0), (0, -1), (3, 5)])
def test_a_shift_by_half_samples_is_found_in_nearly_every_inner_block(halves: tuple[int, int]):
    x, y = halves
    big = texture(2 * (HEIGHT + 2 * MARGIN), 2 * (WIDTH + 2 * MARGIN), seed=2)
    big = F.avg_pool2d(F.pad(big, (4, 4, 4, 4), mode="replicate"), 9, 1)
    rows, columns = slice(2 * MARGIN, -2 * MARGIN, 2), slice(2 * MARGIN, -2 * MARGIN, 2)
    reference = big[..., rows, columns]
    moved = big.roll((-y, -x), (2, 3))
    found = search_vectors(moved[..., rows, columns], reference, no_vectors(), LAMBDA)
    assert share(inner(found), (2 * x, 2 * y)) > 0.9


def test_a_still_picture_has_no_motion_even_if_the_last_frame_had():
    _, frames = cropped(*city_frames(1), WIDTH, HEIGHT)
    picture = torch.from_numpy(frames[0].y)[None, None].float() / 255
    for last in (no_vectors(), no_vectors() + 40):
        assert not search_vectors(picture, picture, last, LAMBDA).any()


def test_each_picture_of_a_batch_is_searched_by_itself():
    big = texture(HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN)
    reference = big[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    shifts = [(0, 0), (5, -3), (-8, 1)]
    current = torch.cat(
        [
            big[..., MARGIN + y : MARGIN + y + HEIGHT, MARGIN + x : MARGIN + x + WIDTH]
            for x, y in shifts
        ]
    )
    count = len(shifts)
    together = search_vectors(
        current, reference.repeat(count, 1, 1, 1), no_vectors().repeat(count, 1, 1, 1),
        LAMBDA.repeat(count),
    )  # fmt: skip
    for one, picture in zip(together, current, strict=True):
        assert torch.equal(
            one[None], search_vectors(picture[None], reference, no_vectors(), LAMBDA)
        )


@pytest.mark.parametrize("size", [(16, 16), (16, 400), (400, 16), (48, 64)])
def test_vectors_are_integers_within_their_limit_whatever_the_pictures(size: tuple[int, int]):
    generator = torch.Generator().manual_seed(3)
    for last_value in (0, VECTOR_LIMIT, -VECTOR_LIMIT):
        current, reference = (torch.rand(1, 1, *size, generator=generator) for _ in range(2))
        last = no_vectors(*size) + last_value
        found = search_vectors(current, reference, last, LAMBDA * 1000)
        assert found.shape == last.shape
        assert torch.equal(found, found.round())
        assert found.abs().max() <= VECTOR_LIMIT


def test_vectors_at_a_border_may_point_out_of_the_picture_but_only_a_little():
    """What lies beyond is the border repeated: a vector further out would say nothing more."""
    ramp = torch.linspace(0, 1, WIDTH)[None, None, None].repeat(1, 1, HEIGHT, 1)
    for current, reference in ((ramp * 0, ramp), (ramp * 0 + 1, ramp), (ramp, 1 - ramp)):
        for last_value in (-VECTOR_LIMIT, VECTOR_LIMIT):
            last = no_vectors() + last_value
            found = search_vectors(current, reference, last, LAMBDA * 1e6)
            assert found.abs().max() <= VECTOR_LIMIT
            columns = torch.arange(WIDTH // VECTOR_BLOCK) * VECTOR_BLOCK
            left = columns + found[:, 0] / 4
            assert left.min() >= -64 and left.max() <= WIDTH + 64


def test_a_smaller_lambda_gives_quieter_vectors():
    _, frames = cropped(*city_frames(4), WIDTH, HEIGHT)
    first, later = (torch.from_numpy(frames[i].y)[None, None].float() / 255 for i in (0, 3))
    noisy = later + 0.05 * torch.randn(later.shape, generator=torch.Generator().manual_seed(4))

    def distinct(weight: float) -> int:
        found = search_vectors(noisy, first, no_vectors(), torch.tensor([weight]))
        return len(torch.unique(found.flatten(2)[0].T, dim=0))

    assert distinct(20.0) < distinct(20_000.0)


def test_a_search_without_quarter_samples_gives_half_samples_and_the_same_large_motion():
    big = texture(HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN)
    reference = big[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    current = big[..., MARGIN + 9 : MARGIN + 9 + HEIGHT, MARGIN - 12 : MARGIN - 12 + WIDTH]
    effort = SearchEffort(quarter_samples=False, every_offer=False)
    found = search_vectors(current, reference, no_vectors(), LAMBDA, effort)
    assert not (found % 2).any()
    assert share(inner(found), (-48, 36)) > 0.95


def setting(distances: tuple[int, int]) -> MotionSetting:
    temporal = torch.zeros(1, 5, HEIGHT // 8, WIDTH // 8)
    temporal[:, 0] = BOTH if distances[0] != distances[1] else FIRST
    return MotionSetting(temporal, torch.tensor([distances]), torch.tensor([0]), Q)


def test_motion_chosen_by_price_takes_fewer_bits_and_follows_the_motion_as_before(
    installed_model: InstalledModel,
):
    model, known = installed_model.model, setting((1, 1))
    _, frames = cropped(*city_frames(2), WIDTH, HEIGHT)
    before, now = (torch.from_numpy(f.y)[None, None].float() / 255 for f in frames)
    found, chosen = (
        choose_motion(model, now, (before, before), known, effort) for effort in (Effort(), MEDIUM)
    )
    bits = [
        float(motion_bits(model.motion_prior, motion, known, model.log_table))
        for motion in (found, chosen)
    ]
    assert bits[1] < 0.9 * bits[0]
    uv = torch.zeros(1, 2, HEIGHT // 2, WIDTH // 2)
    errors = [
        float((warp_planes(before, uv, v)[0] - now).abs().mean())
        for v in (no_vectors(), found[:, 1:3], chosen[:, 1:3])
    ]
    assert errors[2] < errors[1] + 0.25 * (errors[0] - errors[1])


def test_price_moves_no_vector_that_a_shift_by_whole_samples_has(installed_model: InstalledModel):
    big = texture(HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN)
    reference = big[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    current = big[..., MARGIN + 2 : MARGIN + 2 + HEIGHT, MARGIN - 7 : MARGIN - 7 + WIDTH]
    references = reference, reference
    chosen = choose_motion(installed_model.model, current, references, setting((1, 1)), MEDIUM)
    assert share(inner(chosen[:, 1:3]), (-28, 8)) == 1


def test_a_frame_between_two_is_predicted_from_both_along_one_path(
    installed_model: InstalledModel,
):
    """It has moved by (7, 2) since the first, and will have moved by as much at the second."""
    big = texture(HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN)

    def at(time: int) -> torch.Tensor:
        top, left = MARGIN + 2 * time, MARGIN - 7 * time
        picture = big[..., top : top + HEIGHT, left : left + WIDTH]
        noise = torch.rand(picture.shape, generator=torch.Generator().manual_seed(time + 1))
        return (picture + 0.08 * (noise - 0.5)).clamp(0, 1)

    references, known = (at(-1), at(1)), setting((1, -1))
    for effort in (MEDIUM, PRESETS["fast"]):
        chosen = choose_motion(installed_model.model, at(0), references, known, effort)
        assert (inner(chosen[:, :1]) == BOTH).float().mean() > 0.9
        path = torch.tensor([-28, 8, 28, -8]).view(1, 4, 1, 1)
        # A quarter sample beside it, where noise is averaged, is as good
        assert ((inner(chosen[:, 1:]) - path).abs() <= 1).all(1).float().mean() > 0.9


def test_a_reference_some_frames_away_is_searched_further(installed_model: InstalledModel):
    height, width, away = 160, 320, 80
    big = texture(height, width + away)
    current, reference = big[..., :width], big[..., away:]
    for distance, is_found in ((1, False), (4, True)):
        temporal = torch.zeros(1, 5, height // 8, width // 8)
        distances = torch.tensor([[distance, distance]])
        known = MotionSetting(temporal, distances, torch.tensor([0]), Q)
        motion = choose_motion(
            installed_model.model, current, (reference, reference), known, MEDIUM
        )
        inside = motion[:, 1:3, 2:-2, (away + 32) // 8 : -2]
        assert (share(inside, (-4 * away, 0)) > 0.9) == is_found


def test_what_only_one_of_two_references_shows_is_predicted_from_that_one(
    installed_model: InstalledModel,
):
    shown, other = texture(HEIGHT, WIDTH), texture(WIDTH, HEIGHT).transpose(2, 3)
    for which, references in ((FIRST, (shown, other)), (SECOND, (other, shown))):
        chosen = choose_motion(installed_model.model, shown, references, setting((1, -1)), MEDIUM)
        assert (chosen[:, 0] == which).all()
        assert not chosen[:, 1:].any()
