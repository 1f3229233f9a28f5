"""Motion compensation: planes and features sampled where block vectors point.

Planes are predicted by overlapped block motion compensation (Orchard and Sullivan 1994): each
sample is the mean of what the vectors of the four nearest 8x8 blocks give, weighted bilinearly by
the distance to the block centres. Interpolating the vectors instead looks as smooth, but points
between two true motions: on moving clips it loses 1 to 3 dB.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.model.config import VECTOR_BLOCK
from neuralcodec.model.overlapped_blocks import overlapped_blocks

QUARTER = 4  # vector units per luma sample


def warp_feature(feature: Tensor, vectors: Tensor) -> Tensor:
    """(B, C, H/8, W/8) by vectors (B, 2, H/8, W/8): one block is one position, bilinear."""
    height, width = feature.shape[-2:]
    flow = vectors.float() / (QUARTER * VECTOR_BLOCK)
    columns = torch.arange(width, dtype=torch.float32, device=feature.device)
    rows = torch.arange(height, dtype=torch.float32, device=feature.device)[:, None]
    grid = torch.stack(
        [
            (flow[:, 0] + columns) * (2 / max(width - 1, 1)) - 1,
            (flow[:, 1] + rows) * (2 / max(height - 1, 1)) - 1,
        ],
        -1,
    )
    return F.grid_sample(
        feature.float(), grid, mode="bilinear", padding_mode="border", align_corners=True
    )


def warp_planes(y: Tensor, uv: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Both planes of a frame; shapes as in `planes_to_tokens`, vectors (B, 2, H/8, W/8) in quarter
    luma samples."""
    with torch.autocast(y.device.type, enabled=False):
        luma, chroma = vectors.float() / QUARTER, vectors.float() / (2 * QUARTER)
        return (
            overlapped_blocks(y.float(), luma, VECTOR_BLOCK),
            overlapped_blocks(uv.float(), chroma, VECTOR_BLOCK // 2),
        )
