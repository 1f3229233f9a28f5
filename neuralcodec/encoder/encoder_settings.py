"""What an encoder is asked to do."""

from dataclasses import dataclass

import torch

from neuralcodec.encoder.presets import MEDIUM, Effort
from neuralcodec.encoder.structure.mini_gops import B_FRAMES, Structure


@dataclass(frozen=True)
class EncoderSettings:
    quality: int  # 0..63
    gop: int  # most frames of a GOP
    device: torch.device
    precision: torch.dtype
    scene_cuts: bool = False  # whether a new GOP begins at each
    effort: Effort = MEDIUM
    structure: Structure = B_FRAMES
