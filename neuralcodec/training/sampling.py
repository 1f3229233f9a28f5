"""Random training sequences from a frame cache."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neuralcodec.encoder.structure.gop_structure import BONUS_BEFORE, INTRA_BONUS
from neuralcodec.model.config import HIGHEST_Q, LOWEST_Q, QUALITIES
from neuralcodec.training.sequences import DrawnSequences
from neuralcodec.training.structures import Structure, drawn_structure, more_q_as_shown, reach
from neuralcodec.training.synthetic import standing_still, stretch_contrast, synthetic_sequence

GOOD_SOURCE_BPP = 0.5  # sources compressed harder than this are drawn less often
SYNTHETIC_SHARE = 0.06  # of the sequences
STRETCHED_SHARE = 0.06
STILL_SHARE = 0.12  # stand still, in part at least: the clips are of moving cameras mostly
GREY_SHARE = 0.03
GREY = 128
LOWEST_ASKED = -4.0  # of a sequence: its first frame has more
BONUS_SHARE = 0.8  # of the intra frames have one of the encoder's
BONUSES = (INTRA_BONUS, INTRA_BONUS, *BONUS_BEFORE.values())
MOVED_SHARE = 0.5  # of the batches have q moved from frame to frame, as rate control may do
MOST_MOVED = 2.0
# Frames of the clip from one to the next; several, as from anchor to anchor: networks that have not
# seen long chains of such frames let them fade.
STRIDES, STRIDE_ODDS = (1, 2, 4, 8), (0.5, 0.2, 0.18, 0.12)
FARTHEST = 16  # frames of the clip, that a first reference is away
STRUCTURES = 1  # what the random numbers of structures are derived from too


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
    """Draws batches; reseeded for each step, so that a resumed run sees what it would have seen.

    All sequences of a step are coded alike, and those of `alike` steps in a row, if they are as
    long.
    """

    def __init__(self, clips: list[Clip], seed: int, alike: int = 1) -> None:
        self.clips = clips
        weights = np.array([clip.weight for clip in clips])
        self.odds = weights / weights.sum()
        self.seed, self.alike = seed, alike
        self.start_step(0)

    def start_step(self, step: int) -> None:
        self.step = step
        self.random = np.random.default_rng([self.seed, step])

    def batch(self, items: int, length: int, size: int) -> DrawnSequences:
        structure = self._structure(length)
        strides = [stride for stride in STRIDES if stride * reach(structure) <= FARTHEST]
        drawn = [self._sequence(length, size, strides) for _ in range(items)]
        return DrawnSequences(
            y=torch.stack([d[0] for d in drawn]).float() / 255,
            uv=torch.stack([d[1] for d in drawn]).float() / 255,
            q=self._qualities(items, structure),
            structure=structure,
            stride=torch.tensor([d[2] for d in drawn]),
        )

    def _structure(self, length: int) -> Structure:
        seeds = [self.seed, self.step // self.alike, STRUCTURES]
        return drawn_structure(length, np.random.default_rng(seeds))

    def _qualities(self, items: int, structure: Structure) -> Tensor:
        random = self.random
        q = random.uniform(LOWEST_ASKED, QUALITIES - 1, (items, 1)) + more_q_as_shown(structure)
        q[:, 0] += random.choice(BONUSES, items) * (random.random(items) < BONUS_SHARE)
        if random.random() < MOVED_SHARE:
            q += random.uniform(-MOST_MOVED, MOST_MOVED, q.shape)
        return torch.from_numpy(q.clip(LOWEST_Q, HIGHEST_Q)).float()

    def _sequence(self, length: int, size: int, strides: list[int]) -> tuple[Tensor, Tensor, int]:
        """y, uv and the stride, one of those given."""
        random = self.random
        if random.random() < SYNTHETIC_SHARE:
            return *synthetic_sequence(length, size, random), 1
        odds = np.array(STRIDE_ODDS[: len(strides)])
        while True:
            frames = self.clips[random.choice(len(self.clips), p=self.odds)].frames
            stride = int(random.choice(strides, p=odds / odds.sum()))
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
        if random.random() < STILL_SHARE:
            y, uv = standing_still(y, uv, random)
        if random.random() < GREY_SHARE:
            uv = torch.full_like(uv, GREY)
        return y, uv, stride


def _crop(frames: np.ndarray, size: int, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    rows, columns = frames.shape[1] * 2 // 3, frames.shape[2]
    top = 2 * random.integers((rows - size) // 2 + 1)
    left = 2 * random.integers((columns - size) // 2 + 1)
    y = frames[:, None, top : top + size, left : left + size]
    chroma = frames[:, rows:].reshape(len(frames), 2, rows // 2, columns // 2)
    half = size // 2
    uv = chroma[:, :, top // 2 : top // 2 + half, left // 2 : left // 2 + half]
    return torch.from_numpy(y.copy()), torch.from_numpy(uv.copy())
