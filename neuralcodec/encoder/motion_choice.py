"""Motion vectors chosen once more, by what the vector prior charges for them.

The search estimates bits; the prior's networks know them, given the blocks already described. So
the field is walked in coding order, and each block takes the cheapest of what it can name (zero,
the last frame's vector, its known neighbours') and of what the search found; the first of equals.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.encoder.motion_levels import Windows, corners, limits, targets
from neuralcodec.encoder.motion_search import bit_weights, samples_of
from neuralcodec.kernels.compiled import can_run
from neuralcodec.kernels.motion.choice import BIT_COST, BLOCK, ERROR_COST, SIDE, StepChoice
from neuralcodec.kernels.motion.planes import BORDER, CURRENT_BORDER
from neuralcodec.kernels.motion.search import Support
from neuralcodec.kernels.parsing.motion_walk import CANDIDATES
from neuralcodec.model.code_length import NOT_TO_BE_HAD, option_bits, price_tables
from neuralcodec.model.exact import exact_float32
from neuralcodec.model.motion_prior import MotionPrior, MotionSetting, StepContext
from neuralcodec.model.motion_values import FIRST

BIT_PRICE = 0.25  # of a bit at λ: what a block takes, others can name and later frames repeat


def choose_vectors(
    prior: MotionPrior,
    log_table: Tensor,
    current: Tensor,
    planes: Tensor,
    found: Tensor,
    setting: MotionSetting,
    mse_lambda: Tensor,
) -> Tensor:
    """planes: `padded_planes` of the reference; found: vectors by `search_vectors`, from the same
    pictures; returns others of that shape."""
    with torch.no_grad(), exact_float32(current.device.type):
        samples = samples_of(current, CURRENT_BORDER)
        weights = bit_weights(mse_lambda, BIT_PRICE)
        chosen = found.clone(memory_format=torch.contiguous_format)
        motion = F.pad(chosen, (0, 0, 0, 0, 1, 2))
        chosen = motion[:, 1:3]
        steps = prior.walk(motion, setting, log_table)
        if can_run(samples, planes, found):
            tables = price_tables(samples.device)
            kernel = StepChoice(samples, planes, weights, tables)
            for step in steps:
                kernel.choose(*_of_first(step), found, chosen)
            return chosen
        errors = _Errors(samples, planes)
        for step in steps:
            wanted = found.flatten(2)[:, :, step.blocks]
            step = StepContext(*_of_first(step))
            chosen.flatten(2)[:, :, step.blocks] = _cheapest(step, wanted, errors, weights)
        return chosen


def _of_first(step: StepContext) -> tuple[Tensor, ...]:
    """What blocks can name of the first reference alone."""
    usable = step.usable & (step.candidates[:, :, 0] == FIRST)
    indices = torch.cat([step.indices[..., :CANDIDATES], step.indices[..., 8:10]], -1)
    return step.blocks, step.candidates[:, :, 1:3], usable, step.prediction[:, :2], indices


def _cheapest(step: StepContext, wanted: Tensor, errors: "_Errors", weights: Tensor) -> Tensor:
    """Of what the blocks of a step can name and what they want, (B, 2, n)."""
    options = torch.cat([step.candidates, wanted[:, None]], 1)  # (B, 7, 2, n)
    bits = option_bits(step, wanted)
    found = [errors.of(vectors, step.blocks) for vectors in options.transpose(2, 3).unbind(1)]
    price = torch.stack(found, 1) * ERROR_COST + bits * (weights[:, None, None] * BIT_COST)
    best = price.argmin(1)[:, None, None].expand_as(wanted[:, None])
    return options.gather(1, best)[:, 0]


class _Errors:
    """Transformed errors of vectors of 8x8 blocks."""

    def __init__(self, samples: Tensor, planes: Tensor) -> None:
        support = Support(BLOCK, SIDE, 1)
        height, width = (side - 2 * BORDER for side in planes.shape[2:])
        self._windows = Windows(planes, support)
        self._targets = targets(samples, support).flatten(1, 2)
        origin = corners(height, width, BLOCK, samples.device)
        places = [origin, *limits(origin, height, width, support)]
        self._origin, self._lowest, self._highest = (place.flatten(0, 1) for place in places)
        self._item = torch.arange(len(samples), device=samples.device)[:, None]

    def of(self, vectors: Tensor, blocks: Tensor) -> Tensor:
        """(B, n), int64, of vectors (B, n, 2) of n blocks, given as flat indices; NOT_TO_BE_HAD
        where a window would leave the padded reference."""
        lowest, highest = self._lowest[blocks], self._highest[blocks]
        inside = torch.minimum(torch.maximum(vectors, lowest), highest)
        windows = self._windows.at(inside, self._origin[blocks], self._item)
        errors = _transformed_error(windows - self._targets[:, blocks])
        return torch.where((inside == vectors).all(-1), errors, NOT_TO_BE_HAD)


def _transformed_error(difference: Tensor) -> Tensor:
    """(..., rows, columns), multiples of 4 -> (...): the sum of absolute coefficients of a Hadamard
    transform of 4x4 samples. Nearer to the bits of what is left to code than plain differences are,
    which is why x264 refines its vectors by it (SATD)."""
    rows, columns = difference.shape[-2:]
    squares = difference.unflatten(-1, (columns // 4, 4)).unflatten(-3, (rows // 4, 4))
    samples = squares.transpose(-3, -2).flatten(-2).float()
    two = torch.tensor([[1.0, 1.0], [1.0, -1.0]], device=difference.device)
    four = torch.kron(two, two)
    return (samples @ torch.kron(four, four)).abs_().sum((-1, -2, -3)).long()
