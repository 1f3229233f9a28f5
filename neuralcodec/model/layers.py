"""Building blocks of the float networks, all at 1/8 resolution in channels-last layout."""

from collections.abc import Sequence
from itertools import chain
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralcodec.kernels.compiled import can_run
from neuralcodec.kernels.networks.forward_block import forward_block, packed_block
from neuralcodec.kernels.networks.learning_block import GatedBlock
from neuralcodec.kernels.networks.matrix import Packed, packed, product
from neuralcodec.kernels.pixels import tokens as kernels
from neuralcodec.model.config import HIGHEST_Q, LOWEST_Q
from neuralcodec.model.kept import kept

SLOPE = 0.1  # of leaky rectifiers
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


class Convolution(nn.Conv2d):
    """One whose weights are not drawn where they are to be loaded: on the meta device, where
    PyTorch takes a millisecond for each."""

    def reset_parameters(self) -> None:
        if not self.weight.is_meta:
            super().reset_parameters()


class Depthwise(Convolution):
    """A 3x3 convolution of each channel by itself."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, padding=1, groups=channels)


class Pointwise(Convolution):
    """A 1x1 convolution: on a CPU a matrix product, which in channels-last layout needs no copy and
    is differentiated in three quarters of the time."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 1, bias=bias)

    def forward(self, *parts: Tensor, plus: Tensor | None = None) -> Tensor:
        """parts (B, any, h, w): the inputs, as `torch.cat` would join them; plus (B, N, h, w),
        float32: to be added."""
        if _only_forward(parts[0], self.weight):
            return _mixed(parts, kept(self, self._packed), plus)
        mixed = mix_channels(
            parts[0] if len(parts) == 1 else torch.cat(parts, 1), self.weight, self.bias
        )
        return mixed if plus is None else plus + mixed.float()

    def _packed(self) -> Packed:
        return packed(self.weight.flatten(1), self.bias)


class Downsample(Convolution):
    """A 2x2 convolution of stride 2: each square of four positions to one."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        layer = kept(self, self._packed) if _only_forward(x, self.weight) else None
        return mix_squares(x, self.weight, self.bias, layer)

    def _packed(self) -> Packed:
        return packed(_rows_of_squares(self.weight), self.bias)


def mix_channels(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(B, C, h, w) by a weight (N, C, 1, 1) -> (B, N, h, w)."""
    if x.device.type != "cpu":
        return F.conv2d(x, weight, bias)
    return F.linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias).permute(0, 3, 1, 2)


def _mixed(parts: Sequence[Tensor], layer: Packed, plus: Tensor | None = None) -> Tensor:
    """The same by kernels, of maps (B, any, h, w) side by side."""
    rows = [part.permute(0, 2, 3, 1) for part in parts]
    more = None if plus is None else plus.permute(0, 2, 3, 1)
    return product(rows, layer, more).permute(0, 3, 1, 2)


