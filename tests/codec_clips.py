"""Clips for the tests of the codec, and GOPs coded from them without a file."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neuralcodec.codec.gop_symbols import FrameSymbols
from neuralcodec.container import ContainerWriter, StreamHeader
from neuralcodec.encoder.encoder import CodedGop, Encoder
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.encoder.lookahead import FrameComplexity, SourceFrame
from neuralcodec.media import VideoReader
from neuralcodec.model.config import BLOCK, VECTOR_BLOCK, ModelConfig
from neuralcodec.model.loop_filters import Filtered
from neuralcodec.model.model_file import InstalledModel, load_model, model_bytes
from neuralcodec.model.video_model import VideoModel
from neuralcodec.video import Frame, VideoFormat

CITY = Path(__file__).parent.parent / "clips" / "city.mp4"
CPU = torch.device("cpu")


def city_frames(count: int) -> tuple[VideoFormat, list[Frame]]:
    """The first frames of the bundled clip, 432x240."""
    with VideoReader(CITY, limit=count) as reader:
        return reader.format, list(reader)


def cropped(
    fmt: VideoFormat, frames: Sequence[Frame], width: int, height: int
) -> tuple[VideoFormat, list[Frame]]:
    """The top left corner of each frame, with PTS 100, 103, 106, ..."""
    small = VideoFormat(width, height, fmt.time_base, fmt.bit_depth, fmt.frame_rate)
    w, h = small.chroma_size
    return small, [
        Frame(
            np.ascontiguousarray(f.y[:height, :width]),
            np.ascontiguousarray(f.u[:h, :w]),
            np.ascontiguousarray(f.v[:h, :w]),
            100 + 3 * number,
        )
        for number, f in enumerate(frames)
    ]


def ten_bit(fmt: VideoFormat, frames: Sequence[Frame]) -> tuple[VideoFormat, list[Frame]]:
    """The same pictures at 10 bit, with values between those of 8 bit too."""
    rng = np.random.default_rng(10)

    def widened(plane: np.ndarray) -> np.ndarray:
        return (plane.astype(np.uint16) * 4 + rng.integers(0, 4, plane.shape)).astype(np.uint16)

    deep = VideoFormat(fmt.width, fmt.height, fmt.time_base, 10, fmt.frame_rate)
    return deep, [Frame(widened(f.y), widened(f.u), widened(f.v), f.pts) for f in frames]


def source_frame(frame: Frame, number: int, begins_gop: bool) -> SourceFrame:
    """As the encoder gets it; what nobody looks at is made up."""
    position = 0 if begins_gop else 1
    info = FrameComplexity(number=number, gop=0, position=position, pts=frame.pts)
    return SourceFrame(frame=frame, info=info)


def coded_gops(
    installed: InstalledModel,
    fmt: VideoFormat,
    frames: Sequence[Frame],
    *,
    quality: int = 32,
    gop: int = 96,
    precision: torch.dtype = torch.float32,
) -> list[CodedGop]:
    settings = EncoderSettings(quality, gop, CPU, precision)
    return list(Encoder(installed, fmt, settings).gops(iter(frames)))


def write_nlc(
    path: Path, installed: InstalledModel, fmt: VideoFormat, gops: Sequence[CodedGop]
) -> Path:
    longest = max(len(g.record.frames) for g in gops)
    with path.open("wb") as file:
        writer = ContainerWriter(file, StreamHeader(fmt, longest, installed.name, installed.sha256))
        for coded in gops:
            writer.write_gop(coded.record, coded.stats)
        writer.finish()
    return path


def untagged(width: int, height: int, bit_depth: int = 8) -> VideoFormat:
    """25 frames per second, PTS in frames."""
    return VideoFormat(width, height, Fraction(1, 25), bit_depth, Fraction(25))


def tiny_model(**sizes: Any) -> VideoModel:
    """Seeded random weights on a config of its own: indices all over 0..63, and index 0 for a
    quarter of each frame's symbols."""
    torch.manual_seed(3)
    config = ModelConfig(
        "tiny",
        channels=8,
        latents=20,
        groups=(4, 12, 20),
        prior_channels=8,
        vector_channels=8,
        **sizes,
    )
    model = VideoModel(config)
    with torch.no_grad():
        for layer in model.exact_layers():
            layer.bias.normal_(0, 0.3)
            layer.weight.mul_(2)
        for prior in (model.intra_prior, model.inter_prior):
            for networks in (prior.networks, prior.second):
                if networks is not None:  # second halves are of intra frames alone
                    networks[-1].write.bias[:5] = -1000.0  # type: ignore[index, union-attr]
    return model


def installed_from(model: VideoModel, folder: Path) -> InstalledModel:
    """The model as its own file gives it."""
    path = folder / f"{model.config.name}.safetensors"
    path.write_bytes(model_bytes(model, {}))
    return load_model(str(path))


def random_symbols(
    rng: np.random.Generator, rows: int, columns: int, config: ModelConfig, frames: int
) -> list[FrameSymbols]:
    """Mostly small, some up to the limits; vectors that often repeat their neighbours."""
    result = []
    before: np.ndarray | None = None
    for t in range(frames):
        latent = np.round(rng.laplace(0, 1, (rows, columns, config.latents))).astype(np.int16)
        latent[rng.random(latent.shape) < 0.6] = 0
        extreme = rng.random(latent.shape) < 0.01
        latent[extreme] = rng.choice([-32767, -4096, 700, 4095, 32767], int(extreme.sum()))
        field = None
        if t:
            field_size = (rows * BLOCK // VECTOR_BLOCK, columns * BLOCK // VECTOR_BLOCK)
            few = rng.integers(-30, 31, (2, 3)).astype(np.int16) * np.array([0, 1, 1], np.int16)
            field = few[:, rng.integers(0, 3, field_size)]
            if before is not None:  # much stays as it was, so that this candidate is taken too
                stays = rng.random(field_size) < 0.4
                field = np.where(stays, before, field)
            far = rng.random(field_size) < 0.1
            field[:, far] = rng.choice([-1023, 1023, 5], (2, int(far.sum())))
        before = field
        filtered = None
        if t:
            filtered = Filtered(int(rng.integers(3))), Filtered(int(rng.integers(3)))
        result.append(FrameSymbols(field, latent, filtered))
    return result
