"""The training objective of a sequence: rate + λ·distortion, through the networks that code."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from neuralcodec.model.code_length import laplace_bits, skip_map_bits
from neuralcodec.model.distortion import distortion
from neuralcodec.model.exact import exact_float32
from neuralcodec.model.frame_step import CodedStep, FramePlace
from neuralcodec.model.loop_filters import FILTER_GAIN
from neuralcodec.model.recurrence import Recurrence, State, cat_references
from neuralcodec.model.scale_prior import History, Past
from neuralcodec.model.skip_prior import SkipContext, SkipPrior
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.sequences import Sequences
from neuralcodec.training.structures import coded_together

PICTURE_NOISE, FEATURE_NOISE = 0.001, 0.01  # of the recurrent state; pictures are in [0, 1]
LEARNING_GAIN = -0.001  # of loop filters, instead of FILTER_GAIN: at first they change nothing
BALANCE = 0.4  # losses of all λ weigh about the same after division by λ**BALANCE


@dataclass(frozen=True)
class FrameCost:
    """Of frame number `frame`, per item of the batch: q, bits per pixel of the latent, weighted
    squared error."""

    frame: int
    q: Tensor
    bpp: Tensor
    distortion: Tensor
    shown: State


def symbol_bits(steps: Sequence[CodedStep], training: bool) -> list[Tensor]:
    """Bits (B,) of the symbols of several batches of one kind, all counted at once: they depend on
    no picture, and the scale prior is many small operations.

    The prior learns from the symbols as they are coded; the latent, to which rounding passes no
    gradient, from itself with uniform noise in place of rounding, under the scales of the prior
    (noise for the rate, as in Minnen and Singh, ICIP 2020). A prior that learned from noise too
    would count twice the bits of a frame that is mostly zeros.
    """
    latent = torch.cat([step.latent for step in steps])
    with exact_float32(latent.device.type):
        symbols = torch.cat([step.symbols for step in steps])
        magnitudes = torch.cat([_history(step.recurrence).last for step in steps])
        prior = steps[0].coding.prior
        indices = prior.all_indices(_side_information(steps), magnitudes).permute(0, 3, 1, 2)
        skipped = torch.cat([step.skipped for step in steps])
        bits = (laplace_bits(symbols, indices) * (1 - skipped)).sum((1, 2, 3))
        if training:
            means = torch.cat([step.means for step in steps])
            noisy = latent - means + torch.rand_like(latent) - 0.5
            smooth = laplace_bits(noisy, indices.detach()).sum((1, 2, 3))
            bits = bits + smooth - smooth.detach()
        return _by_step(bits, steps)


def skip_bits(prior: SkipPrior, steps: Sequence[CodedStep]) -> list[Tensor]:
    """Bits (B,) of saying which positions of inter frames are skipped."""
    skipped = torch.cat([step.skipped for step in steps])
    context = SkipContext.cat([step.coding.skip_context for step in steps])
    with exact_float32(skipped.device.type):
        bits = skip_map_bits(prior, skipped, context, steps[0].coding.log_table)
    return _by_step(bits, steps)


def _by_step(bits: Tensor, steps: Sequence[CodedStep]) -> list[Tensor]:
    return list(bits.split([len(step.symbols) for step in steps]))


def _side_information(steps: Sequence[CodedStep]) -> Tensor:
    """What the scale prior sees beside the symbols of these frames."""
    coding = steps[0].coding
    q = torch.cat([step.coding.q for step in steps])
    shape = (len(q), *steps[0].symbols.shape[-2:])
    known = [step.coding.past for step in steps]
    past = Past.cat([part for part in known if part is not None])
    return coding.prior.side_information(q, shape, coding.log_table, past)


def _history(left: Recurrence | None) -> History:
    assert left is not None and left.history is not None
    return left.history


@dataclass(frozen=True)
class CodedFrames:
    """Frames, by their numbers as shown, that were coded at once: the items of the step are those
    of the first frame, then those of the next."""

    frames: tuple[int, ...]
    step: CodedStep

    def cut(self, items: Tensor) -> list[Tensor]:
        """Of each frame."""
        return list(items.chunk(len(self.frames)))


def sequence_costs(model: VideoModel, sequences: Sequences) -> list[FrameCost]:
    """Of all frames, in an order of coding. Gradients go through the reference pictures as
    well."""
    coded = coded_frames(model, sequences)
    steps = [together.step for together in coded]
    bits = symbol_bits(steps[:1], model.training)
    if steps[1:]:
        of_latents = symbol_bits(steps[1:], model.training)
        bits += map(torch.add, of_latents, skip_bits(model.skip_prior, steps[1:]))
    costs: list[FrameCost] = []
    for together, its_bits in zip(coded, bits, strict=True):
        step, frames = together.step, together.frames
        state = step.recurrence.state
        error = distortion(state, *sequences.planes(frames))
        bpp = its_bits / state.y[0].numel()
        states = [part.state for part in step.recurrence.split(len(frames))]
        parts = map(together.cut, (step.coding.q, bpp, error))
        costs += map(FrameCost, frames, *parts, states)
    return costs


def coded_frames(model: VideoModel, sequences: Sequences) -> list[CodedFrames]:
    """First the intra frames, then the others, as many at once as the structure allows: the
    networks work faster on larger batches."""
    s = sequences
    filter_gain = LEARNING_GAIN if torch.is_grad_enabled() else FILTER_GAIN
    intra = model.code_intra(*s.planes((0,)), s.q[:, 0])
    found = [CodedFrames((0,), intra)]
    left = {0: intra.recurrence}
    for group in coded_together(s.structure):
        coded = [s.structure[n] for n in group]
        frames = tuple(one.frame for one in coded)
        pairs = [(left[one.references[0]], left[one.references[1]]) for one in coded]
        references = cat_references(pairs)
        assert references is not None
        place = FramePlace(
            torch.cat([torch.full_like(s.stride, one.level) for one in coded]),
            torch.cat([frame * s.stride for frame in frames]),
        )
        step = model.code_inter(
            *s.planes(frames),
            torch.cat([s.q[:, frame] for frame in frames]),
            place,
            torch.cat([s.motion[:, n] for n in group]),
            _unsettled_references(references) if model.training else references,
            filter_gain=filter_gain,
        )
        left |= zip(frames, step.recurrence.split(len(frames)), strict=True)
        found.append(CodedFrames(frames, step))
    return found


def _unsettled_references(
    references: tuple[Recurrence, Recurrence],
) -> tuple[Recurrence, Recurrence]:
    first, second = (replace(one, state=unsettled(one.state)) for one in references)
    return (first, first) if references[0] is references[1] else (first, second)


def unsettled(state: State) -> State:
    """With a little noise, as the rounding of another machine would bring: it must not grow."""
    return replace(
        state,
        y=state.y + _noise(state.y, PICTURE_NOISE),
        uv=state.uv + _noise(state.uv, PICTURE_NOISE),
        feature=state.feature * (1 + _noise(state.feature, FEATURE_NOISE)),
    )


def _noise(like: Tensor, deviation: float) -> Tensor:
    """Uniform: drawn in a fifth of the time that a normal distribution takes."""
    return (torch.rand_like(like) - 0.5) * (12**0.5 * deviation)


def sequence_loss(model: VideoModel, costs: Sequence[FrameCost]) -> Tensor:
    """Each frame with the λ of its own q."""
    losses = []
    for cost in costs:
        weight = model.config.quality_lambdas(cost.q)
        losses.append(((cost.bpp + weight * cost.distortion) * (weight / 1000) ** -BALANCE).mean())
    return torch.stack(losses).mean()
