"""What training counts as bits is what the encoder writes."""

import math

import numpy as np
import pytest
import torch
from codec_clips import CPU, city_frames, coded_gops

from neuralcodec.codec.decoder import Decoder, DecoderSettings
from neuralcodec.model.config import VECTOR_BLOCK
from neuralcodec.model.exact import exact_float32, log_magnitude
from neuralcodec.model.priors import History
from neuralcodec.model.rate import laplace_bits, latent_bits, vector_field_bits
from neuralcodec.model.tables import PRECISION, CodingTables
from neuralcodec.model.zoo import InstalledModel
from neuralcodec.video import Frame, VideoFormat


@pytest.fixture(scope="module")
def clip() -> tuple[VideoFormat, list[Frame]]:
    return city_frames(4)


ESCAPE = 16  # bits, besides those of 'outside'
EXCEPTION = 24 + 16  # bits of a symbol that was certain to be zero: its place and its value
SURPRISE = 13  # bits; the tables hold all values that are likelier


def surcharge(
    values: np.ndarray, indices: np.ndarray, counted: np.ndarray, tables: CodingTables
) -> float:
    """What the coder takes for surprising symbols beyond what was counted for them: an escape, for
    values outside of a table, and an exception cost more than the tail of the distribution says."""
    total = 0.0
    for place in zip(*np.nonzero((counted > SURPRISE) | (indices == 0)), strict=True):
        table = tables.symbols[indices[place]]
        support = len(table) // 2 - 1
        value = int(values[place])
        if indices[place] == 0:
            price = EXCEPTION if value else 0.0
        elif abs(value) <= support:
            price = PRECISION - math.log2(int(table[value + support]))
        else:
            price = PRECISION - math.log2(int(table[-1])) + ESCAPE
        total += price - float(counted[place])
    return total


@pytest.mark.parametrize("quality", [8, 32, 56])
def test_bits_predicted_and_bytes_written_agree_within_one_percent(
    quality: int, clip: tuple[VideoFormat, list[Frame]], installed_model: InstalledModel
):
    fmt, frames = clip
    model = installed_model.model
    (coded,) = coded_gops(installed_model, fmt, frames, quality=quality)
    decoder = Decoder(installed_model, fmt, DecoderSettings(1, CPU, torch.float32), "clip")
    q = torch.tensor([quality])
    history: History | None = None
    last = torch.zeros(1, 2, fmt.height // VECTOR_BLOCK, fmt.width // VECTOR_BLOCK)
    predicted = {"intra": 0.0, "inter": 0.0}
    written = {"intra": 0.0, "inter": 0.0}
    with torch.inference_mode(), exact_float32("cpu"):
        for symbols, record in zip(
            decoder.parse_gop(coded.record), coded.record.frames, strict=True
        ):
            kind = "intra" if symbols.vectors is None else "inter"
            prior = model.intra_prior if kind == "intra" else model.inter_prior
            latent = torch.from_numpy(symbols.latent).float()[None]
            magnitudes = log_magnitude(latent, model.log_table)
            vectors = None
            if symbols.vectors is not None:
                vectors = torch.from_numpy(symbols.vectors).float()[None]
                bits = vector_field_bits(model.vector_prior, vectors, last, model.log_table)
                predicted[kind] += float(bits)
                last = vectors
            shape = (1, latent.shape[1], latent.shape[2])
            side = prior.side_information(q, shape, model.log_table, history, vectors)
            values = latent.permute(0, 3, 1, 2)
            predicted[kind] += float(latent_bits(prior, side, magnitudes, values))
            indices = prior.all_indices(side, magnitudes)
            predicted[kind] += surcharge(
                symbols.latent,
                indices[0].numpy().astype(int),
                laplace_bits(latent, indices)[0].numpy(),
                installed_model.tables,
            )
            history = history.advance(magnitudes) if history else History.begin(magnitudes)
            written[kind] += 8 * len(record.payload)
    for kind in predicted:
        assert written[kind] == pytest.approx(predicted[kind], rel=0.01), kind
