"""Motion compensation by overlapped blocks: what training differentiates is what coding does."""

import pytest
import torch
import torch.nn.functional as F

from neuralcodec.model.overlapped_blocks import overlapped_blocks

BLOCK = 4


def case() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    x = torch.rand(2, 2, 24, 32)
    vectors = torch.randint(-60, 60, (2, 2, 24 // BLOCK, 32 // BLOCK)) / 4  # some point outside
    return x, vectors


@pytest.mark.parametrize("taps", [4, 6])
def test_the_picture_is_the_same_with_and_without_a_gradient(taps):
    x, vectors = case()
    plain = overlapped_blocks(x, vectors, BLOCK, taps)
    assert torch.equal(overlapped_blocks(x.clone().requires_grad_(), vectors, BLOCK, taps), plain)


@pytest.mark.parametrize("taps", [4, 6])
def test_the_gradient_is_that_of_the_picture(taps):
    x, vectors = case()
    direction, weights = torch.randn_like(x), torch.randn_like(x)
    x.requires_grad_()
    (overlapped_blocks(x, vectors, BLOCK, taps) * weights).sum().backward()
    with torch.no_grad():  # linear in x: the change is exact
        change = (overlapped_blocks(x + direction, vectors, BLOCK, taps) * weights).sum()
        change -= (overlapped_blocks(x, vectors, BLOCK, taps) * weights).sum()
    assert x.grad is not None
    torch.testing.assert_close((x.grad * direction).sum(), change, rtol=1e-3, atol=1e-3)


def test_one_vector_for_all_is_bicubic_sampling():
    x, _ = case()
    vectors = torch.tensor([0.75, -0.5]).view(1, 2, 1, 1).expand(2, 2, 24 // BLOCK, 32 // BLOCK)
    rows, columns = torch.meshgrid(torch.arange(24.0), torch.arange(32.0), indexing="ij")
    grid = torch.stack([(columns + 0.75) * 2 / 31 - 1, (rows - 0.5) * 2 / 23 - 1], -1)
    grid = grid.expand(2, -1, -1, -1)
    sampled = F.grid_sample(x, grid, mode="bicubic", padding_mode="border", align_corners=True)
    torch.testing.assert_close(overlapped_blocks(x, vectors, BLOCK, 4), sampled, atol=1e-5, rtol=0)


def test_six_taps_keep_detail_that_four_lose():
    columns = torch.arange(128.0)
    wave = torch.cos(2 * torch.pi * columns / 3.5).expand(1, 1, 64, 128)
    moved = torch.cos(2 * torch.pi * (columns + 0.5) / 3.5)
    vectors = torch.tensor([0.5, 0.0]).view(1, 2, 1, 1).expand(1, 2, 16, 32)

    def error(taps: int) -> float:
        found = overlapped_blocks(wave, vectors, BLOCK, taps)
        return float((found - moved)[..., 32:96].abs().max())

    assert error(6) < 0.5 * error(4)


def test_samples_at_whole_vectors_are_copied():
    x, _ = case()
    vectors = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(2, 2, 24 // BLOCK, 32 // BLOCK)
    for taps in (4, 6):
        moved = overlapped_blocks(x, vectors, BLOCK, taps)
        torch.testing.assert_close(moved[:, :, 2:, :-3], x[:, :, :-2, 3:], atol=1e-6, rtol=0)
