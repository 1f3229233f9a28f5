"""The training objective of a sequence: rate + λ·distortion, through the networks that code."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from neuralcodec.encoder.motion_search import THOROUGH_SEARCH, search_vectors
from neuralcodec.model.code_length import laplace_bits, vector_field_bits
from neuralcodec.model.config import VECTOR_BLOCK, ModelConfig
from neuralcodec.model.distortion import distortion
from neuralcodec.model.exact import exact_float32
from neuralcodec.model.frame_step import CodedStep
from neuralcodec.model.loop_filters import FILTER_GAIN
from neuralcodec.model.recurrence import State
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


def symbol_bits(step: CodedStep, training: bool) -> Tensor:
    """Bits (B,) of the symbols of a frame.

    The prior learns from the symbols as they are coded; the latent, to which rounding passes no
    gradient, from itself with uniform noise in place of rounding, under the scales of the prior
    (noise for the rate, as in Minnen and Singh, ICIP 2020). A prior that learned from noise too
    would count twice the bits of a frame that is mostly zeros.
    """
    history = step.recurrence.history
    assert history is not None
    with exact_float32(step.latent.device.type):
        side = step.coding.side_information(*step.symbols.shape[-2:])
        indices = step.coding.prior.all_indices(side, history.last).permute(0, 3, 1, 2)
        bits = laplace_bits(step.symbols, indices).sum((1, 2, 3))
        if training:
            noisy = step.latent - step.means + torch.rand_like(step.latent) - 0.5
            smooth = laplace_bits(noisy, indices.detach()).sum((1, 2, 3))
            bits = bits + smooth - smooth.detach()
        return bits


def frame_cost(
    step: CodedStep, y: Tensor, uv: Tensor, vector_bits: Tensor, training: bool
) -> FrameCost:
    """y, uv: the source; vector_bits (B,): of the frame's motion."""
    pixels = y.shape[-2] * y.shape[-1]
    shown = step.recurrence.state
    return FrameCost(
        symbol_bits(step, training) / pixels,
        vector_bits / pixels,
        distortion(shown, y, uv),
        shown,
    )


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
    bits = torch.zeros_like(q)
    if count_vectors:
        bits = torch.cat([bits[:, :1], _bits_of_fields(model, vectors, q[:, 1:])], 1)
    filter_gain = LEARNING_GAIN if torch.is_grad_enabled() else FILTER_GAIN
    costs: list[FrameCost] = []
    step: CodedStep | None = None
    for t in range(y.shape[1]):
        frame = y[:, t], uv[:, t]
        if step is None:
            step = model.code_intra(*frame, q[:, t])
        else:
            before = step.recurrence
            if model.training:
                before = replace(before, state=unsettled(before.state))
            field = vectors[:, t - 1]
            step = model.code_inter(*frame, q[:, t], field, before, filter_gain=filter_gain)
        costs.append(frame_cost(step, *frame, bits[:, t], model.training))
    return costs


def _bits_of_fields(model: VideoModel, vectors: Tensor, q: Tensor) -> Tensor:
    """vectors (B, T, 2, h, w), q (B, T) -> bits (B, T), of all frames in one walk: they depend on
    no picture, and a walk is thousands of small operations."""
    last = torch.cat([torch.zeros_like(vectors[:, :1]), vectors[:, :-1]], 1)
    with exact_float32(vectors.device.type):
        bits = vector_field_bits(
            model.vector_prior,
            vectors.flatten(0, 1),
            last.flatten(0, 1),
            q.flatten(),
            model.log_table,
        )
    return bits.unflatten(0, q.shape)


def unsettled(state: State) -> State:
    """With a little noise, as the rounding of another machine would bring: it must not grow."""
    return replace(
        state,
        y=state.y + PICTURE_NOISE * torch.randn_like(state.y),
        uv=state.uv + PICTURE_NOISE * torch.randn_like(state.uv),
        feature=state.feature * (1 + FEATURE_NOISE * torch.randn_like(state.feature)),
    )


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
