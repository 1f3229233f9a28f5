"""What the model thinks a GOP costs: the trainer's count of bits, on the symbols really written."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neuralcodec.codec.gop_symbols import FrameSymbols
from neuralcodec.container import GopRecord
from neuralcodec.decoder.decoder import Decoder
from neuralcodec.model.code_length import laplace_bits, motion_bits, skip_map_bits
from neuralcodec.model.exact import exact_float32, log_magnitude
from neuralcodec.model.motion_prior import MotionSetting
from neuralcodec.model.scale_prior import History, Past
from neuralcodec.model.skip_prior import SkipContext, activity_of
from neuralcodec.model.temporal_motion import ReferenceMotion, temporal_motion
from neuralcodec.model.video_model import VideoModel
from neuralcodec.references import Placement


@dataclass(frozen=True)
class _Coded:
    """What a frame means for those that refer to it."""

    motion: ReferenceMotion
    history: History
    skipped: Tensor


def predicted_bits(decoder: Decoder, gop: GopRecord) -> list[float]:
    """Bits of each frame's payload by the model's distributions, in the order of coding. Raises
    DamagedFile."""
    slots: dict[int, _Coded] = {}
    bits = []
    with torch.no_grad(), exact_float32("cpu"):
        for symbols, record in zip(decoder.parse_gop(gop), gop.frames, strict=True):
            place = record.place
            read = [slots[slot] for slot in place.slots or ()]
            count, left = _frame(decoder.installed.model, symbols, record.q, place, read)
            bits.append(count)
            if place.stored is not None:
                slots[place.stored] = left
    return bits


def _frame(
    model: VideoModel, symbols: FrameSymbols, quality: int, place: Placement, read: list[_Coded]
) -> tuple[float, _Coded]:
    latent = torch.from_numpy(symbols.latent).float()[None]
    magnitudes = log_magnitude(latent, model.log_table)
    q, level = torch.tensor([quality]), torch.tensor([place.level])
    if not read:
        rows, columns = latent.shape[1:3]
        still = np.zeros((5, 2 * rows, 2 * columns), np.int16)
        unskipped = torch.zeros(1, 1, rows, columns)
        left = _Coded(ReferenceMotion(still, 0, (0, 0)), History.begin(magnitudes), unskipped)
        return _latent_bits(model, latent, q, None, unskipped), left
    assert symbols.motion is not None and symbols.skipped is not None
    first, second = read
    distances = place.shown - first.motion.time, place.shown - second.motion.time
    away = torch.tensor([distances])
    motion = torch.from_numpy(symbols.motion).float()[None]
    temporal = temporal_motion(place.shown, (first.motion, second.motion))
    setting = MotionSetting(torch.from_numpy(temporal).float()[None], away, level, q)
    past = Past(History.of_both(first.history, second.history), motion, level, away)
    skipped = torch.from_numpy(symbols.skipped).float()[None, None]
    context = SkipContext(
        q,
        motion,
        level,
        away,
        activity_of(past.history.last, past.history.mean),
        torch.cat([first.skipped, second.skipped], 1),
    )
    total = float(motion_bits(model.motion_prior, motion, setting, model.log_table))
    total += float(skip_map_bits(model.skip_prior, skipped, context, model.log_table))
    total += _latent_bits(model, latent, q, past, skipped)
    shown = ReferenceMotion(symbols.motion, place.shown, distances)
    return total, _Coded(shown, past.history.advance(magnitudes), skipped)


def _latent_bits(
    model: VideoModel, latent: Tensor, q: Tensor, past: Past | None, skipped: Tensor
) -> float:
    """latent (1, h, w, N)."""
    prior = model.intra_prior if past is None else model.inter_prior
    magnitudes = log_magnitude(latent, model.log_table)
    side = prior.side_information(q, latent.shape[:3], model.log_table, past)
    indices = prior.all_indices(side, magnitudes).permute(0, 3, 1, 2)
    bits = laplace_bits(latent.permute(0, 3, 1, 2), indices)
    return float((bits * (1 - skipped)).sum())
