"""Presets move the encoder's effort, and nothing that a decoder could notice."""

import itertools

import pytest
import torch
from codec_clips import CPU, city_frames, cropped

from neuralcodec.codec.gop_symbols import GopSymbolEncoder, build_coder
from neuralcodec.codec.tensors import grid_size, to_tensors
from neuralcodec.decoder.decoder import Decoder, DecoderSettings
from neuralcodec.encoder.encoder import CodedGop, Encoder
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.encoder.frame_encoder import FrameEncoder, FrameTask
from neuralcodec.encoder.presets import DEFAULT_PRESET, MEDIUM, PRESETS, Effort
from neuralcodec.encoder.refinement import LEANING
from neuralcodec.metrics import frame_psnr
from neuralcodec.model.distortion import CHROMA_WEIGHT, LUMA_WEIGHT, distortion
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.references import chain
from neuralcodec.video import Frame, VideoFormat

QUALITY = 16
Clip = tuple[VideoFormat, list[Frame]]


@pytest.fixture(scope="module")
def clip() -> Clip:
    return cropped(*city_frames(5), 96, 64)


def coded(
    installed: InstalledModel,
    clip: Clip,
    effort: Effort,
    gop: int = 5,
    precision: torch.dtype = torch.float32,
) -> list[CodedGop]:
    fmt, frames = clip
    settings = EncoderSettings(QUALITY, gop, CPU, precision, effort=effort)
    return list(Encoder(installed, fmt, settings).gops(iter(frames)))


def cost(installed: InstalledModel, clip: Clip, gops: list[CodedGop]) -> float:
    """Bits per sample + λ · squared error of all frames at the λ asked for, from what is written
    and recorded."""
    fmt, frames = clip
    bits = 8 * sum(len(f.payload) for g in gops for f in g.record.frames)
    weight = float(installed.model.config.quality_lambdas(torch.tensor(float(QUALITY))))
    error = 0.0
    for planes in (figures for g in gops for figures in g.stats.psnr):
        y, u, v = (10 ** (-db / 10) for db in planes)
        error += LUMA_WEIGHT * y + CHROMA_WEIGHT * (u + v) / 2
    return (bits / (fmt.width * fmt.height) + weight * error) / len(frames)


@pytest.mark.parametrize(
    ("preset", "precision"),
    [*((preset, torch.float32) for preset in PRESETS), ("slow", torch.bfloat16)],
    ids=str,
)
def test_a_decoder_shows_exactly_what_the_encoder_recorded_whatever_the_preset(
    preset: str, precision: torch.dtype, clip: Clip, installed_model: InstalledModel
):
    fmt, frames = clip
    gops = coded(installed_model, clip, PRESETS[preset], gop=3, precision=precision)
    decoder = Decoder(installed_model, fmt, DecoderSettings(1, CPU, precision), "clip.nlc")
    shown = list(decoder.frames([g.record for g in gops]))
    recorded = [figures for g in gops for figures in g.stats.psnr]
    assert len(shown) == len(recorded) == len(frames)
    for source, frame, figures in zip(frames, shown, recorded, strict=True):
        measured = frame_psnr(source, frame)
        assert (measured.y, measured.u, measured.v) == figures


def test_medium_is_the_default_and_fast_leaves_everything_as_it_is_found(
    clip: Clip, installed_model: InstalledModel
):
    assert PRESETS[DEFAULT_PRESET] is MEDIUM
    assert EncoderSettings(QUALITY, 5, CPU, torch.float32).effort is MEDIUM
    assert MEDIUM.priced_motion and not MEDIUM.symbol_rounds
    assert PRESETS["fast"] == Effort()
    fmt, frames = clip
    settings = EncoderSettings(QUALITY, 5, CPU, torch.float32)
    by_default = list(Encoder(installed_model, fmt, settings).gops(iter(frames)))
    assert coded(installed_model, clip, PRESETS["medium"]) == by_default


def test_slower_presets_cost_less(clip: Clip, installed_model: InstalledModel):
    fast, medium, slow, placebo = (
        cost(installed_model, clip, coded(installed_model, clip, PRESETS[preset]))
        for preset in PRESETS
    )
    assert medium < fast
    assert slow < 0.99 * fast
    assert placebo < 0.99 * fast


def test_choosing_vectors_by_their_price_saves_bits_by_itself(
    clip: Clip, installed_model: InstalledModel
):
    priced = coded(installed_model, clip, Effort(priced_motion=True))
    plain = coded(installed_model, clip, Effort())
    assert cost(installed_model, clip, priced) < cost(installed_model, clip, plain)


def test_reconsidering_symbols_lowers_the_cost_of_a_frame_and_never_raises_it(
    clip: Clip, installed_model: InstalledModel
):
    fmt, frames = clip
    model = installed_model.model
    weight = LEANING * float(model.config.quality_lambdas(torch.tensor(float(QUALITY))))
    costs = []
    for rounds in (0, 1, 2, 6):
        effort = Effort(symbol_rounds=rounds)
        encoder = FrameEncoder(model, fmt, CPU, torch.float32, effort)
        [trial] = encoder.encode(
            [FrameTask(frame=frames[0], q=QUALITY, place=chain(0), references=None)]
        )
        coder = GopSymbolEncoder(installed_model, build_coder(installed_model), *grid_size(fmt))
        bits = 8 * len(coder.encode(trial.symbols, QUALITY, chain(0)))
        y, uv = to_tensors(frames[:1], fmt, CPU)
        error = float(distortion(trial.recurrence.state, y, uv))
        costs.append(bits / (fmt.width * fmt.height) + weight * error)
    assert all(after <= 1.01 * before for before, after in itertools.pairwise(costs))
    assert costs[-1] < 0.995 * costs[0]


def test_a_refined_gop_is_the_same_in_every_run(clip: Clip, installed_model: InstalledModel):
    alone = coded(installed_model, clip, PRESETS["slow"], gop=2)
    again = coded(installed_model, clip, PRESETS["slow"], gop=2)
    assert [len(g.record.frames) for g in again] == [2, 2, 1]
    assert [(g.record, g.stats) for g in again] == [(g.record, g.stats) for g in alone]


def test_a_refined_gop_can_be_broken_off_by_an_intra_frame(installed_model: InstalledModel):
    fmt, frames = cropped(*city_frames(3), 64, 48)
    dark = Frame(frames[0].y // 8, frames[0].u, frames[0].v, 90)
    other = Frame(255 - frames[0].y[::-1, ::-1], frames[0].v, frames[0].u, 200)
    sequence = [dark, dark, other, other, frames[0]]
    sequence = [Frame(f.y, f.u, f.v, t) for t, f in enumerate(sequence)]
    gops = coded(installed_model, (fmt, sequence), PRESETS["slow"])
    decoder = Decoder(installed_model, fmt, DecoderSettings(1, CPU, torch.float32), "clip.nlc")
    shown = list(decoder.frames([g.record for g in gops]))
    recorded = [figures for g in gops for figures in g.stats.psnr]
    for source, frame, (y, _, _) in zip(sequence, shown, recorded, strict=True):
        assert frame_psnr(source, frame).y == y
