"""What the codec minimises beside the bits: the squared error of pictures, luma before chroma."""

from torch import Tensor

from neuralcodec.model.state import State

LUMA_WEIGHT = 0.75  # 6 of 8, as in PSNR-YUV 6:1:1


def distortion(state: State, y: Tensor, uv: Tensor) -> Tensor:
    """Mean squared error, (B,), Y : U : V weighted 6 : 1 : 1."""
    luma = (state.y.float() - y).square().mean((1, 2, 3))
    chroma = (state.uv.float() - uv).square().mean((1, 2, 3))
    return LUMA_WEIGHT * luma + (1 - LUMA_WEIGHT) * chroma
