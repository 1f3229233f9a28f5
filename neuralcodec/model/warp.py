"""Motion compensation: planes and features sampled where block vectors point."""

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.model.config import BLOCK

QUARTER = 4  # vector units per luma sample


def warp(x: Tensor, flow: Tensor, mode: str) -> Tensor:
    """x (B, C, H, W) sampled at its own grid plus flow (B, 2, H, W) = (dx, dy) in samples of x."""
    height, width = x.shape[-2:]
    columns = torch.arange(width, dtype=torch.float32, device=x.device)
    rows = torch.arange(height, dtype=torch.float32, device=x.device)[:, None]
    grid = torch.stack(
        [
            (flow[:, 0] + columns) * (2 / max(width - 1, 1)) - 1,
            (flow[:, 1] + rows) * (2 / max(height - 1, 1)) - 1,
        ],
        -1,
    )
    return F.grid_sample(x, grid.to(x.dtype), mode=mode, padding_mode="border", align_corners=True)


def dense_flow(vectors: Tensor, scale: int) -> Tensor:
    """Block vectors (B, 2, H/16, W/16) in quarter luma samples -> flow at 1/scale resolution.

    The field is interpolated bilinearly, so that blocks leave no edges; in samples of that grid.
    """
    flow = F.interpolate(vectors, scale_factor=BLOCK // scale, mode="bilinear", align_corners=False)
    return flow / (QUARTER * scale)


def warp_planes(y: Tensor, uv: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Both planes of a frame by bicubic interpolation; shapes as in `planes_to_tokens`."""
    with torch.autocast(y.device.type, enabled=False):
        vectors = vectors.float()
        return (
            warp(y.float(), dense_flow(vectors, 1), "bicubic"),
            warp(uv.float(), dense_flow(vectors, 2), "bicubic"),
        )
