"""How far a shown video is from its reference, and what one codec saves over another.

SSIM is in a module of its own, `metrics.ssim`, as it takes PyTorch along.
"""

from neuralcodec.metrics.bd_rate import RatePoint, bd_psnr, bd_rate
from neuralcodec.metrics.psnr import (
    MAX_DB,
    PlanePsnr,
    PsnrMeter,
    frame_psnr,
    mse_to_db,
    plane_mse,
    psnr_yuv,
)

__all__ = [
    "MAX_DB",
    "PlanePsnr",
    "PsnrMeter",
    "RatePoint",
    "bd_psnr",
    "bd_rate",
    "frame_psnr",
    "mse_to_db",
    "plane_mse",
    "psnr_yuv",
]
