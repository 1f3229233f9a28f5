"""What a model is made of; saved inside its weights file, so that the file rebuilds it."""

import json
import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from neuralcodec.model.model_name import check_name

QUALITIES = 64  # that can be asked for: 0 (smallest file) .. 63 (best picture)
# q of a frame, on the same scale: frames that others lean on get more than what is asked for, those
# that none refers to less (`gop_structure`)
LOWEST_Q, HIGHEST_Q = -9, 90
SCALES = 64  # entries of the scale alphabet; see `neuralcodec.model.exact`
BLOCK = 16  # luma samples per side of a latent position
VECTOR_BLOCK = 8  # luma samples per side of a motion block
MAX_CHANNELS = 4096  # of any layer
MAX_BLOCKS = 64  # of any one network
MAX_GROUPS = 64


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of all networks of one model.

    channels: width C of the feature maps at 1/8 resolution.
    latents: N, channels of the latent at 1/16 resolution.
    groups: where the channel groups of the latent end; the last equals `latents`.
    lambda_min, lambda_max: distortion weight of q = 0 and q = 63 in bpp + λ·MSE, samples in [0, 1].
    """

    name: str
    channels: int = 96
    latents: int = 384
    groups: tuple[int, ...] = (8, 24, 56, 112, 200, 384)
    prior_channels: int = 64
    vector_channels: int = 64
    intra_analysis_blocks: int = 3
    intra_synthesis_blocks: int = 4
    context_blocks: int = 2
    inter_analysis_blocks: int = 2
    inter_synthesis_blocks: int = 3
    quality_anchors: int = 12
    lambda_min: float = 50.0
    lambda_max: float = 8000.0

    def quality_lambdas(self, q: Tensor) -> Tensor:
        """λ of each q, LOWEST_Q..HIGHEST_Q: even in the log domain."""
        ratio = self.lambda_max / self.lambda_min
        return self.lambda_min * torch.exp(math.log(ratio) * q.float() / (QUALITIES - 1))

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "ModelConfig":
        """Raises ValueError or TypeError when the text is not a configuration of sane sizes."""
        fields = json.loads(text)
        fields["groups"] = tuple(fields["groups"])
        config = cls(**fields)
        config._check()
        return config

    def _check(self) -> None:
        check_name(self.name)
        for key in ("channels", "latents", "prior_channels", "vector_channels"):
            _check_size(key, getattr(self, key), 1, MAX_CHANNELS)
        for key, value in asdict(self).items():
            if key.endswith("_blocks"):
                _check_size(key, value, 0, MAX_BLOCKS)
        _check_size("quality_anchors", self.quality_anchors, 2, HIGHEST_Q - LOWEST_Q + 1)
        _check_size("the number of groups", len(self.groups), 1, MAX_GROUPS)
        start = 0
        for end in self.groups:
            _check_size("the end of a group", end, start + 1, self.latents)
            start = end
        if start != self.latents:
            raise ValueError(f"the groups end at {start}, not at {self.latents} latents")
        if not 0 < self.lambda_min < self.lambda_max < math.inf:
            raise ValueError(f"lambda from {self.lambda_min} to {self.lambda_max}")


def _check_size(name: str, value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name} is {value!r:.40} (allowed: {low} to {high})")
