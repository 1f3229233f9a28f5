"""Warped features, and latents restored from their symbols, against the same by tensors."""

import pytest
import torch

from neuralcodec.model.latent import LatentMeans
from neuralcodec.model.motion_compensation import reference_warp_feature, warp_feature

SIZES = [(1, 3, 1, 1), (2, 16, 5, 7), (3, 8, 1, 9), (1, 96, 12, 20)]


@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize("reach", [0, 3, 70, 1023])
def test_features_are_warped_as_by_tensors(shape: tuple[int, ...], reach: int):
    torch.manual_seed(reach)
    feature = torch.randn(shape).to(memory_format=torch.channels_last)
    vectors = torch.randint(-reach, reach + 1, (shape[0], 2, *shape[2:])).float()
    weights = torch.randn(shape)
    results = []
    for warp in (warp_feature, reference_warp_feature):
        leaf = feature.clone().requires_grad_()
        warped = warp(leaf, vectors)
        results.append((warped, *torch.autograd.grad((warped * weights).sum(), leaf)))
    for ours, theirs in zip(*results, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=2e-4)
    assert results[0][0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("side", [0, 10], ids=["intra", "inter"])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 6)], ids=str)
def test_a_latent_is_restored_as_by_tensors(side: int, size: tuple[int, int]):
    torch.manual_seed(side)
    means = LatentMeans(12, side, 8)
    with torch.no_grad():
        for parameter in means.parameters():
            parameter.normal_().mul_(0.3)
        symbols = torch.randint(-3, 4, (2, 12, *size)).float()
        scale = torch.rand(2, 12, 1, 1) + 0.5
        seen = torch.randn(2, side, *size) if side else None
        found = means.restore(symbols, seen, scale)
        wanted = means.reference_restore(symbols, seen, scale)
    assert torch.allclose(found, wanted, rtol=0, atol=1e-5)


def test_what_was_quantised_is_restored():
    torch.manual_seed(1)
    means = LatentMeans(12, 10, 8)
    latent, side, scale = (
        torch.randn(1, 12, 4, 6) * 3,
        torch.randn(1, 10, 4, 6),
        torch.ones(1, 12, 1, 1),
    )
    with torch.no_grad():
        centre, rounded = means.quantise(latent, side, scale)
        restored = means.restore((rounded - centre).round(), side, scale)
    assert torch.allclose(restored, rounded, atol=1e-5)
