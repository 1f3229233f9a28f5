"""What rounding does to pictures stays small over the longest GOP there is.

For other clips and longer GOPs see docs/reliability.md and scripts/measure_drift.py.
"""

import numpy as np
import pytest
import torch
from codec_clips import CPU, city_frames, coded_gops, cropped

from neuralcodec.decoder.decoder import Decoder, DecoderSettings
from neuralcodec.encoder.structure.gop_structure import LONGEST_GOP
from neuralcodec.metrics import frame_psnr
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.video import Frame

FRAMES = LONGEST_GOP


@pytest.mark.parametrize("quality", [10, 50])
def test_decoded_in_bfloat16_the_longest_gop_stays_close_to_float32(
    quality: int, installed_model: InstalledModel
):
    fmt, frames = cropped(*city_frames(FRAMES), 64, 48)
    gops = [g.record for g in coded_gops(installed_model, fmt, frames, quality=quality)]
    assert len(gops) == 1  # so that nothing begins afresh within it

    def decoded(precision: torch.dtype) -> list[Frame]:
        settings = DecoderSettings(1, CPU, precision)
        return list(Decoder(installed_model, fmt, settings, "drift").frames(gops))

    for source, one, other in zip(
        frames, decoded(torch.float32), decoded(torch.bfloat16), strict=True
    ):
        assert frame_psnr(one, other).yuv > 48
        assert frame_psnr(source, one).yuv - frame_psnr(source, other).yuv < 0.15
        difference = max(
            np.abs(a.astype(int) - b).max() for a, b in zip(one.planes, other.planes, strict=True)
        )
        assert difference <= 4
