"""Positions of an inter frame at which the prediction stands, sample for sample: nothing is sent,
corrected or filtered there, and the recurrent feature is warped only.

Without them what stands still fades: networks retouch it in every frame, and a still picture loses
2 dB in 48 frames.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.model.config import BLOCK, VECTOR_BLOCK
from neuralcodec.model.distortion import CHROMA_WEIGHT, LUMA_WEIGHT
from neuralcodec.model.recurrence import State


def with_skipped(coded: State, still: State, skipped: Tensor) -> State:
    """The frame as coded (shapes as in `State`), as predicted where `skipped` says so."""
    if surely_none(skipped):
        return coded

    def merged(one: Tensor, other: Tensor, side: int) -> Tensor:
        mask = (
            skipped.repeat_interleave(side, 2).repeat_interleave(side, 3) if side > 1 else skipped
        )
        return torch.where(mask > 0, other, one)

    return State(
        merged(coded.y, still.y, BLOCK),
        merged(coded.uv, still.uv, BLOCK // 2),
        merged(coded.feature, still.feature.to(coded.feature.dtype), BLOCK // VECTOR_BLOCK),
        merged(coded.latent, still.latent, 1),
    )


def surely_none(flags: Tensor) -> bool:
    """Never on a GPU, which would have to be waited for."""
    return flags.device.type == "cpu" and not bool(flags.any())


def position_errors(shown: State, source: tuple[Tensor, Tensor]) -> Tensor:
    """To the source y, uv, squared, mean of each position, weighted as in `distortion`:
    (B, 1, h, w)."""
    y, uv = source
    luma = F.avg_pool2d((shown.y - y).square(), BLOCK)
    chroma = F.avg_pool2d((shown.uv - uv).square().mean(1, keepdim=True), BLOCK // 2)
    return LUMA_WEIGHT * luma + CHROMA_WEIGHT * chroma
