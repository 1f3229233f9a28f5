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
from neuralcodec.encoder.structure.mini_gops import P_FRAMES, Structure
from neuralcodec.media import VideoReader
from neuralcodec.model.config import BLOCK, VECTOR_BLOCK, ModelConfig
from neuralcodec.model.loop_filters import Filtered
from neuralcodec.model.model_file import InstalledModel, load_model, model_bytes
from neuralcodec.model.video_model import VideoModel
from neuralcodec.references import Placement
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


def coded_gops(
    installed: InstalledModel,
    fmt: VideoFormat,
    frames: Sequence[Frame],
    *,
    quality: int = 32,
    gop: int = 96,
    precision: torch.dtype = torch.float32,
    structure: Structure = P_FRAMES,
) -> list[CodedGop]:
    settings = EncoderSettings(quality, gop, CPU, precision, structure=structure)
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
                if networks:  # second halves are of intra frames alone
                    networks[-1].write.bias[:5] = -1000.0  # type: ignore[index, union-attr]
    return model


def installed_from(model: VideoModel, folder: Path) -> InstalledModel:
    """The model as its own file gives it."""
    path = folder / f"{model.config.name}.safetensors"
    path.write_bytes(model_bytes(model, {}))
    return load_model(str(path))


# Every kind of frame: P-frames with one reference and with two, B-frames between and beside theirs
PLACES = [
    Placement(0),
    Placement(4, slots=(0, 0), stored=1),
    Placement(2, level=1, slots=(0, 1), stored=2),
    Placement(1, level=2, slots=(0, 2), stored=3),
    Placement(3, level=2, slots=(1, 2), stored=None),
    Placement(6, slots=(1, 0), stored=0),
    Placement(5, level=1, slots=(3, 0), stored=None),
]


def random_symbols(
    rng: np.random.Generator,
    rows: int,
    columns: int,
    config: ModelConfig,
    places: Sequence[Placement],
) -> list[FrameSymbols]:
    """Mostly small, some up to the limits; motion that often repeats its neighbours."""
    result = []
    before: np.ndarray | None = None
    for place in places:
        latent = np.round(rng.laplace(0, 1, (rows, columns, config.latents))).astype(np.int16)
        latent[rng.random(latent.shape) < 0.6] = 0
        extreme = rng.random(latent.shape) < 0.01
        latent[extreme] = rng.choice([-32767, -4096, 700, 4095, 32767], int(extreme.sum()))
        motion = filtered = skipped = None
        if place.slots is not None:
            size = (rows * BLOCK // VECTOR_BLOCK, columns * BLOCK // VECTOR_BLOCK)
            motion = _random_motion(rng, size, before, place.slots[0] != place.slots[1])
            filtered = Filtered(int(rng.integers(3))), Filtered(int(rng.integers(3)))
            skipped = _random_skipped(rng, rows, columns)
            latent[skipped] = 0
        before = motion
        result.append(FrameSymbols(motion, latent, filtered, skipped))
    return result


def _random_skipped(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Whole areas of 4x4 positions, and single positions; sometimes none."""
    areas = rng.random((-(-rows // 4), -(-columns // 4))) < 0.4
    skipped = areas.repeat(4, 0).repeat(4, 1)[:rows, :columns]
    skipped = skipped | (rng.random((rows, columns)) < 0.2)
    return skipped & (rng.random() < 0.8)


def _random_motion(
    rng: np.random.Generator, size: tuple[int, int], before: np.ndarray | None, is_two: bool
) -> np.ndarray:
    few = rng.integers(-30, 31, (5, 3)).astype(np.int16) * np.array([0, 1, 1], np.int16)
    few[0] = [2, 0, 1]
    motion = few[:, rng.integers(0, 3, size)]
    if before is not None:  # much stays as it was, so that this candidate is taken too
        motion = np.where(rng.random(size) < 0.4, before, motion)
    far = rng.random(size) < 0.1
    motion[1:, far] = rng.choice([-1023, 1023, 5], (4, int(far.sum())))
    if not is_two:
        motion[0] = 0
    motion[1:3, motion[0] == 1] = 0
    motion[3:5, motion[0] == 0] = 0
    return motion
