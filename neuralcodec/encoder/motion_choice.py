"""Motion vectors chosen once more, by what the vector prior charges for them.

The search estimates bits; the prior's networks know them, given the blocks already described. So
the field is walked in coding order, and each block takes the cheapest of what it can name (zero,
the last frame's vector, its known neighbours') and of what the search found.
"""

import torch
from torch import Tensor

from neuralcodec.encoder.motion_search import BlockCosts, absolute_error_lambda
from neuralcodec.model.code_length import option_bits
from neuralcodec.model.exact import exact_float32
from neuralcodec.model.motion_prior import VectorPrior

BIT_PRICE = 0.25  # of a bit at λ: what a block takes, others can name and later frames repeat


def choose_vectors(
    prior: VectorPrior,
    log_table: Tensor,
    current: Tensor,
    planes: Tensor,
    found: Tensor,
    last: Tensor,
    q: Tensor,
    mse_lambda: Tensor,
) -> Tensor:
    """planes: `padded_planes` of the reference; found: vectors by `search_vectors`, from the same
    pictures; returns others of that shape."""
    with torch.no_grad(), exact_float32(current.device.type):
        weight = absolute_error_lambda(mse_lambda)[:, None, None] * BIT_PRICE
        costs = BlockCosts(current.float(), planes, weight, 8, support=12, rows_skipped=1)
        chosen = found.clone()
        for context in prior.walk(chosen, last, q, log_table):
            wanted = found.flatten(2)[:, :, context.blocks]
            options = torch.cat([context.candidates, wanted[:, None]], 1)  # (B, 7, 2, n)
            bits = option_bits(context, wanted)
            errors = [
                costs.errors_at(vectors, context.blocks)
                for vectors in options.transpose(2, 3).unbind(1)
            ]
            price = torch.stack(errors, 1) + bits * weight / costs.area
            best = price.argmin(1)[:, None, None].expand_as(wanted[:, None])
            chosen.flatten(2)[:, :, context.blocks] = options.gather(1, best)[:, 0]
        return chosen
