"""Figures on fixed crops: real rounding, code lengths of the symbols themselves; structures and q
by level as encoders use them.

They tell better weights of one run from worse ones. What a model is worth beside another codec they
do not tell: `training/comparison.py` measures that. Bits are those of the latents: motion is that
between the frames of the source, the same for all weights, and not what an encoder would send."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from neuralcodec.encoder.structure.gop_structure import INTRA_BONUS, frame_quality
from neuralcodec.metrics.psnr import MAX_DB
from neuralcodec.model.config import ModelConfig
from neuralcodec.model.recurrence import State
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.crops import Crop
from neuralcodec.training.objective import FrameCost, sequence_costs
from neuralcodec.training.sequences import DrawnSequences, Sequences
from neuralcodec.training.source_motion import with_source_motion
from neuralcodec.training.structures import (
    Structure,
    chain,
    low_delay,
    more_q_as_shown,
    pyramids,
)

QUALITIES = (8, 24, 40, 56)
SHOWN_QUALITY = 24  # of the pictures that are kept to look at
AT_ONCE = 8  # crops in one batch, for the sake of memory


@dataclass(frozen=True)
class CropFigures:
    """One crop at one quality."""

    bpp: float  # of the latents
    psnr: float  # PSNR-YUV (6:1:1) of the 8-bit pictures, mean over the frames
    db: float  # of the weighted mean squared error of the sequence, as the loss has it
    cost: float  # bpp + λ·MSE
    intra_bpp: float
    intra_db: float


@dataclass(frozen=True)
class ShownFrame:
    """A frame of a crop before and after: y (1, H, W) and uv (2, H/2, W/2), about in [0, 1]."""

    name: str
    source: tuple[Tensor, Tensor]
    decoded: tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Figures:
    """What a validation came to.

    points: by quality, one entry a crop. shown: the last frame of each crop at SHOWN_QUALITY."""

    points: dict[int, list[CropFigures]]
    shown: list[ShownFrame] = field(repr=False)

    @property
    def score(self) -> float:
        """The mean log2 of bpp + λ·MSE, so that 0.1 is about 7 % of the bits. Lower is better."""
        costs = [point.cost for points in self.points.values() for point in points]
        return round(math.fsum(map(math.log2, costs)) / len(costs), 5)

    def entry(self) -> dict[str, float]:
        """For the log: means over the crops, by quality."""
        entry: dict[str, float] = {}
        for q, points in self.points.items():
            for name, digits in (
                ("bpp", 4), ("psnr", 3), ("db", 3), ("intra_bpp", 4), ("intra_db", 3),
            ):  # fmt: skip
                mean = math.fsum(getattr(point, name) for point in points) / len(points)
                entry[f"{name}_{q}"] = round(mean, digits)
        return entry | {"score": self.score}


def structures(length: int) -> list[Structure]:
    return [pyramids(length, 8), pyramids(length, 4), chain(length), low_delay(length)]


class Validation:
    """Each crop as one GOP, at four qualities, each time in another of four structures: they take
    turns from crop to crop."""

    def __init__(self, crops: Sequence[Crop], config: ModelConfig, device: torch.device) -> None:
        self.crops, self.device = list(crops), device
        alike: dict[tuple[tuple[int, ...], int, int], list[int]] = defaultdict(list)
        for number, crop in enumerate(self.crops):
            kinds = structures(len(crop.y))
            for turn, q in enumerate(QUALITIES):
                alike[tuple(crop.y.shape), (number + turn) % len(kinds), q].append(number)
        self.batches = [
            CropBatch([self.crops[i] for i in part], part, q, structures(shape[0])[kind], config)
            for (shape, kind, q), numbers in alike.items()
            for part in (numbers[i : i + AT_ONCE] for i in range(0, len(numbers), AT_ONCE))
        ]

    @torch.no_grad()
    def measure(self, model: VideoModel) -> Figures:
        model.eval()
        found: dict[int, dict[int, CropFigures]] = {q: {} for q in QUALITIES}
        shown: dict[int, ShownFrame] = {}
        for batch in self.batches:
            sequences = batch.sequences.to(self.device)
            with torch.autocast(self.device.type, torch.bfloat16):
                costs = sequence_costs(model, sequences)
            found[batch.q] |= batch.figures(costs, sequences, model.config)
            if batch.q == SHOWN_QUALITY:
                last = max(costs, key=lambda cost: cost.frame).shown
                for item, number in enumerate(batch.numbers):
                    shown[number] = ShownFrame(
                        self.crops[number].name,
                        (sequences.y[item, -1].cpu(), sequences.uv[item, -1].cpu()),
                        (last.y[item].float().cpu(), last.uv[item].float().cpu()),
                    )
        points = {q: [by_crop[i] for i in range(len(self.crops))] for q, by_crop in found.items()}
        return Figures(points, [shown[i] for i in range(len(self.crops))])


class CropBatch:
    """Crops of one size, coded alike; `numbers` are their places among all."""

    def __init__(
        self,
        crops: list[Crop],
        numbers: list[int],
        q: int,
        structure: Structure,
        config: ModelConfig,
    ) -> None:
        self.numbers, self.q = numbers, q
        offsets = [INTRA_BONUS, *more_q_as_shown(structure)[1:]]
        of_frames = torch.tensor([float(frame_quality(q, offset)) for offset in offsets])
        drawn = DrawnSequences(
            y=torch.stack([crop.y for crop in crops]).float() / 255,
            uv=torch.stack([crop.uv for crop in crops]).float() / 255,
            q=of_frames.repeat(len(crops), 1),
            structure=structure,
            stride=torch.ones(len(crops), dtype=torch.int64),
        )
        self.sequences = with_source_motion(config, drawn)

    def figures(
        self, costs: list[FrameCost], sequences: Sequences, config: ModelConfig
    ) -> dict[int, CropFigures]:
        """sequences: where the costs are, which begin with those of the intra frame."""
        bits = torch.stack([c.bpp for c in costs])
        errors = torch.stack([c.distortion for c in costs])
        y, uv = sequences.y, sequences.uv
        psnr = torch.stack([psnr_yuv(c.shown, y[:, c.frame], uv[:, c.frame]) for c in costs])
        weight = float(config.quality_lambdas(torch.tensor(float(self.q))))
        bpp, error = bits.mean(0), errors.mean(0)
        columns = (
            bpp,
            psnr.mean(0),
            -10 * torch.log10(error),
            bpp + weight * error,
            bits[0],
            -10 * torch.log10(errors[0]),
        )
        rows = torch.stack(columns, 1).double().tolist()
        return {n: CropFigures(*row) for n, row in zip(self.numbers, rows, strict=True)}


def psnr_yuv(state: State, y: Tensor, uv: Tensor) -> Tensor:
    """(B,) in dB, of the pictures as 8-bit samples: what `metrics.psnr` measures."""
    planes = [(state.y, y), (state.uv[:, :1], uv[:, :1]), (state.uv[:, 1:], uv[:, 1:])]
    figures = []
    for shown, source in planes:
        steps = (shown.float() * 255).round().clamp(0, 255) - (source * 255).round()
        mse = steps.double().square().mean((1, 2, 3))
        figures.append((10 * torch.log10(255**2 / mse)).clamp(max=MAX_DB))
    return (6 * figures[0] + figures[1] + figures[2]) / 8


def overfits(scores: Sequence[tuple[float, float]], patience: int) -> bool:
    """scores: (held out, of training crops) of all validations, lower is better.

    Whether the last `patience` ones brought nothing better on the clips held out, though the
    training crops got better. 0: never."""
    if patience == 0 or len(scores) <= patience:
        return False
    (held_before, trained_before), (held_lately, trained_lately) = (
        tuple(min(column) for column in zip(*part, strict=True))
        for part in (scores[:-patience], scores[-patience:])
    )
    return held_lately >= held_before and trained_lately < trained_before
