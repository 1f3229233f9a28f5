"""One model: all networks, assembled from a configuration."""

import copy

import torch
from torch import Tensor, nn

from neuralcodec.model.config import ModelConfig
from neuralcodec.model.exact import ExactLayer, log_magnitude_table
from neuralcodec.model.inter import InterCoder
from neuralcodec.model.intra import IntraCoder
from neuralcodec.model.layers import Float32Conv
from neuralcodec.model.priors import ScalePrior
from neuralcodec.model.vector_prior import VectorPrior


class VideoModel(nn.Module):
    """Intra and inter transforms (float) and the priors of latent and vectors (exact)."""

    log_table: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.intra = IntraCoder(config)
        self.inter = InterCoder(config)
        self.intra_prior = ScalePrior(config, inter=False)
        self.inter_prior = ScalePrior(config, inter=True)
        self.vector_prior = VectorPrior(config)
        self.register_buffer("log_table", log_magnitude_table())
        self.float()  # whatever PyTorch's default is in this program

    def exact_layers(self) -> list[ExactLayer]:
        return [m for m in self.modules() if isinstance(m, ExactLayer)]

    def with_fast_networks(self, precision: torch.dtype) -> "VideoModel":
        """A copy whose float networks have their weights in `precision`, to run under autocast.
        Linear transforms, quantiser steps, means and exact layers stay in float32."""
        fast = copy.deepcopy(self)
        for coder in (fast.intra, fast.inter):
            for module in coder.modules():
                if isinstance(module, nn.Conv2d) and not isinstance(module, Float32Conv):
                    module.to(precision)
        return fast
