"""Which positions of an inter frame are skipped <-> bits of its payload."""

import numpy as np
import torch
from torch import Tensor

from neuralcodec.entropy import SymbolDecoder, SymbolEncoder
from neuralcodec.entropy.coder import Malformed
from neuralcodec.model.skip_prior import AREA, SkipContext, SkipStep, whole_areas
from neuralcodec.model.video_model import VideoModel

ANY = 0.5  # chance that any position is


def encode_skipped(
    encoder: SymbolEncoder, skipped: np.ndarray, context: SkipContext, model: VideoModel
) -> None:
    """skipped (h, w), of one frame."""
    encoder.decision(bool(skipped.any()), ANY)
    if not skipped.any():
        return
    flags = torch.from_numpy(skipped.astype(np.float32))[None, None]
    for step in model.skip_prior.walk(flags, context, model.log_table):
        wanted = whole_areas(flags) if step.is_area else flags
        places = _places(step)
        encoder.decisions((wanted.flatten()[places] > 0).numpy(), _indices(step, places))


def decode_skipped(decoder: SymbolDecoder, context: SkipContext, model: VideoModel) -> np.ndarray:
    """(h, w) of booleans. Raises Malformed."""
    flags = torch.zeros_like(context.before[:, :1])
    is_any = decoder.decision(ANY)
    if is_any:
        rows, columns = flags.shape[-2:]
        for step in model.skip_prior.walk(flags, context, model.log_table):
            places = _places(step)
            found = torch.zeros(step.asked.numel(), dtype=torch.float32, device="cpu")
            found[places] = torch.from_numpy(decoder.decisions(_indices(step, places))).float()
            there = found.view(1, 1, *step.asked.shape[1:])
            if step.is_area:
                there = there.repeat_interleave(AREA, 2).repeat_interleave(AREA, 3)
            flags += there[..., :rows, :columns]
    skipped: np.ndarray = (flags[0, 0] > 0).numpy()
    if is_any and not skipped.any():
        raise Malformed("some position is said to be skipped, and none is")
    return skipped


def _places(step: SkipStep) -> Tensor:
    return step.asked.flatten().nonzero()[:, 0]


def _indices(step: SkipStep, places: Tensor) -> np.ndarray:
    array: np.ndarray = step.indices.flatten()[places].to(torch.uint8).numpy()
    return array
