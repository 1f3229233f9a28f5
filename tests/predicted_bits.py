"""What the model thinks a GOP costs: the trainer's count of bits, on the symbols really written."""

import torch

from neuralcodec.container import GopRecord
from neuralcodec.decoder.decoder import Decoder
from neuralcodec.model.code_length import laplace_bits, vector_field_bits
from neuralcodec.model.exact import exact_float32, log_magnitude
from neuralcodec.model.scale_prior import History, ScalePrior


def predicted_bits(decoder: Decoder, gop: GopRecord) -> list[float]:
    """Bits of each frame's payload by the model's distributions. Raises DamagedFile."""
    model = decoder.installed.model
    history: History | None = None
    last: torch.Tensor | None = None
    bits = []
    with torch.no_grad(), exact_float32("cpu"):
        for symbols, record in zip(decoder.parse_gop(gop), gop.frames, strict=True):
            latent = torch.from_numpy(symbols.latent).float()[None]
            magnitudes = log_magnitude(latent, model.log_table)
            total, vectors = 0.0, None
            q = torch.tensor([record.q], device="cpu")
            if symbols.vectors is not None:
                vectors = torch.from_numpy(symbols.vectors).float()[None]
                before = torch.zeros_like(vectors) if last is None else last
                field = vector_field_bits(model.vector_prior, vectors, before, q, model.log_table)
                total, last = float(field), vectors
            prior = model.intra_prior if vectors is None else model.inter_prior
            shape = (1, latent.shape[1], latent.shape[2])
            side = prior.side_information(q, shape, model.log_table, history, vectors)
            values = latent.permute(0, 3, 1, 2)
            bits.append(total + _latent_bits(prior, side, magnitudes, values))
            history = history.advance(magnitudes) if history else History.begin(magnitudes)
    return bits


def _latent_bits(
    prior: ScalePrior, side: torch.Tensor, magnitudes: torch.Tensor, values: torch.Tensor
) -> float:
    indices = prior.all_indices(side, magnitudes).permute(0, 3, 1, 2)
    return float(laplace_bits(values, indices).sum())