def mix_squares(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, layer: Packed | None = None
) -> Tensor:
    """(B, C, h, w) by a weight (N, C, 2, 2) -> (B, N, h/2, w/2). layer: the same, where kernels are
    to do it."""
    if x.device.type != "cpu":
        return F.conv2d(x, weight, bias, stride=2)
    batch, channels, height, width = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(batch, height // 2, 2, width // 2, 2, channels)
    rows = rows.transpose(2, 3).flatten(3)
    if layer is None:
        return F.linear(rows, _rows_of_squares(weight), bias).permute(0, 3, 1, 2)
    return product([rows], layer).permute(0, 3, 1, 2)


def _rows_of_squares(weight: Tensor) -> Tensor:
    """(N, C, 2, 2) -> (N, 4 C), in the order of `mix_squares`."""
    return weight.permute(0, 2, 3, 1).flatten(1)


def _only_forward(x: Tensor, weight: Tensor) -> bool:
    """Whether kernels without gradients, of float32, give what is wanted."""
    return (
        can_run(x, weight)
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
    )


class Block(nn.Module):
    """Depthwise-separable convolution, then a gated feed-forward layer, each with a skip.

    The block of DCVC-RT (Jia et al., CVPR 2025), without normalisation. The gate multiplies:
    hence the bound, without which pictures unlike the training data grow from block to block.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix_in = Pointwise(channels, channels)
        self.depthwise = Depthwise(channels)
        self.mix_out = Pointwise(channels, channels)
        self.gate_in = Pointwise(channels, 2 * channels)
        self.gate_out = Pointwise(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        if can_run(x):
            if _only_forward(x, self.mix_in.weight):
                block = kept(self, lambda: packed_block(self._parameters_in_order()))
                return forward_block(x, block, SLOPE, FEATURE_LIMIT)
            parameters = chain.from_iterable(self._parameters_in_order())
            result: Tensor = GatedBlock.apply(x, *parameters, SLOPE, FEATURE_LIMIT)
            return result
        return self._by_tensors(x)

    def _parameters_in_order(self) -> list[tuple[Tensor, Tensor]]:
        layers = (self.mix_in, self.depthwise, self.mix_out, self.gate_in, self.gate_out)
        return [(layer.weight, cast(Tensor, layer.bias)) for layer in layers]

    def _by_tensors(self, x: Tensor) -> Tensor:
        x = x + self.mix_out(self.depthwise(F.leaky_relu(self.mix_in(x), SLOPE)))
        value, gate = self.gate_in(x).chunk(2, 1)
        return bounded(x + self.gate_out(F.silu(value) * gate))


def blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*[Block(channels) for _ in range(count)])


class Upsample(nn.Module):
    """1x1 convolution to four times the channels, then pixel shuffle: 1/16 -> 1/8 resolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.expand = Pointwise(inputs, 4 * outputs)

    def forward(self, x: Tensor) -> Tensor:
        shuffled: Tensor = F.pixel_shuffle(self.expand(x), 2)
        return shuffled.contiguous(memory_format=torch.channels_last)


class QualityVector(nn.Module):
    """One learned vector per q, interpolated linearly between a few anchors over q."""

    def __init__(self, channels: int, anchors: int) -> None:
        super().__init__()
        self.anchors = nn.Parameter(torch.zeros(anchors, channels, dtype=torch.float32))

    def forward(self, q: Tensor) -> Tensor:
        """q (B,) in LOWEST_Q..HIGHEST_Q -> (B, channels, 1, 1)."""
        last = self.anchors.shape[0] - 1
        position = (q.float() - LOWEST_Q) * (last / (HIGHEST_Q - LOWEST_Q))
        low = position.floor().clamp(max=last - 1).long()
        t = (position - low)[:, None]
        return torch.lerp(self.anchors[low], self.anchors[low + 1], t)[:, :, None, None]


class Float32Pointwise(Pointwise):
    """One that stays in float32 where others run in bfloat16: what it gives is added to
    samples or symbols as it is, and large values would be off by a good part of a step."""

    def forward(self, *parts: Tensor, plus: Tensor | None = None) -> Tensor:
        with torch.autocast(parts[0].device.type, enabled=False):
            return super().forward(*(part.float() for part in parts), plus=plus)


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
            return mix_squares(tokens.float(), self.forward_basis, layer=self._layer(tokens, 0))

    def synthesise(self, latent: Tensor) -> Tensor:
        """(B, N, h, w) -> (B, 96, 2h, 2w)."""
        with torch.autocast(latent.device.type, enabled=False):
            layer = self._layer(latent, 1)
            if layer is None:
                return F.pixel_shuffle(mix_channels(latent.float(), self.inverse_basis), 2)
            return F.pixel_shuffle(_mixed([latent], layer), 2)

    def _layer(self, x: Tensor, number: int) -> Packed | None:
        if not _only_forward(x.float(), self.forward_basis):
            return None
        return kept(self, self._packed)[number]

    def _packed(self) -> tuple[Packed, Packed]:
        rows = _rows_of_squares(self.forward_basis), self.inverse_basis.flatten(1)
        return packed(rows[0], None), packed(rows[1], None)
