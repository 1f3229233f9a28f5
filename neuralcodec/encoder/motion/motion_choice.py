"""Motion chosen by what the motion prior charges for it.

The search estimates bits; the prior's networks know them, given the blocks already described. So
the blocks are walked in coding order, and each takes the cheapest of what it can name (no motion,
the temporal one, its known neighbours') and of new motions that the search found; the first of
equals. A choice costs its bits, and λ times the squared error that it leaves, as far as that is too
small to be coded; what is larger will be, and costs little more the larger it is.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from neuralcodec.encoder.motion.motion_levels import Windows, corners, limits, targets
from neuralcodec.encoder.motion.motion_search import samples_of
from neuralcodec.kernels.compiled import can_run
from neuralcodec.kernels.motion.choice import (
    BIT_SHIFT,
    BLOCK,
    NOT_KNOWN,
    SIDE,
    StepChoice,
)
from neuralcodec.kernels.motion.lanes import COST_SHIFT, LARGEST_LIMIT, SLOPE_SHIFT
from neuralcodec.kernels.motion.planes import BORDER, CURRENT_BORDER, PEAK
from neuralcodec.kernels.motion.search import Support
from neuralcodec.model.code_length import PRICE_UNITS, option_bits, price_tables
from neuralcodec.model.exact import exact_float32
from neuralcodec.model.motion_prior import MotionPrior, MotionSetting, StepContext
from neuralcodec.model.motion_values import BOTH, FIRST

FIRST_BITS = 6.0  # about, of a coefficient that is coded at all
# Of coefficients, unscaled, of steps of 10 bit: as of an orthonormal transform of samples in [0, 1]
_UNITS = 4 * PEAK
_NEVER = 2**60


@dataclass(frozen=True)
class ErrorPrices:
    """What coefficients of errors cost, of B frames. limits (B,), int64: up to this size λ·c², from
    there on λ·limit·c/4. weights (B,), int64: λ, for sums that `coefficient_costs` gives, in units
    of 2**-BIT_SHIFT / PRICE_UNITS of a bit."""

    limits: Tensor
    weights: Tensor

    @classmethod
    def of(cls, mse_lambda: Tensor) -> "ErrorPrices":
        """mse_lambda (B,): of squared errors of samples in [0, 1], against bits."""
        value = mse_lambda.double()
        limits = (FIRST_BITS / value).sqrt() * _UNITS
        unit = (1 << COST_SHIFT) / _UNITS**2 * (BLOCK / SIDE) ** 2
        weights = value * (unit * PRICE_UNITS * (1 << BIT_SHIFT))
        return cls(
            limits.round().clamp(1, LARGEST_LIMIT).long(), weights.round().clamp(min=1).long()
        )


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
        prices: ErrorPrices,
    ) -> None:
        """planes: `padded_planes` of both references."""
        self._prior, self._log_table = prior, log_table
        self._planes, self._setting, self._prices = planes, setting, prices
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
                int(self._prices.weights[item]),
                int(self._prices.limits[item]),
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
        errors = _Errors(self._samples, self._planes, self._prices)
        chosen = self._new[:, 0].clone(memory_format=torch.contiguous_format)
        for step in self._prior.walk(chosen, self._setting, self._log_table):
            new = self._new.flatten(3)[..., step.blocks]
            bits = option_bits(step, new, self._setting.distances)
            best = _cheapest(step, new, bits, errors)
            chosen.flatten(2)[:, :, step.blocks] = best
        return chosen


def _cheapest(step: StepContext, new: Tensor, bits: Tensor, errors: "_Errors") -> Tensor:
    """Of what the blocks of a step can name and of new motions (B, options, 5, n): (B, 5, n)."""
    options = torch.cat([step.candidates, new], 1)
    found = [errors.of(motion, step.blocks) for motion in options.unbind(1)]
    price = torch.stack(found, 1) + (bits << BIT_SHIFT)
    best = price.argmin(1)[:, None, None].expand_as(options[:, :1])
    return options.gather(1, best)[:, 0]


class _Errors:
    """What motions of 8x8 blocks leave."""

    def __init__(self, samples: Tensor, planes: tuple[Tensor, Tensor], prices: ErrorPrices) -> None:
        self._prices = prices
        support = Support(BLOCK, SIDE, 1)
        height, width = (side - 2 * BORDER for side in planes[0].shape[2:])
        self._windows = [Windows(p, support) for p in planes]
        self._targets = targets(samples, support).flatten(1, 2)
        origin = corners(height, width, BLOCK, samples.device)
        places = [origin, *limits(origin, height, width, support)]
        self._origin, self._lowest, self._highest = (place.flatten(0, 1) for place in places)
        self._item = torch.arange(len(samples), device=samples.device)[:, None]

    def of(self, motion: Tensor, blocks: Tensor) -> Tensor:
        """(B, n), int64, of motion (B, 5, n) of n blocks, given as flat indices; _NEVER where a
        window would leave a padded reference."""
        (first, is_inside), (second, is_second_inside) = (
            self._predicted(k, motion[:, 1 + 2 * k : 3 + 2 * k].transpose(1, 2), blocks)
            for k in range(2)
        )
        which = motion[:, 0, :, None, None]
        single = torch.where(which == FIRST, first, second)
        predicted = torch.where(which == BOTH, (first + second + 1) >> 1, single)
        limits, weights = self._prices.limits[:, None], self._prices.weights[:, None]
        errors = weights * coefficient_costs(predicted - self._targets[:, blocks], limits)
        is_known = (motion[:, 0] >= 0) & is_inside & is_second_inside
        return torch.where(is_known, errors, _NEVER)

    def _predicted(self, k: int, vectors: Tensor, blocks: Tensor) -> tuple[Tensor, Tensor]:
        """Windows of reference k, and which vectors (B, n, 2) are inside."""
        lowest, highest = self._lowest[blocks], self._highest[blocks]
        inside = torch.minimum(torch.maximum(vectors, lowest), highest)
        windows = self._windows[k].at(inside, self._origin[blocks], self._item)
        return windows, (inside == vectors).all(-1)


def coefficient_costs(difference: Tensor, limits: Tensor) -> Tensor:
    """(B, n, rows, columns), multiples of 4, limits (B, 1) -> (B, n), int64: see
    `lanes.coefficient_costs`."""
    rows, columns = difference.shape[-2:]
    squares = difference.unflatten(-1, (columns // 4, 4)).unflatten(-3, (rows // 4, 4))
    samples = squares.transpose(-3, -2).flatten(-2).float()
    two = torch.tensor([[1.0, 1.0], [1.0, -1.0]], device=difference.device)
    four = torch.kron(two, two)
    sizes = (samples @ torch.kron(four, four)).abs_().long().flatten(2)
    most = limits[..., None]
    small = torch.minimum(sizes, most)
    rest = ((sizes - small) * most) >> (COST_SHIFT + SLOPE_SHIFT)
    return (((small * small) >> COST_SHIFT) + rest).sum(-1)
