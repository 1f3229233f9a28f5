"""Motion chosen by what the motion prior charges for it.

The search estimates bits; the prior's networks know them, given the blocks already described. So
the blocks are walked in coding order, and each takes the cheapest of what it can name (no motion,
the temporal one, its known neighbours') and of new motions that the search found; the first of
equals.
"""

import torch
from torch import Tensor

from neuralcodec.encoder.motion.motion_levels import Windows, corners, limits, targets
from neuralcodec.encoder.motion.motion_search import samples_of
from neuralcodec.kernels.compiled import can_run
from neuralcodec.kernels.motion.choice import (
    BIT_COST,
    BLOCK,
    ERROR_COST,
    NOT_KNOWN,
    SIDE,
    StepChoice,
)
from neuralcodec.kernels.motion.planes import BORDER, CURRENT_BORDER
from neuralcodec.kernels.motion.search import Support
from neuralcodec.model.code_length import NOT_TO_BE_HAD, option_bits, price_tables
from neuralcodec.model.exact import exact_float32
from neuralcodec.model.motion_prior import MotionPrior, MotionSetting, StepContext
from neuralcodec.model.motion_values import BOTH, FIRST


class MotionChoice:
    """Between what blocks of a batch of frames can name and new motions. Errors of the latter are
    kept, for when the choice is made once more among them and others."""

    def __init__(
        self,
        prior: MotionPrior,
        log_table: Tensor,
        current: Tensor,
        planes: tuple[Tensor, Tensor],
        setting: MotionSetting,
        weights: Tensor,
    ) -> None:
        """planes: `padded_planes` of both references; weights: `bit_weights`."""
        self._prior, self._log_table = prior, log_table
        self._planes, self._setting, self._weights = planes, setting, weights
        self._samples = samples_of(current, CURRENT_BORDER)
        self._new = current.new_zeros(len(current), 0, *setting.temporal.shape[1:])
        self._errors: Tensor | None = None  # (B, options, h w), int32

    def among(self, new: Tensor) -> Tensor:
        """The motion (B, 5, h, w). new: new motions (B, options, 5, h, w), besides those of earlier
        calls, that reach no further than those of `search_vectors`."""
        self._new = torch.cat([self._new, new], 1)
        with torch.no_grad(), exact_float32(new.device.type):
            if can_run(self._samples, *self._planes, new):
                return self._by_kernels()
            return self._by_tensors()

    def _by_kernels(self) -> Tensor:
        found = self._new.flatten(3).to(torch.int32)
        errors = torch.full_like(found[:, :, 0], NOT_KNOWN)
        if self._errors is not None:
            errors[:, : self._errors.shape[1]] = self._errors
        self._errors = errors
        tables = price_tables(found.device)
        chosen = torch.empty_like(self._setting.temporal)
        for item, frame in enumerate(self._setting.frames()):
            kernel = StepChoice(
                self._samples,
                self._planes,
                item,
                int(self._weights[item]),
                tables,
                frame.distances,
                found[item].numpy(),
                errors[item].numpy(),
            )
            field = chosen[item].flatten(1).numpy()  # the same memory
            for step in self._prior.array_walk(chosen[item], frame, self._log_table):
                kernel.choose(
                    step.blocks, step.candidates, step.usable, step.prediction, step.indices, field
                )
        return chosen

    def _by_tensors(self) -> Tensor:
        errors = _Errors(self._samples, self._planes)
        chosen = self._new[:, 0].clone(memory_format=torch.contiguous_format)
        for step in self._prior.walk(chosen, self._setting, self._log_table):
            new = self._new.flatten(3)[..., step.blocks]
            bits = option_bits(step, new, self._setting.distances)
            best = _cheapest(step, new, bits, errors, self._weights)
            chosen.flatten(2)[:, :, step.blocks] = best
        return chosen


def _cheapest(
    step: StepContext, new: Tensor, bits: Tensor, errors: "_Errors", weights: Tensor
) -> Tensor:
    """Of what the blocks of a step can name and of new motions (B, options, 5, n): (B, 5, n)."""
    options = torch.cat([step.candidates, new], 1)
    found = [errors.of(motion, step.blocks) for motion in options.unbind(1)]
    price = torch.stack(found, 1) * ERROR_COST + bits * (weights[:, None, None] * BIT_COST)
    best = price.argmin(1)[:, None, None].expand_as(options[:, :1])
    return options.gather(1, best)[:, 0]


class _Errors:
    """Transformed errors of motions of 8x8 blocks."""

    def __init__(self, samples: Tensor, planes: tuple[Tensor, Tensor]) -> None:
        support = Support(BLOCK, SIDE, 1)
        height, width = (side - 2 * BORDER for side in planes[0].shape[2:])
        self._windows = [Windows(p, support) for p in planes]
        self._targets = targets(samples, support).flatten(1, 2)
        origin = corners(height, width, BLOCK, samples.device)
        places = [origin, *limits(origin, height, width, support)]
        self._origin, self._lowest, self._highest = (place.flatten(0, 1) for place in places)
        self._item = torch.arange(len(samples), device=samples.device)[:, None]

    def of(self, motion: Tensor, blocks: Tensor) -> Tensor:
        """(B, n), int64, of motion (B, 5, n) of n blocks, given as flat indices; NOT_TO_BE_HAD
        where a window would leave a padded reference."""
        (first, is_inside), (second, is_second_inside) = (
            self._predicted(k, motion[:, 1 + 2 * k : 3 + 2 * k].transpose(1, 2), blocks)
            for k in range(2)
        )
        which = motion[:, 0, :, None, None]
        single = torch.where(which == FIRST, first, second)
        predicted = torch.where(which == BOTH, (first + second + 1) >> 1, single)
        errors = _transformed_error(predicted - self._targets[:, blocks])
        is_known = (motion[:, 0] >= 0) & is_inside & is_second_inside
        return torch.where(is_known, errors, NOT_TO_BE_HAD)

    def _predicted(self, k: int, vectors: Tensor, blocks: Tensor) -> tuple[Tensor, Tensor]:
        """Windows of reference k, and which vectors (B, n, 2) are inside."""
        lowest, highest = self._lowest[blocks], self._highest[blocks]
        inside = torch.minimum(torch.maximum(vectors, lowest), highest)
        windows = self._windows[k].at(inside, self._origin[blocks], self._item)
        return windows, (inside == vectors).all(-1)


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
