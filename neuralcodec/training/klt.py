"""What has a closed form starts from the data: the linear transforms and the quantiser steps."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.model.config import QUALITIES, ModelConfig
from neuralcodec.model.distortion import CHROMA_WEIGHT, LUMA_WEIGHT
from neuralcodec.model.layers import LinearTransform, QualityVector, planes_to_tokens
from neuralcodec.model.state import MIDDLE
from neuralcodec.model.video_model import VideoModel
from neuralcodec.model.warp import warp_planes
from neuralcodec.training.objective import source_vectors
from neuralcodec.training.sampling import Sampler

# Of a chroma sample, beside one of luma: there are half as many.
CHROMA_GAIN = math.sqrt(2 * CHROMA_WEIGHT / LUMA_WEIGHT)
LOW_RATE = 0.8  # steps are a little finer than high-rate theory says


def initialise(model: VideoModel, sampler: Sampler, rounds: int = 60) -> None:
    """KLT of intra tokens and of motion-compensated differences; steps from λ; quiet networks."""
    intra, inter = torch.zeros(384, 384).double(), torch.zeros(384, 384).double()
    for _ in range(rounds):
        y, uv, q = sampler.batch(8, 2, 128)
        tokens = planes_to_tokens(y[:, 1], uv[:, 1])
        vectors = source_vectors(model.config, y, q)[:, 0]
        warped = warp_planes(y[:, 0], uv[:, 0], vectors, model.config.motion_taps)
        intra += _covariance(tokens - MIDDLE)
        inter += _covariance(tokens - planes_to_tokens(*warped))
    with torch.no_grad():
        _set_basis(model.intra.linear, intra)
        _set_basis(model.inter.linear, inter)
        for coder in (model.intra, model.inter):
            _set_steps(model, coder.log_gain, coder.log_step)
            _quieten(coder.head)
            _quieten(coder.analysis[-1])
        _quieten(model.inter.correct)


def weighted_patches(tokens: Tensor) -> Tensor:
    """(B, 96, H/8, W/8) -> (patches, 384) in float64; squared differences weigh as in the loss."""
    weighted = torch.cat([tokens[:, :64], tokens[:, 64:] * CHROMA_GAIN], 1)
    return F.unfold(weighted, 2, stride=2).transpose(1, 2).flatten(0, 1).double()


def _covariance(tokens: Tensor) -> Tensor:
    patches = weighted_patches(tokens)
    return patches.T @ patches


def patch_gains() -> Tensor:
    """(384,): what `weighted_patches` multiplies each sample of a patch with."""
    gains = torch.ones(384).double()
    gains[256:] = CHROMA_GAIN
    return gains


def _set_basis(linear: LinearTransform, covariance: Tensor) -> None:
    latents = linear.forward_basis.shape[0]
    basis = torch.linalg.eigh(covariance)[1].flip(1)[:, :latents]
    gains = patch_gains()
    linear.forward_basis.copy_((basis * gains[:, None]).T.reshape(latents, 96, 2, 2))
    linear.inverse_basis.copy_((basis / gains[:, None]).reshape(384, latents, 1, 1))


def log_steps(config: ModelConfig) -> Tensor:
    """Logarithm of the quantiser step that λ asks for, of each anchor of the quality."""
    weights = config.quality_lambdas(torch.linspace(0, QUALITIES - 1, config.quality_anchors))
    return torch.log(LOW_RATE * torch.sqrt(6 / (math.log(2) * LUMA_WEIGHT * weights)))


def _set_steps(model: VideoModel, gain: QualityVector, step: QualityVector) -> None:
    step.anchors.copy_(log_steps(model.config)[:, None].expand_as(step.anchors))
    gain.anchors.copy_(-step.anchors)


def _quieten(layer: torch.nn.Module) -> None:
    assert isinstance(layer, torch.nn.Conv2d) and layer.bias is not None
    layer.weight.mul_(0.03)
    layer.bias.zero_()
