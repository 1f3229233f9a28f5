"""Which positions of an inter frame an encoder skips: where that costs less, what says so and what
need not be said counted."""

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.model.code_length import decision_bits, laplace_bits
from neuralcodec.model.config import BLOCK
from neuralcodec.model.exact import exact_float32
from neuralcodec.model.frame_step import FrameCoding
from neuralcodec.model.recurrence import State
from neuralcodec.model.skip_prior import AREA, SkipPrior, whole_areas
from neuralcodec.model.skipping import position_errors

ROUNDS = 2  # each with the prices that the positions chosen before make


@torch.no_grad()
def choose_skipped(coded: State, still: State, source: tuple[Tensor, Tensor]) -> Tensor:
    """Where the prediction is as near to the source y, uv as what the networks and the symbols make
    of it, (B, 1, h, w) of 0 and 1."""
    return (position_errors(still, source) <= position_errors(coded, source)).float()


@torch.no_grad()
def choose_by_price(
    coded: State, symbols: Tensor, indices: Tensor, coding: FrameCoding, prior: SkipPrior
) -> Tensor:
    """The same, but where bits + λ·distortion are lower. symbols (B, N, h, w) of the frame as coded
    without any position skipped, indices of their scales.

    Whole areas are chosen by errors alone: there flags take next to nothing."""
    assert coding.prediction is not None
    still = coding.prediction.still
    skipped = choose_skipped(coded, still, coding.source)
    worse = position_errors(still, coding.source) - position_errors(coded, coding.source)
    saved = laplace_bits(symbols, indices).sum(1, keepdim=True)
    saved = saved - coding.weight[:, None, None, None] * BLOCK**2 * worse
    for _ in range(ROUNDS):
        areas = F.interpolate(whole_areas(skipped), scale_factor=AREA)
        areas = areas[..., : skipped.shape[2], : skipped.shape[3]]
        by_price = saved + _bits_of_no_over_yes(skipped, coding, prior) >= 0
        skipped = torch.where(areas > 0, skipped, by_price.float())
    return skipped


def _bits_of_no_over_yes(skipped: Tensor, coding: FrameCoding, prior: SkipPrior) -> Tensor:
    """How much more it takes to say that a position is not skipped, (B, 1, h, w), among others that
    are or are not; 0 where nothing is said."""
    more = torch.zeros_like(skipped)
    with exact_float32(skipped.device.type):
        for step in prior.walk(skipped, coding.skip_context, coding.log_table):
            if not step.is_area:
                yes = torch.ones_like(step.asked)
                bits = decision_bits(~yes, step.indices) - decision_bits(yes, step.indices)
                more = torch.where(step.asked[:, None], bits[:, None], more)
    return more
