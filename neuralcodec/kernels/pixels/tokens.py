"""Planes <-> tokens of 8x8 luma samples and two times 4x4 of chroma; `model.layers` has the
reference."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from neuralcodec.kernels.compiled import compiled
from neuralcodec.kernels.strips import in_strips

LUMA, CHROMA = 8, 4  # samples per side of a token
CHANNELS = LUMA**2 + 2 * CHROMA**2


@compiled("void(float32[:,:,::1], float32[:,:,:,::1], float32[:,:,:,::1], intp, intp)")
def gather(y: np.ndarray, uv: np.ndarray, tokens: np.ndarray, first: int, end: int) -> None:
    """Rows of tokens first..end - 1, counted over all items. y (B, H, W), uv (B, 2, H/2, W/2),
    tokens (B, H/8, W/8, 96)."""
    rows, columns = tokens.shape[1:3]
    for number in range(first, end):
        item, row = number // rows, number % rows
        for column in range(columns):
            token = tokens[item, row, column]
            for i in range(LUMA):
                line = y[item, LUMA * row + i]
                for j in range(LUMA):
                    token[LUMA * i + j] = line[LUMA * column + j]
            for channel in range(2):
                for i in range(CHROMA):
                    line = uv[item, channel, CHROMA * row + i]
                    at = LUMA**2 + CHROMA * (CHROMA * channel + i)
                    for j in range(CHROMA):
                        token[at + j] = line[CHROMA * column + j]


@compiled("void(float32[:,:,:,::1], float32[:,:,::1], float32[:,:,:,::1], intp, intp)")
def scatter(tokens: np.ndarray, y: np.ndarray, uv: np.ndarray, first: int, end: int) -> None:
    """The inverse of `gather`."""
    rows, columns = tokens.shape[1:3]
    for number in range(first, end):
        item, row = number // rows, number % rows
        for column in range(columns):
            token = tokens[item, row, column]
            for i in range(LUMA):
                line = y[item, LUMA * row + i]
                for j in range(LUMA):
                    line[LUMA * column + j] = token[LUMA * i + j]
            for channel in range(2):
                for i in range(CHROMA):
                    line = uv[item, channel, CHROMA * row + i]
                    at = LUMA**2 + CHROMA * (CHROMA * channel + i)
                    for j in range(CHROMA):
                        line[CHROMA * column + j] = token[at + j]


def _to_tokens(y: Tensor, uv: Tensor) -> Tensor:
    batch, _, height, width = y.shape
    tokens = torch.empty(
        batch, height // LUMA, width // LUMA, CHANNELS, dtype=torch.float32, device="cpu"
    )
    planes = y.detach().contiguous().squeeze(1).numpy(), uv.detach().contiguous().numpy()
    in_strips(gather, batch * tokens.shape[1], *planes, tokens.numpy(), least=8)
    return tokens.permute(0, 3, 1, 2)


def _to_planes(tokens: Tensor) -> tuple[Tensor, Tensor]:
    batch, _, rows, columns = tokens.shape
    y = torch.empty(batch, 1, LUMA * rows, LUMA * columns, dtype=torch.float32, device="cpu")
    uv = torch.empty(batch, 2, CHROMA * rows, CHROMA * columns, dtype=torch.float32, device="cpu")
    known = tokens.detach().permute(0, 2, 3, 1).contiguous().numpy()
    in_strips(scatter, batch * rows, known, y.squeeze(1).numpy(), uv.numpy(), least=8)
    return y, uv


class _ToTokens(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, uv: Tensor) -> Tensor:
        return _to_tokens(y, uv)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        return _to_planes(gradient)


class _ToPlanes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
        return _to_planes(tokens)

    @staticmethod
    def backward(ctx: Any, of_y: Tensor, of_uv: Tensor) -> Tensor:
        return _to_tokens(of_y, of_uv)


def planes_to_tokens(y: Tensor, uv: Tensor) -> Tensor:
    """(B, 1, H, W) and (B, 2, H/2, W/2) of float32 -> (B, 96, H/8, W/8), channels last."""
    tokens: Tensor = _ToTokens.apply(y, uv)
    return tokens


def tokens_to_planes(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """The inverse."""
    y, uv = _ToPlanes.apply(tokens)
    return y, uv
