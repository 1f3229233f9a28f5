"""Latent to symbols and back: means in two checkerboard steps.

The symbols of half of the latent are rounded around means known from outside (of intra frames, from
coarser steps of that half); the means of the other half also see the first half. Means are floats
and are added after parsing: they move the picture by rounding errors between machines, never the
parsing.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralcodec.kernels.compiled import can_run
from neuralcodec.kernels.networks.means import both_halves, known_half
from neuralcodec.model.coarse_means import CoarseMeans, Value
from neuralcodec.model.exact import round_through
from neuralcodec.model.lattice import parity_map
from neuralcodec.model.layers import Block, Float32Pointwise, Pointwise

Choose = Callable[[Tensor], Tensor]


class LatentMeans(nn.Module):
    """side: channels of (B, side, h, w) that the means are predicted from; 0 for intra frames."""

    def __init__(self, latents: int, side: int, hidden: int) -> None:
        super().__init__()
        self.first = _mean_network(side, hidden, latents) if side else CoarseMeans(latents)
        self.second = _mean_network(side + latents, hidden, latents)

    def quantise(
        self, latent: Tensor, side: Tensor | None, scale: Tensor, choose: Choose = round_through
    ) -> tuple[Tensor, Tensor]:
        """latent (B, N, h, w) in symbol units, scale (B, N, 1, 1) symbol units per latent unit;
        choose: symbols, given the latent's differences to its means.

        Returns (means, rounded): symbols = rounded - means, both with straight-through gradients.
        """
        return self._in_turn(lambda means: choose(latent - means) + means, latent, side, scale)

    def restore(self, symbols: Tensor, side: Tensor | None, scale: Tensor) -> Tensor:
        """The rounded latent from its symbols: what `quantise` gave, up to float rounding."""
        if can_run(symbols) and not torch.is_grad_enabled():
            first = self._unscaled_first(lambda means: symbols + means, symbols, side, scale)
            known, seen = known_half(symbols, first, scale)
            return both_halves(symbols, self._unscaled_second(seen, side), scale, known)
        return self.reference_restore(symbols, side, scale)

    def reference_restore(self, symbols: Tensor, side: Tensor | None, scale: Tensor) -> Tensor:
        return self._in_turn(lambda means: symbols + means, symbols, side, scale)[1]

    def _in_turn(
        self, value: Value, like: Tensor, side: Tensor | None, scale: Tensor
    ) -> tuple[Tensor, Tensor]:
        """value: means -> the rounded latent, both in symbol units; like: a latent."""
        chosen = self._chosen(like)
        means = self._unscaled_first(value, like, side, scale) * scale
        known = value(means) * chosen
        second = self._unscaled_second(known / scale, side) * scale
        means = means * chosen + second * (1 - chosen)
        return means, value(means)

    def _unscaled_first(
        self, value: Value, like: Tensor, side: Tensor | None, scale: Tensor
    ) -> Tensor:
        """In latent units."""
        if isinstance(self.first, CoarseMeans):
            count = self.first.channels
            rest = 0, 0, 0, 0, 0, like.shape[1] - count

            def unscaled(coarse: Tensor) -> Tensor:
                return (value(F.pad(coarse, rest) * scale) / scale)[:, :count]

            return F.pad(self.first(unscaled, like), rest)
        means: Tensor = self.first(side)
        return means.float()

    def _unscaled_second(self, seen: Tensor, side: Tensor | None) -> Tensor:
        read, block, write = self.second
        hidden = read(seen) if side is None else read(side, seen)
        means: Tensor = write(block(hidden))
        return means.float()

    def _chosen(self, like: Tensor) -> Tensor:
        _, channels, height, width = like.shape
        return parity_map(height, width, channels, like.device).permute(2, 0, 1)


def _mean_network(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    network = nn.Sequential(
        Pointwise(inputs, hidden), Block(hidden), Float32Pointwise(hidden, outputs)
    )
    last = network[-1]
    assert isinstance(last, nn.Conv2d)
    with torch.no_grad():
        last.weight.mul_(0.03)
        if last.bias is not None:
            last.bias.zero_()
    return network
