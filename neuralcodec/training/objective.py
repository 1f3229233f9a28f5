"""The training objective of a sequence: rate + λ·distortion, through the networks that code."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.encoder.motion_search import THOROUGH_SEARCH, search_vectors
from neuralcodec.model.code_length import laplace_bits, motion_bits
from neuralcodec.model.config import VECTOR_BLOCK, ModelConfig
from neuralcodec.model.distortion import distortion
from neuralcodec.model.exact import exact_float32
from neuralcodec.model.frame_step import CodedStep
from neuralcodec.model.loop_filters import FILTER_GAIN
from neuralcodec.model.motion_prior import MotionSetting
from neuralcodec.model.recurrence import Recurrence, State
from neuralcodec.model.scale_prior import History
from neuralcodec.model.video_model import VideoModel

PICTURE_NOISE, FEATURE_NOISE = 0.001, 0.01  # of the recurrent state; pictures are in [0, 1]
LEARNING_GAIN = -0.001  # of loop filters, instead of FILTER_GAIN: at first they change nothing
BALANCE = 0.4  # losses of all λ weigh about the same after division by λ**BALANCE


@dataclass(frozen=True)
class FrameCost:
    """Per item of the batch: bits per pixel of latent and vectors, weighted squared error."""

    latent_bpp: Tensor
    vector_bpp: Tensor
    distortion: Tensor
    shown: State


def symbol_bits(steps: Sequence[CodedStep], training: bool) -> list[Tensor]:
    """Bits (B,) of the symbols of each of several frames of one kind, all counted at once: they
    depend on no picture, and the scale prior is many small operations.

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
        bits = laplace_bits(symbols, indices).sum((1, 2, 3))
        if training:
            means = torch.cat([step.means for step in steps])
            noisy = latent - means + torch.rand_like(latent) - 0.5
            smooth = laplace_bits(noisy, indices.detach()).sum((1, 2, 3))
            bits = bits + smooth - smooth.detach()
        return list(bits.chunk(len(steps)))


def _side_information(steps: Sequence[CodedStep]) -> Tensor:
    """What the scale prior sees beside the symbols of these frames."""
    coding = steps[0].coding
    q = torch.cat([step.coding.q for step in steps])
    shape = (len(q), *steps[0].symbols.shape[-2:])
    if coding.before is None:
        return coding.prior.side_information(q, shape, coding.log_table)
    history = History.cat([_history(step.coding.before) for step in steps])
    fields = torch.cat([step.recurrence.motion[:, 1:3] for step in steps])
    return coding.prior.side_information(q, shape, coding.log_table, history, fields)


def _history(left: Recurrence | None) -> History:
    assert left is not None and left.history is not None
    return left.history


def sequence_costs(
    model: VideoModel,
    y: Tensor,
    uv: Tensor,
    q: Tensor,
    vectors: Tensor,
    count_vectors: bool = True,
) -> list[FrameCost]:
    """y (B, T, 1, H, W), uv (B, T, 2, H/2, W/2) in [0, 1], q (B, T): one GOP per item;
    vectors (B, T - 1, 2, H/8, W/8). Gradients go through the reference pictures as well.
    count_vectors: whether bits of the vectors are counted; they are 0 otherwise."""
    of_vectors = torch.zeros_like(q)
    if count_vectors:
        of_vectors = torch.cat([of_vectors[:, :1], _bits_of_fields(model, vectors, q[:, 1:])], 1)
    return costs_of(_coded(model, y, uv, q, vectors), y, uv, of_vectors, model.training)


def costs_of(
    steps: Sequence[CodedStep], y: Tensor, uv: Tensor, vector_bits: Tensor, training: bool
) -> list[FrameCost]:
    """Of the frames of a GOP; y, uv: the source, as for `sequence_costs`; vector_bits (B, T)."""
    bits = symbol_bits(steps[:1], training)
    if steps[1:]:
        bits += symbol_bits(steps[1:], training)
    pixels = y.shape[-2] * y.shape[-1]
    return [
        FrameCost(
            bits[t] / pixels,
            vector_bits[:, t] / pixels,
            distortion(step.recurrence.state, y[:, t], uv[:, t]),
            step.recurrence.state,
        )
        for t, step in enumerate(steps)
    ]


def _coded(model: VideoModel, y: Tensor, uv: Tensor, q: Tensor, vectors: Tensor) -> list[CodedStep]:
    """The frames of a GOP, one after the other."""
    filter_gain = LEARNING_GAIN if torch.is_grad_enabled() else FILTER_GAIN
    steps = [model.code_intra(y[:, 0], uv[:, 0], q[:, 0])]
    for t in range(1, y.shape[1]):
        before = steps[-1].recurrence
        if model.training:
            before = replace(before, state=unsettled(before.state))
        frame, field = (y[:, t], uv[:, t]), _as_motion(vectors[:, t - 1])
        steps.append(model.code_inter(*frame, q[:, t], field, before, filter_gain=filter_gain))
    return steps


def _bits_of_fields(model: VideoModel, vectors: Tensor, q: Tensor) -> Tensor:
    """vectors (B, T, 2, h, w), q (B, T) -> bits (B, T), of all frames in one walk: they depend on
    no picture, and a walk is thousands of small operations."""
    motion = _as_motion(vectors)
    last = torch.cat([torch.zeros_like(motion[:, :1]), motion[:, :-1]], 1).flatten(0, 1)
    qualities = q.flatten()
    level = torch.zeros_like(qualities, dtype=torch.long)
    setting = MotionSetting(last, torch.stack([level + 1, level + 1], 1), level, qualities)
    with exact_float32(vectors.device.type):
        bits = motion_bits(model.motion_prior, motion.flatten(0, 1), setting, model.log_table)
    return bits.unflatten(0, q.shape)


def _as_motion(vectors: Tensor) -> Tensor:
    """(..., 2, h, w) in the first reference -> (..., 5, h, w)."""
    return F.pad(vectors, (0, 0, 0, 0, 1, 2))


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


def source_vectors(config: ModelConfig, y: Tensor, q: Tensor) -> Tensor:
    """Vectors between the source's own frames, all in one call: (B, T - 1, 2, H/8, W/8)."""
    batch, frames, _, height, width = y.shape
    zero = y.new_zeros(batch * (frames - 1), 2, height // VECTOR_BLOCK, width // VECTOR_BLOCK)
    weights = config.quality_lambdas(q[:, 1:].flatten())
    now, before = y[:, 1:].flatten(0, 1), y[:, :-1].flatten(0, 1)
    field = search_vectors(now, before, zero, weights, THOROUGH_SEARCH)
    return field.unflatten(0, (batch, frames - 1))


def sequence_loss(model: VideoModel, costs: list[FrameCost], q: Tensor) -> Tensor:
    total = torch.zeros((), device=q.device)
    for t, cost in enumerate(costs):
        weight = model.config.quality_lambdas(q[:, t])
        loss = cost.latent_bpp + weight * cost.distortion
        # the priors of vectors share no parameter with the rest: the same weight for all λ
        total = total + (loss * (weight / 1000) ** -BALANCE + cost.vector_bpp).mean()
    return total / len(costs)
