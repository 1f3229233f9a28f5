"""What has a closed form starts without training: the linear transforms and the quantiser steps.

The transforms are cosine transforms. The KLT of the training data, from which the first weights
began, is the better one for Gaussian sources alone: where eigenvalues are nearly equal its basis is
an arbitrary mixture, in which an edge takes many coefficients. At equal PSNR it needs 10 to 40 %
more bits than the DCT of 16x16 samples (first-order entropies), and 20 to 90 % more for what motion
leaves of inter frames.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.model.config import HIGHEST_Q, LOWEST_Q, ModelConfig
from neuralcodec.model.distortion import CHROMA_WEIGHT, LUMA_WEIGHT
from neuralcodec.model.layers import LinearTransform, QualityVector, planes_to_tokens
from neuralcodec.model.motion_compensation import warp_planes
from neuralcodec.model.recurrence import MIDDLE
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.sampling import Sampler
from neuralcodec.training.source_motion import with_source_motion

# Of a chroma sample, beside one of luma: there are half as many.
CHROMA_GAIN = math.sqrt(2 * CHROMA_WEIGHT / LUMA_WEIGHT)
LOW_RATE = 0.8  # steps are a little finer than high-rate theory says


def initialise(model: VideoModel, sampler: Sampler, rounds: int = 60) -> None:
    """Cosine transforms, the strongest coefficients first; steps from λ; quiet networks."""
    intra, inter = torch.zeros(384).double(), torch.zeros(384).double()
    for _ in range(rounds):
        drawn = with_source_motion(model.config, sampler.batch(8, 2, 128))
        y, uv, of_first = drawn.y, drawn.uv, drawn.motion[:, 0, 1:3]
        tokens = planes_to_tokens(y[:, 1], uv[:, 1])
        warped = warp_planes(y[:, 0], uv[:, 0], of_first)
        intra += energies(intra_basis(), tokens - MIDDLE)
        inter += energies(inter_basis(), tokens - planes_to_tokens(*warped))
    with torch.no_grad():
        set_basis(model.intra.linear, intra_basis(), intra)
        set_basis(model.inter.linear, inter_basis(), inter)
        for coder in (model.intra, model.inter):
            set_steps(model.config, coder.log_gain, coder.log_step)
            quieten(coder.head)
            quieten(coder.analysis[-1])
        quieten(model.inter.correct)


def intra_basis() -> Tensor:
    """(384, 96, 2, 2), orthonormal: the DCT of 16x16 luma samples and of 8x8 of each chroma."""
    return _patches(_products(_cosines(16)), _products(_cosines(8)))


def inter_basis() -> Tensor:
    """(384, 96, 2, 2), orthonormal: what motion leaves is local, so luma has the DCT of its four
    8x8 blocks, their means combined by a Haar transform; chroma as in intra frames. First-order
    entropies are 5 % (q 12) to 12 % (q 60) below those of the DCT of 16x16."""
    small = _products(_cosines(8))
    luma = torch.zeros(4, 64, 16, 16, dtype=torch.float64)
    for number in range(4):
        top, left = number // 2 * 8, number % 2 * 8
        luma[number, :, top : top + 8, left : left + 8] = small
    haar = torch.tensor([[1, 1], [1, -1]], dtype=torch.float64)
    means = torch.kron(haar, haar) / 2
    luma[:, 0] = torch.einsum("ab,bhw->ahw", means, luma[:, 0])
    return _patches(luma.flatten(0, 1), small)


def _cosines(size: int) -> Tensor:
    """The orthonormal DCT-II: (frequency, sample)."""
    frequency = torch.arange(size, dtype=torch.float64)[:, None]
    sample = torch.arange(size, dtype=torch.float64)[None]
    basis = torch.cos(math.pi / size * (sample + 0.5) * frequency) * math.sqrt(2 / size)
    basis[0] /= math.sqrt(2)
    return basis


def _products(basis: Tensor) -> Tensor:
    """(n, n) of one dimension -> (n * n, n, n) of two."""
    return torch.einsum("ai,bj->abij", basis, basis).flatten(0, 1)


def _patches(luma: Tensor, chroma: Tensor) -> Tensor:
    """luma (256, 16, 16), chroma (64, 8, 8) of either plane -> (384, 96, 2, 2)."""
    y = torch.zeros(384, 1, 16, 16, dtype=torch.float64)
    uv = torch.zeros(384, 2, 8, 8, dtype=torch.float64)
    y[:256, 0] = luma
    uv[256:320, 0] = chroma
    uv[320:, 1] = chroma
    return planes_to_tokens(y, uv)


def weighted_patches(tokens: Tensor) -> Tensor:
    """(B, 96, H/8, W/8) -> (patches, 384) in float64; squared differences weigh as in the loss."""
    weighted = torch.cat([tokens[:, :64], tokens[:, 64:] * CHROMA_GAIN], 1)
    return F.unfold(weighted, 2, stride=2).transpose(1, 2).flatten(0, 1).double()


def energies(basis: Tensor, tokens: Tensor) -> Tensor:
    """(384,): the sum of squares of each coefficient."""
    return (weighted_patches(tokens) @ basis.flatten(1).T).square().sum(0)


def patch_gains() -> Tensor:
    """(384,): what `weighted_patches` multiplies each sample of a patch with."""
    gains = torch.ones(384).double()
    gains[256:] = CHROMA_GAIN
    return gains


def set_basis(linear: LinearTransform, basis: Tensor, energy: Tensor) -> None:
    """The strongest coefficients of a basis (384, 96, 2, 2), in their order."""
    latents = linear.forward_basis.shape[0]
    chosen = basis.flatten(1)[energy.argsort(descending=True)[:latents]]
    gains = patch_gains()
    linear.forward_basis.copy_((chosen * gains).reshape(latents, 96, 2, 2))
    linear.inverse_basis.copy_((chosen / gains).T.reshape(384, latents, 1, 1))


def log_steps(config: ModelConfig) -> Tensor:
    """Logarithm of the quantiser step that λ asks for, of each anchor of the quality."""
    weights = config.quality_lambdas(torch.linspace(LOWEST_Q, HIGHEST_Q, config.quality_anchors))
    return torch.log(LOW_RATE * torch.sqrt(6 / (math.log(2) * LUMA_WEIGHT * weights)))


def set_steps(config: ModelConfig, gain: QualityVector, step: QualityVector) -> None:
    """The same for all channels, by λ."""
    step.anchors.copy_(log_steps(config)[:, None].expand_as(step.anchors))
    gain.anchors.copy_(-step.anchors)


def quieten(layer: torch.nn.Module) -> None:
    """What the layer adds to a linear path begins near nothing."""
    assert isinstance(layer, torch.nn.Conv2d) and layer.bias is not None
    layer.weight.mul_(0.03)
    layer.bias.zero_()
