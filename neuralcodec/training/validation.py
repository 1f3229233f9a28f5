"""Figures on clips set aside: real rounding, code lengths of the symbols themselves."""

import math
from pathlib import Path

import torch

from neuralcodec.model.config import BLOCK, ModelConfig
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.objective import sequence_costs, source_vectors
from neuralcodec.training.sampling import open_cache, split_planes

QUALITIES = (8, 24, 40, 56)
FRAMES = 12
SIZE = 16 * BLOCK


class Validation:
    """The middle of each held-out clip, 256x256, 12 frames as one GOP, at four qualities."""

    def __init__(self, cache: Path, names: frozenset[str], config: ModelConfig) -> None:
        clips = [clip for clip in open_cache(cache) if clip.name in names]
        planes = []
        for clip in clips:
            rows, columns = clip.frames.shape[1] * 2 // 3, clip.frames.shape[2]
            y, uv = split_planes(clip.frames[:FRAMES])
            top, left = (rows - SIZE) // 4 * 2, (columns - SIZE) // 4 * 2
            half = SIZE // 2
            planes.append(
                (
                    y[..., top : top + SIZE, left : left + SIZE],
                    uv[..., top // 2 : top // 2 + half, left // 2 : left // 2 + half],
                )
            )
        self.y = torch.stack([p[0] for p in planes]).float() / 255
        self.uv = torch.stack([p[1] for p in planes]).float() / 255
        self.vectors = {q: source_vectors(config, self.y, self._quality(q)) for q in QUALITIES}

    def _quality(self, q: int) -> torch.Tensor:
        return torch.full(self.y.shape[:2], float(q))

    @torch.no_grad()
    def measure(self, model: VideoModel, device: torch.device) -> dict[str, float]:
        """bpp, PSNR 6:1:1 (of the weighted error) per quality, and `score`: the mean log2 of
        bpp + λ·MSE, so that 0.1 is about 7 % of the bits. Lower is better."""
        model.eval()
        figures: dict[str, float] = {}
        scores = []
        for q in QUALITIES:
            quality = self._quality(q)
            y, uv, quality, vectors = (
                part.to(device) for part in (self.y, self.uv, quality, self.vectors[q])
            )
            with torch.autocast(device.type, torch.bfloat16):
                costs = sequence_costs(model, y, uv, quality, vectors)
            bpp = torch.stack([c.latent_bpp + c.vector_bpp for c in costs]).mean(0)
            error = torch.stack([c.distortion for c in costs]).mean(0)
            weight = float(model.config.quality_lambdas(quality[0, 0]))
            scores.append(float(torch.log2(bpp + weight * error).mean()))
            intra = float(costs[0].latent_bpp.mean())
            figures[f"bpp_{q}"] = round(float(bpp.mean()), 4)
            figures[f"db_{q}"] = round(float((-10 * torch.log10(error)).mean()), 3)
            figures[f"intra_bpp_{q}"] = round(intra, 4)
            figures[f"intra_db_{q}"] = round(
                float((-10 * torch.log10(costs[0].distortion)).mean()), 3
            )
        figures["score"] = round(math.fsum(scores) / len(scores), 5)
        return figures
