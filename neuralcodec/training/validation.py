"""Figures on fixed crops: real rounding, code lengths of the symbols themselves.

They tell better weights of one run from worse ones. What a model is worth beside another codec they
do not tell: `training/comparison.py` measures that."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from neuralcodec.metrics.psnr import MAX_DB
from neuralcodec.model.config import ModelConfig
from neuralcodec.model.recurrence import State
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.crops import Crop
from neuralcodec.training.objective import FrameCost, sequence_costs, source_vectors

QUALITIES = (8, 24, 40, 56)
SHOWN_QUALITY = 24  # of the pictures that are kept to look at
AT_ONCE = 8  # crops in one batch, for the sake of memory


@dataclass(frozen=True)
class CropFigures:
    """One crop at one quality."""

    bpp: float
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


class Validation:
    """Each crop as one GOP, at four qualities."""

    def __init__(self, crops: Sequence[Crop], config: ModelConfig, device: torch.device) -> None:
        self.crops, self.device = list(crops), device
        by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for number, crop in enumerate(self.crops):
            by_shape[tuple(crop.y.shape)].append(number)
        self.batches = [
            _CropBatch([self.crops[i] for i in part], part, config, device)
            for numbers in by_shape.values()
            for part in (numbers[i : i + AT_ONCE] for i in range(0, len(numbers), AT_ONCE))
        ]

    @torch.no_grad()
    def measure(self, model: VideoModel) -> Figures:
        model.eval()
        found: dict[int, dict[int, CropFigures]] = {q: {} for q in QUALITIES}
        shown: dict[int, ShownFrame] = {}
        for batch in self.batches:
            for q in QUALITIES:
                with torch.autocast(self.device.type, torch.bfloat16):
                    costs = sequence_costs(
                        model, batch.y, batch.uv, batch.quality(q), batch.vectors[q]
                    )
                found[q] |= batch.figures(costs, model.config, q)
                if q == SHOWN_QUALITY:
                    last = costs[-1].shown
                    for item, number in enumerate(batch.numbers):
                        shown[number] = ShownFrame(
                            self.crops[number].name,
                            (batch.y[item, -1].cpu(), batch.uv[item, -1].cpu()),
                            (last.y[item].float().cpu(), last.uv[item].float().cpu()),
                        )
        points = {q: [by_crop[i] for i in range(len(self.crops))] for q, by_crop in found.items()}
        return Figures(points, [shown[i] for i in range(len(self.crops))])


class _CropBatch:
    """Crops of one size; `numbers` are their places among all."""

    def __init__(
        self, crops: list[Crop], numbers: list[int], config: ModelConfig, device: torch.device
    ) -> None:
        self.numbers = numbers
        self.y = torch.stack([crop.y for crop in crops]).to(device).float() / 255
        self.uv = torch.stack([crop.uv for crop in crops]).to(device).float() / 255
        self.vectors = {q: source_vectors(config, self.y, self.quality(q)) for q in QUALITIES}

    def quality(self, q: int) -> Tensor:
        return torch.full(self.y.shape[:2], float(q), device=self.y.device)

    def figures(
        self, costs: list[FrameCost], config: ModelConfig, q: int
    ) -> dict[int, CropFigures]:
        bits = torch.stack([c.latent_bpp + c.vector_bpp for c in costs])
        errors = torch.stack([c.distortion for c in costs])
        psnr = torch.stack(
            [psnr_yuv(c.shown, self.y[:, t], self.uv[:, t]) for t, c in enumerate(costs)]
        )
        weight = float(config.quality_lambdas(torch.tensor(float(q))))
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
