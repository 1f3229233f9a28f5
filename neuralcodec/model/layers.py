"""Building blocks of the float networks, all at 1/8 resolution in channels-last layout."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralcodec.kernels import tokens as kernels
from neuralcodec.kernels.compiled import can_run
from neuralcodec.model.config import QUALITIES

FEATURE_LIMIT = 1.25  # natural pictures reach 1.1


class _Bounded(torch.autograd.Function):
    """Clamping whose gradient also passes where it points back inside.

    The bound of Ballé et al. (ICLR 2018) on both sides: what has left the range can come back.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.low, ctx.high = low, high
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        stays = ((x >= ctx.low) | (gradient < 0)) & ((x <= ctx.high) | (gradient > 0))
        return gradient * stays, None, None


def bounded(x: Tensor, low: float = -FEATURE_LIMIT, high: float = FEATURE_LIMIT) -> Tensor:
    """x clamped to low..high."""
    clamped: Tensor = _Bounded.apply(x, low, high)
    return clamped


def planes_to_tokens(y: Tensor, uv: Tensor) -> Tensor:
    """(B, 1, H, W) luma and (B, 2, H/2, W/2) chroma -> (B, 96, H/8, W/8); H, W multiples of 16."""
    if can_run(y, uv) and y.dtype == uv.dtype == torch.float32:
        return kernels.planes_to_tokens(y, uv)
    return reference_tokens(y, uv)


def reference_tokens(y: Tensor, uv: Tensor) -> Tensor:
    """The same by tensor operations."""
    tokens = torch.cat([F.pixel_unshuffle(y, 8), F.pixel_unshuffle(uv, 4)], 1)
    return tokens.contiguous(memory_format=torch.channels_last)


def tokens_to_planes(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Inverse of `planes_to_tokens`."""
    if can_run(tokens) and tokens.dtype == torch.float32:
        return kernels.tokens_to_planes(tokens)
    return reference_planes(tokens)


def reference_planes(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """The same by tensor operations."""
    return F.pixel_shuffle(tokens[:, :64], 8), F.pixel_shuffle(tokens[:, 64:], 4)


class Block(nn.Module):
    """Depthwise-separable convolution, then a gated feed-forward layer, each with a skip.

    The block of DCVC-RT (Jia et al., CVPR 2025), without normalisation. The gate multiplies:
    hence the bound, without which pictures unlike the training data grow from block to block.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix_in = nn.Conv2d(channels, channels, 1)
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.mix_out = nn.Conv2d(channels, channels, 1)
        self.gate_in = nn.Conv2d(channels, 2 * channels, 1)
        self.gate_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mix_out(self.depthwise(F.leaky_relu(self.mix_in(x), 0.1)))
        value, gate = self.gate_in(x).chunk(2, 1)
        return bounded(x + self.gate_out(F.silu(value) * gate))


def blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*[Block(channels) for _ in range(count)])


class Upsample(nn.Module):
    """1x1 convolution to four times the channels, then pixel shuffle: 1/16 -> 1/8 resolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(inputs, 4 * outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        shuffled: Tensor = F.pixel_shuffle(self.expand(x), 2)
        return shuffled.contiguous(memory_format=torch.channels_last)


class QualityVector(nn.Module):
    """One learned vector per quality, interpolated linearly between a few anchors over q."""

    def __init__(self, channels: int, anchors: int) -> None:
        super().__init__()
        self.anchors = nn.Parameter(torch.zeros(anchors, channels, dtype=torch.float32))

    def forward(self, q: Tensor) -> Tensor:
        """q (B,) in 0..63 -> (B, channels, 1, 1)."""
        last = self.anchors.shape[0] - 1
        position = q.float() * (last / (QUALITIES - 1))
        low = position.floor().clamp(max=last - 1).long()
        t = (position - low)[:, None]
        return torch.lerp(self.anchors[low], self.anchors[low + 1], t)[:, :, None, None]


class Float32Conv(nn.Conv2d):
    """A convolution that stays in float32 where others run in bfloat16: what it gives is added to
    samples or symbols as it is, and large values would be off by a good part of a step."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


class LinearTransform(nn.Module):
    """The linear path: 2x2 tokens (384 samples) <-> N coefficients, starting as a cosine
    transform.

    Always in float32: a bfloat16 latent of magnitude 190 would be off by half a step.
    """

    def __init__(self, latents: int) -> None:
        super().__init__()
        self.forward_basis = nn.Parameter(torch.zeros(latents, 96, 2, 2, dtype=torch.float32))
        self.inverse_basis = nn.Parameter(torch.zeros(384, latents, 1, 1, dtype=torch.float32))

    def analyse(self, tokens: Tensor) -> Tensor:
        """(B, 96, h, w) -> (B, N, h/2, w/2)."""
        with torch.autocast(tokens.device.type, enabled=False):
            return F.conv2d(tokens.float(), self.forward_basis, stride=2)

    def synthesise(self, latent: Tensor) -> Tensor:
        """(B, N, h, w) -> (B, 96, 2h, 2w)."""
        with torch.autocast(latent.device.type, enabled=False):
            return F.pixel_shuffle(F.conv2d(latent.float(), self.inverse_basis), 2)
