"""Motion compensation by overlapped blocks: what training differentiates is what coding does."""

import torch
import torch.nn.functional as F

from neuralcodec.model.motion_compensation import overlapped_blocks

BLOCK = 4


def case() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    x = torch.rand(2, 2, 24, 32)
    vectors = torch.randint(-60, 60, (2, 2, 24 // BLOCK, 32 // BLOCK)) / 4  # some point outside
    return x, vectors


def test_the_picture_is_the_same_with_and_without_a_gradient():
    x, vectors = case()
    plain = overlapped_blocks(x, vectors, BLOCK)
    assert torch.equal(overlapped_blocks(x.clone().requires_grad_(), vectors, BLOCK), plain)


def test_the_gradient_is_that_of_the_picture():
    x, vectors = case()
    direction, weights = torch.randn_like(x), torch.randn_like(x)
    x.requires_grad_()
    (overlapped_blocks(x, vectors, BLOCK) * weights).sum().backward()
    with torch.no_grad():  # linear in x: the change is exact
        change = (overlapped_blocks(x + direction, vectors, BLOCK) * weights).sum()
        change -= (overlapped_blocks(x, vectors, BLOCK) * weights).sum()
    assert x.grad is not None
    torch.testing.assert_close((x.grad * direction).sum(), change, rtol=1e-3, atol=1e-3)


def test_fine_detail_survives_half_a_sample_of_motion():
    columns = torch.arange(128.0)
    wave = torch.cos(2 * torch.pi * columns / 3.5).expand(1, 1, 64, 128)
    moved = torch.cos(2 * torch.pi * (columns + 0.5) / 3.5)
    vectors = torch.tensor([0.5, 0.0]).view(1, 2, 1, 1).expand(1, 2, 16, 32)
    found = overlapped_blocks(wave, vectors, BLOCK)
    grid = torch.stack([(columns + 0.5) * 2 / 127 - 1, torch.zeros(128)], -1)[None, None]
    bicubic = F.grid_sample(wave[:, :, :1], grid, mode="bicubic", align_corners=True)

    def error(picture: torch.Tensor) -> float:
        return float((picture - moved)[..., 32:96].abs().max())

    assert error(found) < 0.5 * error(bicubic)


def test_samples_at_whole_vectors_are_copied():
    x, _ = case()
    vectors = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(2, 2, 24 // BLOCK, 32 // BLOCK)
    moved = overlapped_blocks(x, vectors, BLOCK)
    torch.testing.assert_close(moved[:, :, 2:, :-3], x[:, :, :-2, 3:], atol=1e-6, rtol=0)
