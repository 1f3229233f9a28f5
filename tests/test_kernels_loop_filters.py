"""The compiled loop filters give what tensor operations give, forward and backward."""

from collections.abc import Callable

import pytest
import torch
from codec_clips import city_frames
from torch import Tensor

from neuralcodec.model.deblocking import RAMP, deblocked, reference_deblocked
from neuralcodec.model.loop_filters import (
    Filtered,
    FilteredPlane,
    blended,
    reference_blended,
)
from neuralcodec.model.smoothing import reference_smoothed, smoothed

CLOSE = {"rtol": 1e-3, "atol": 1e-4}
# (B, C, H, W): a plane of one block, of less and of more than a tile, of two channels
SHAPES = [(1, 1, 8, 8), (2, 1, 24, 72), (1, 1, 16, 272), (2, 2, 40, 88), (1, 2, 8, 536)]


def picture(*shape: int) -> Tensor:
    """Smooth parts, steps, and noise of about the limits of the filters."""
    torch.manual_seed(5)
    blocks = torch.rand(*shape[:2], shape[2] // 8, shape[3] // 8).mul_(3).round_().div_(50)
    plane = 0.4 + blocks.repeat_interleave(8, 2).repeat_interleave(8, 3)
    return plane + 0.01 * torch.randn(shape) * (torch.rand(shape) < 0.5)


def compare(
    found: Callable[..., Tensor], reference: Callable[..., Tensor], *arguments: Tensor | None
) -> None:
    """Results, and gradients of everything that is given."""
    results = []
    for function in (found, reference):
        copies = [x if x is None else x.clone().requires_grad_() for x in arguments]
        result = function(*copies)
        (result * torch.linspace(-1, 1, result.numel()).view(result.shape).cos()).sum().backward()
        results.append([result.detach(), *(x.grad for x in copies if x is not None)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, **CLOSE)


def of_deblocking(plane: Tensor) -> tuple[Tensor, ...]:
    batch = len(plane)
    return torch.linspace(0.03, 0.05, batch), torch.linspace(0.02, 0.012, batch), torch.tensor(RAMP)


def of_smoothing(plane: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    batch, channels, height, width = plane.shape
    logits = torch.randn(batch, 192, height // 8, width // 8) if channels == 1 else None
    return torch.linspace(0.0113, 0.0187, batch), torch.randn(batch, 18) / 10, logits


@pytest.mark.parametrize("shape", SHAPES)
def test_deblocking_is_that_of_tensor_operations(shape: tuple[int, ...]):
    plane = picture(*shape)
    compare(deblocked, reference_deblocked, plane, *of_deblocking(plane))


def test_equal_slopes_share_a_gradient():
    """Of integer samples many are: which one is the steepest must not be a matter of chance."""
    plane = (picture(2, 1, 32, 32) * 64).round() / 64
    compare(deblocked, reference_deblocked, plane, *of_deblocking(plane))


@pytest.mark.parametrize("shape", SHAPES)
def test_smoothing_is_that_of_tensor_operations(shape: tuple[int, ...]):
    plane = picture(*shape)
    compare(smoothed, reference_smoothed, plane, *of_smoothing(plane))


def test_no_strength_is_too_large_or_too_small():
    plane = picture(1, 1, 16, 16)
    logits = torch.linspace(-200, 200, 192 * 4).view(1, 192, 2, 2)
    compare(smoothed, reference_smoothed, plane, torch.tensor([0.01]), torch.ones(1, 18), logits)


def test_differences_at_a_limit_pass_a_gradient():
    """As those of `torch.clamp` do: the differences here are of 0, 1 and 4 units."""
    plane = torch.tensor([0.0, 1.0, 1.0, 5.0, 5.0, 4.0, 0.0, 0.0]).repeat(1, 1, 8, 1)
    compare(smoothed, reference_smoothed, plane, torch.ones(1), torch.rand(1, 18), None)


@pytest.mark.parametrize("channels", [1, 2])
def test_blending_is_that_of_tensor_operations(channels: int):
    one, other = picture(2, channels, 24, 40), picture(2, channels, 24, 40).flip(2)
    share = torch.rand(2, 1, 24 // 4, 40 // 4).mul_(1.5).clamp_(max=1)
    compare(blended, reference_blended, one, other, share)


@pytest.mark.parametrize("channels", [1, 2])
def test_errors_are_those_of_each_way(channels: int):
    plain, source = picture(2, channels, 16, 40), torch.rand(2, channels, 16, 40)
    plane = FilteredPlane(plain, plain.flip(3), torch.rand(2, 1, 2, 5))
    found = plane.errors(source)
    torch.testing.assert_close(found, plane.reference_errors(source), **CLOSE)
    for way in Filtered:
        shown = plane.shown(torch.full((2,), way))
        expected = (shown - source).square().mean((1, 2, 3))
        torch.testing.assert_close(found[way], expected, **CLOSE)


def test_a_frame_of_a_clip_is_filtered_as_by_tensor_operations():
    frame = torch.from_numpy(city_frames(1)[1][0].y)
    plane = frame[None, None, :96, :432] / 255
    compare(deblocked, reference_deblocked, plane, *of_deblocking(plane))
    compare(smoothed, reference_smoothed, plane, *of_smoothing(plane))


def filtered_with(threads: int) -> list[Tensor]:
    torch.set_num_threads(threads)
    torch.manual_seed(6)
    plane = picture(3, 1, 64, 96).requires_grad_()
    first = deblocked(plane, *of_deblocking(plane))
    second = smoothed(first, *of_smoothing(plane))
    share = torch.rand(3, 1, 8, 12, requires_grad=True)
    result = blended(first, second, share)
    result.square().sum().backward()
    errors = FilteredPlane(first, second, share).errors(plane.detach() + 0.1)
    assert plane.grad is not None and share.grad is not None
    return [result.detach(), plane.grad, share.grad, errors]


def test_threads_change_nothing():
    assert all(map(torch.equal, filtered_with(1), filtered_with(3)))
