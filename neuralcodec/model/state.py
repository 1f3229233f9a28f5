"""What one frame leaves for the next: the recurrence of the float networks."""

from dataclasses import dataclass

from torch import Tensor

MIDDLE = 0.5  # subtracted from samples in [0, 1]
PICTURE_RANGE = (-0.25, 1.25)  # of decoded samples before they are shown: no state runs away


@dataclass(frozen=True)
class State:
    """What one frame leaves for the next."""

    y: Tensor  # (B, 1, H, W), samples in PICTURE_RANGE
    uv: Tensor  # (B, 2, H/2, W/2)
    feature: Tensor  # (B, C, H/8, W/8), within FEATURE_LIMIT
    latent: Tensor  # (B, N, H/16, W/16), dequantised; zero after an intra frame
