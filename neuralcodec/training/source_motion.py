"""Motion of training sequences, searched between the frames of the source beforehand."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.encoder.motion.motion_search import THOROUGH_SEARCH, search_vectors
from neuralcodec.kernels.parsing.motion_walk import VECTOR_LIMIT
from neuralcodec.model.config import VECTOR_BLOCK, ModelConfig
from neuralcodec.model.motion_compensation import warp_planes
from neuralcodec.model.motion_values import BOTH, FIRST, SECOND
from neuralcodec.training.sequences import DrawnSequences, Sequences
from neuralcodec.training.structures import Structure

ONE_BITS = 3  # about what it costs more to say that one reference alone predicts a block
AROUND = 2  # samples beside a block that are compared too


def with_source_motion(config: ModelConfig, drawn: DrawnSequences) -> Sequences:
    motion = source_motion(config, drawn.y, drawn.q, drawn.structure)
    return Sequences(**vars(drawn), motion=motion)


def source_motion(config: ModelConfig, y: Tensor, q: Tensor, structure: Structure) -> Tensor:
    """y (B, T, 1, H, W), q (B, T) -> (B, T - 1, 5, H/8, W/8), in the order of coding."""
    rows, columns = (side // VECTOR_BLOCK for side in y.shape[-2:])
    found = y.new_zeros(len(y), len(structure), 5, rows, columns)
    doubles = [n for n, coded in enumerate(structure) if len(set(coded.references)) == 2]
    numbers = list(range(len(structure)))
    firsts = _vectors(config, y, q, structure, numbers, 0)
    found[:, :, 1:3] = firsts
    if not doubles:
        return found
    seconds = _vectors(config, y, q, structure, doubles, 1)
    frames = [structure[n].frame for n in doubles]
    now = y[:, frames]
    first = y[:, [structure[n].references[0] for n in doubles]]
    second = y[:, [structure[n].references[1] for n in doubles]]
    weights = config.quality_lambdas(q[:, frames].flatten())
    which = _which(
        now.flatten(0, 1),
        (first.flatten(0, 1), second.flatten(0, 1)),
        (firsts[:, doubles].flatten(0, 1), seconds.flatten(0, 1)),
        weights,
    ).unflatten(0, now.shape[:2])
    found[:, doubles, 0:1] = which
    found[:, doubles, 1:3] *= which != SECOND
    found[:, doubles, 3:5] = seconds * (which != FIRST)
    return found


def _vectors(
    config: ModelConfig,
    y: Tensor,
    q: Tensor,
    structure: Structure,
    numbers: list[int],
    reference: int,
) -> Tensor:
    """(B, n, 2, H/8, W/8) of the frames of these numbers. As in the encoder, each search begins
    with what was found over half the distance."""
    coded = [structure[n] for n in numbers]
    away = np.array([one.frame - one.references[reference] for one in coded])
    zero = y.new_zeros(len(y), len(coded), 2, *(side // VECTOR_BLOCK for side in y.shape[-2:]))
    found = zero
    for halvings in reversed(range(int(np.abs(away).max()).bit_length())):
        nearer = np.sign(away) * (np.abs(away) >> halvings)
        chosen = np.flatnonzero(nearer)
        frames = [coded[n].frame for n in chosen]
        others = [coded[n].frame - int(nearer[n]) for n in chosen]
        weights = config.quality_lambdas(q[:, frames].flatten())
        start = 2 * found[:, chosen, :, ::2, ::2].permute(0, 1, 3, 4, 2).flatten(0, 1)
        field = search_vectors(
            y[:, frames].flatten(0, 1),
            y[:, others].flatten(0, 1),
            zero[:, chosen].flatten(0, 1),
            weights,
            THOROUGH_SEARCH,
            seen=start.to(torch.int32).clamp(-VECTOR_LIMIT, VECTOR_LIMIT),
        )
        found = found.index_copy(
            1, torch.from_numpy(chosen).to(y.device), field.unflatten(0, (len(y), len(chosen)))
        )
    return found


def _which(
    now: Tensor,
    references: tuple[Tensor, Tensor],
    vectors: tuple[Tensor, Tensor],
    mse_lambda: Tensor,
) -> Tensor:
    """Of luma (B, 1, H, W) and vectors (B, 2, H/8, W/8): (B, 1, H/8, W/8)."""
    no_chroma = now.new_zeros(len(now), 2, now.shape[2] // 2, now.shape[3] // 2)
    first, second = (
        warp_planes(reference, no_chroma, field)[0]
        for reference, field in zip(references, vectors, strict=True)
    )
    side = VECTOR_BLOCK + 2 * AROUND

    def error(predicted: Tensor) -> Tensor:
        wide = F.pad((predicted - now).abs(), (AROUND,) * 4, mode="replicate")
        return F.avg_pool2d(wide, side, VECTOR_BLOCK)

    price = ONE_BITS * (0.75 * mse_lambda).rsqrt()[:, None, None, None] / VECTOR_BLOCK**2
    of_both, of_first, of_second = (error(p) for p in ((first + second) / 2, first, second))
    alone = torch.minimum(of_first, of_second) + price
    better = torch.where(of_first <= of_second, float(FIRST), float(SECOND))
    return torch.where(of_both <= alone, float(BOTH), better)
