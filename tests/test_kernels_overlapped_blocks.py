"""The compiled motion compensation gives what tensor operations give, forward and backward."""

import pytest
import torch
from codec_clips import city_frames
from torch import Tensor

from neuralcodec.model.motion_compensation import overlapped_blocks, reference_blocks

CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def vectors_of(kind: str, rows: int, columns: int, block: int) -> Tensor:
    """(2, 2, rows, columns) in samples."""
    units = torch.randint(-60, 60, (2, 2, rows, columns))
    if kind == "whole":
        units = units // 8 * 8
    elif kind == "across":  # the other fraction is 0
        units[:, 0] //= 8
        units[:, 0] *= 8
    elif kind == "down":
        units[:, 1] //= 8
        units[:, 1] *= 8
    elif kind == "two regions":
        units = torch.where(torch.arange(columns) < columns // 2, 13, -6).expand(units.shape)
    elif kind == "still":
        units = torch.zeros_like(units)
    elif kind == "far outside":
        units = units * 40
    return units / 8


def case(kind: str, block: int, rows: int = 3, columns: int = 5) -> tuple[Tensor, Tensor]:
    torch.manual_seed(3)
    x = torch.rand(2, 8 // block, rows * block, columns * block)
    return x, vectors_of(kind, rows, columns, block)


KINDS = ["random", "whole", "across", "down", "two regions", "still", "far outside"]


@pytest.mark.parametrize("block", [8, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_planes_and_gradients_are_those_of_tensor_operations(kind: str, block: int):
    x, vectors = case(kind, block)
    results = []
    for predict in (overlapped_blocks, reference_blocks):
        copy = x.clone().requires_grad_()
        predicted = predict(copy, vectors, block)
        (predicted * torch.linspace(-1, 1, x.numel()).view(x.shape)).sum().backward()
        results.append((predicted.detach(), copy.grad))
    torch.testing.assert_close(*(planes for planes, _ in results), **CLOSE)
    torch.testing.assert_close(*(gradient for _, gradient in results), **CLOSE)


@pytest.mark.parametrize("block", [8, 4])
@pytest.mark.parametrize("kind", ["random", "two regions", "still"])
def test_blocks_may_take_half_of_their_prediction_or_nothing(kind: str, block: int):
    x, vectors = case(kind, block)
    halves = torch.randint(0, 3, (2, 1, *vectors.shape[2:]))
    halves[0] = 0
    results = []
    for predict in (overlapped_blocks, reference_blocks):
        copy = x.clone().requires_grad_()
        predicted = predict(copy, vectors, block, halves)
        (predicted * torch.linspace(-1, 1, x.numel()).view(x.shape)).sum().backward()
        results.append((predicted.detach(), copy.grad))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, **CLOSE)
    both = overlapped_blocks(x, vectors, block, halves) + overlapped_blocks(
        x, vectors, block, 2 - halves
    )
    torch.testing.assert_close(both, overlapped_blocks(x, vectors, block), **CLOSE)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 6), (6, 1), (9, 7)])
@pytest.mark.parametrize("block", [8, 4])
def test_pictures_may_be_as_small_as_a_block(rows: int, columns: int, block: int):
    x, vectors = case("random", block, rows, columns)
    found, expected = (f(x, vectors, block) for f in (overlapped_blocks, reference_blocks))
    torch.testing.assert_close(found, expected, **CLOSE)


def test_a_frame_of_a_clip_moves_as_by_tensor_operations():
    torch.manual_seed(4)
    frame = torch.from_numpy(city_frames(1)[1][0].y)
    x = frame[None, None, :128, :192] / 255
    units = torch.randint(-30, 30, (1, 2, x.shape[2] // 8, x.shape[3] // 8))
    units[..., 4:9] = 16  # a region that moves as one
    found, expected = (f(x, units / 4, 8) for f in (overlapped_blocks, reference_blocks))
    torch.testing.assert_close(found, expected, **CLOSE)


def test_where_nothing_moves_planes_stay_as_they_are():
    x, vectors = case("still", 8)
    assert torch.equal(overlapped_blocks(x, vectors, 8), x)


def test_planes_of_any_layout_are_taken():
    x, vectors = case("random", 4)
    apart = x.contiguous(memory_format=torch.channels_last)
    assert torch.equal(overlapped_blocks(apart, vectors, 4), overlapped_blocks(x, vectors, 4))


@pytest.mark.parametrize("kind", ["random", "two regions"])
def test_threads_change_nothing(kind: str):
    x, vectors = case(kind, 4, rows=9, columns=6)
    results = []
    for count in (1, 3):
        torch.set_num_threads(count)
        copy = x.clone().requires_grad_()
        predicted = overlapped_blocks(copy, vectors, 4)
        predicted.square().sum().backward()
        results.append((predicted.detach(), copy.grad))
    assert all(torch.equal(one, three) for one, three in zip(*results, strict=True))
