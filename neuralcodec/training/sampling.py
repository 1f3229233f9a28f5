"""Random training sequences from a frame cache."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neuralcodec.encoder.gop_structure import INTRA_BONUS
from neuralcodec.model.config import QUALITIES
from neuralcodec.training.synthetic import stretch_contrast, synthetic_sequence

GOOD_SOURCE_BPP = 0.5  # sources compressed harder than this are drawn less often
SYNTHETIC_SHARE = 0.06  # of the sequences
STRETCHED_SHARE = 0.06
GREY_SHARE = 0.03
# Quality offsets over four frames: mostly what the encoder does, and what rate control may do.
PATTERNS = ((0, 0, 0, 0), (8, 0, 4, 0), (6, 0, 0, 0))
PATTERN_ODDS = (0.7, 0.15, 0.15)
GREY = 128


@dataclass(frozen=True)
class Clip:
    """frames: memory-mapped uint8 (T, 3H/2, W), planar 4:2:0."""

    name: str
    frames: np.ndarray
    weight: float


def open_cache(folder: Path, exclude: frozenset[str] = frozenset()) -> list[Clip]:
    """Clips of a folder made by `frame_cache`, without those named in `exclude`."""
    clips = []
    for entry in json.loads((folder / "index.json").read_text()):
        if entry["name"] in exclude:
            continue
        frames = np.load(folder / f"{entry['name']}.npy", mmap_mode="r")
        quality = min(1.0, entry["bpp"] / GOOD_SOURCE_BPP) ** 0.5
        clips.append(Clip(entry["name"], frames, quality * math.sqrt(len(frames))))
    return clips


def split_planes(frames: np.ndarray) -> tuple[Tensor, Tensor]:
    """(T, 3H/2, W) planar -> (T, 1, H, W), (T, 2, H/2, W/2) uint8 tensors."""
    rows = frames.shape[1] * 2 // 3
    width = frames.shape[2]
    chroma = frames[:, rows:].reshape(len(frames), 2, rows // 2, width // 2)
    return torch.from_numpy(frames[:, None, :rows].copy()), torch.from_numpy(chroma.copy())


class Sampler:
    """Draws batches; reseeded for each step, so that a resumed run sees what it would have seen."""

    def __init__(self, clips: list[Clip], seed: int) -> None:
        self.clips = clips
        weights = np.array([clip.weight for clip in clips])
        self.odds = weights / weights.sum()
        self.seed = seed
        self.start_step(0)

    def start_step(self, step: int) -> None:
        self.random = np.random.default_rng([self.seed, step])

    def batch(self, items: int, length: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """y (B, T, 1, S, S), uv (B, T, 2, S/2, S/2) in [0, 1], q (B, T) in 0..63."""
        drawn = [self._sequence(length, size) for _ in range(items)]
        y = torch.stack([d[0] for d in drawn]).float() / 255
        uv = torch.stack([d[1] for d in drawn]).float() / 255
        return y, uv, torch.stack([self._qualities(length) for _ in range(items)])

    def _qualities(self, length: int) -> Tensor:
        base = self.random.uniform(-4, QUALITIES - 1)
        pattern = PATTERNS[self.random.choice(len(PATTERNS), p=PATTERN_ODDS)]
        start = self.random.integers(4)
        offsets = [pattern[(start + t) % 4] for t in range(length)]
        if self.random.random() < 0.8:
            offsets[0] = INTRA_BONUS
        return torch.tensor([min(max(base + o, 0.0), QUALITIES - 1.0) for o in offsets])

    def _sequence(self, length: int, size: int) -> tuple[Tensor, Tensor]:
        random = self.random
        if random.random() < SYNTHETIC_SHARE:
            return synthetic_sequence(length, size, random)
        while True:
            frames = self.clips[random.choice(len(self.clips), p=self.odds)].frames
            stride = 2 if random.random() < 0.15 else 1
            span = (length - 1) * stride + 1
            if len(frames) >= span:
                break
        start = random.integers(len(frames) - span + 1)
        y, uv = _crop(frames[start : start + span : stride], size, random)
        if random.random() < 0.5:
            y, uv = y.flip(0), uv.flip(0)
        if random.random() < 0.5:
            y, uv = y.flip(-1), uv.flip(-1)
        if random.random() < 0.2:
            y, uv = y.transpose(-1, -2), uv.transpose(-1, -2)
        if random.random() < STRETCHED_SHARE:
            y, uv = stretch_contrast(y, uv, random)
        if random.random() < GREY_SHARE:
            uv = torch.full_like(uv, GREY)
        return y, uv


def _crop(frames: np.ndarray, size: int, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    rows, columns = frames.shape[1] * 2 // 3, frames.shape[2]
    top = 2 * random.integers((rows - size) // 2 + 1)
    left = 2 * random.integers((columns - size) // 2 + 1)
    y = frames[:, None, top : top + size, left : left + size]
    chroma = frames[:, rows:].reshape(len(frames), 2, rows // 2, columns // 2)
    half = size // 2
    uv = chroma[:, :, top // 2 : top // 2 + half, left // 2 : left // 2 + half]
    return torch.from_numpy(y.copy()), torch.from_numpy(uv.copy())
