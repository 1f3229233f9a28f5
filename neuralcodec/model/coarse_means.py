"""Means of intra frames where no neighbour is known yet, from coarse to fine.

The first half of a checkerboard has no known neighbours, and the lowest frequencies, the mean of a
block first of all, cost it several times what they cost the second half. So the first channels
become known in four steps, each between the positions of those before (as in progressive scans and
the quadtree contexts of DCVC-DC, Li et al., CVPR 2023): a weighted mean of the neighbours that are
known (normalised convolution, Knutsson and Westin, 1993) and what a small network makes of them.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralcodec.model.lattice import COARSE_CHANNELS, COARSE_STEPS, step_map
from neuralcodec.model.layers import SLOPE, Convolution

SIDE = 5  # of the neighbourhood, in latent positions
HIDDEN = 48
FALL_OFF = 1.0  # of the logarithm of a neighbour's weight, per position of its distance; at first

# Means -> values, both in the same units, (B, channels, h, w)
Value = Callable[[Tensor], Tensor]


class Between(nn.Module):
    """One step: the means of all positions, given some that are known."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.nearness = nn.Parameter(_nearness().repeat(channels, 1, 1, 1))
        self.look = Convolution(channels, HIDDEN, SIDE, padding=SIDE // 2)
        self.correct = Convolution(HIDDEN, channels, 1)
        with torch.no_grad():
            self.correct.weight.mul_(0.03)
            if self.correct.bias is not None:
                self.correct.bias.zero_()

    def forward(self, values: Tensor, known: Tensor) -> Tensor:
        """values (B, channels, h, w), 0 where known (channels, h, w) is 0."""
        weight, channels = self.nearness.exp(), len(known)
        total = F.conv2d(values, weight, padding=SIDE // 2, groups=channels)
        weights = F.conv2d(known[None], weight, padding=SIDE // 2, groups=channels)
        mean = total / weights.clamp(min=1e-6)
        hidden = F.leaky_relu(self.look(values), SLOPE)
        corrected: Tensor = mean + self.correct(hidden)
        return corrected


class CoarseMeans(nn.Module):
    """Always in float32, whatever other networks run in: a mean of 200 steps would be off by half
    a step."""

    def __init__(self, latents: int) -> None:
        super().__init__()
        self.channels = min(COARSE_CHANNELS, latents)
        self.steps = nn.ModuleList(Between(self.channels) for _ in range(1, COARSE_STEPS))

    def forward(self, value: Value, like: Tensor) -> Tensor:
        """value: of the first channels, in latent units, asked once for each step but the last;
        like (B, any, h, w). The means (B, channels, h, w) of the first half, in latent units; 0
        elsewhere."""
        with torch.autocast(like.device.type, enabled=False):
            step_of = step_map(*like.shape[-2:], self.channels, like.device).permute(2, 0, 1)
            means = like.new_zeros(len(like), *step_of.shape)
            known = step_of == 0
            values = value(means) * known
            for number, step in enumerate(self.steps, 1):
                chosen = step_of == number
                means = means + step(values, known.float()) * chosen
                if number < COARSE_STEPS - 1:
                    values = values + value(means) * chosen
                    known = known | chosen
            return means


def _nearness() -> Tensor:
    """(1, 1, SIDE, SIDE)."""
    away = torch.arange(SIDE, dtype=torch.float32, device="cpu") - SIDE // 2
    return -FALL_OFF * (away.square() + away[:, None].square()).sqrt()[None, None]
