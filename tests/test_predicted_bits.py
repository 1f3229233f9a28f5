"""What training counts as bits is what the encoder writes."""

import pytest
import torch
from codec_clips import CPU, city_frames, coded_gops
from predicted_bits import predicted_bits

from neuralcodec.decoder.decoder import Decoder, DecoderSettings
from neuralcodec.encoder.structure.mini_gops import LOW_DELAY, P_FRAMES, Structure
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.video import Frame, VideoFormat


@pytest.fixture(scope="module")
def clip() -> tuple[VideoFormat, list[Frame]]:
    return city_frames(6)


WORD = 32  # bits: the entropy coder's state, of which most is written at the end of a frame


@pytest.mark.parametrize(
    ("quality", "structure"),
    [(8, Structure(4, is_fixed=True)), (32, P_FRAMES), (40, LOW_DELAY), (56, Structure(4))],
)
def test_bits_predicted_and_bytes_written_agree_within_one_percent_and_a_word(
    quality: int,
    structure: Structure,
    clip: tuple[VideoFormat, list[Frame]],
    installed_model: InstalledModel,
):
    fmt, frames = clip
    (coded,) = coded_gops(installed_model, fmt, frames, quality=quality, structure=structure)
    decoder = Decoder(installed_model, fmt, DecoderSettings(1, CPU, torch.float32), "clip")
    intra, *inter = predicted_bits(decoder, coded.record)
    written = [8 * len(frame.payload) for frame in coded.record.frames]
    assert intra * 0.99 < written[0] < intra * 1.01 + WORD
    assert sum(inter) * 0.99 < sum(written[1:]) < sum(inter) * 1.01 + WORD * len(inter)
