"""Frames (integer planes) <-> the padded float tensors that the networks see."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.model.config import BLOCK
from neuralcodec.video import Frame, VideoFormat


class TensorFrame(NamedTuple):
    """A decoded frame: planes of uint8, or int16 (0..1023) at 10 bit, on the device that decoded.

    A tuple, because that is what PyTorch's DataLoader knows how to make batches of, pin and move.
    """

    y: Tensor  # (H, W)
    u: Tensor  # (ceil(H/2), ceil(W/2))
    v: Tensor
    pts: int  # in the file's time base


def grid_size(fmt: VideoFormat) -> tuple[int, int]:
    """(rows, columns) of 16x16 blocks that cover a frame."""
    return -(-fmt.height // BLOCK), -(-fmt.width // BLOCK)


def to_tensors(
    frames: Sequence[Frame], fmt: VideoFormat, device: torch.device
) -> tuple[Tensor, Tensor]:
    """B frames -> y (B, 1, H, W), uv (B, 2, H/2, W/2) in [0, 1], H and W padded to multiples of 16
    by repeating the last row and column."""
    rows, columns = (BLOCK * n for n in grid_size(fmt))
    y = _stack([(f.y,) for f in frames], rows, columns, device)
    uv = _stack([(f.u, f.v) for f in frames], rows // 2, columns // 2, device)
    peak = (1 << fmt.bit_depth) - 1
    return y / peak, uv / peak


def to_frames(y: Tensor, uv: Tensor, fmt: VideoFormat, pts: Sequence[int]) -> list[Frame]:
    """The inverse: clipped, rounded, cropped, as uint8 or uint16."""
    luma, chroma = (_to_array(p) for p in _to_integers(y, uv, fmt))
    return [Frame(a[0], c[0], c[1], t) for a, c, t in zip(luma, chroma, pts, strict=True)]


def to_tensor_frames(
    y: Tensor, uv: Tensor, fmt: VideoFormat, pts: Sequence[int]
) -> list[TensorFrame]:
    """As `to_frames`, but the planes stay on the device that they are on."""
    luma, chroma = _to_integers(y, uv, fmt)
    return [TensorFrame(a[0], c[0], c[1], t) for a, c, t in zip(luma, chroma, pts, strict=True)]


def _stack(
    planes: list[tuple[np.ndarray, ...]], rows: int, columns: int, device: torch.device
) -> Tensor:
    arrays = np.stack([np.stack(p) for p in planes])
    if arrays.dtype == np.uint16:
        arrays = arrays.astype(np.int16)  # torch knows few operations on uint16
    tensor = torch.from_numpy(arrays).to(device).float()
    height, width = tensor.shape[-2:]
    if (height, width) == (rows, columns):
        return tensor
    return F.pad(tensor, (0, columns - width, 0, rows - height), mode="replicate")


def _to_integers(y: Tensor, uv: Tensor, fmt: VideoFormat) -> tuple[Tensor, Tensor]:
    """Samples as uint8 at 8 bit, int16 at 10: torch knows few operations on uint16."""
    width, height = fmt.chroma_size
    peak = (1 << fmt.bit_depth) - 1
    sample = torch.uint8 if fmt.bit_depth == 8 else torch.int16

    def rounded(planes: Tensor) -> Tensor:
        scaled = planes.float().mul(peak).round_().clamp_(0, peak)
        return scaled.to(sample, memory_format=torch.contiguous_format)

    return rounded(y[:, :, : fmt.height, : fmt.width]), rounded(uv[:, :, :height, :width])


def _to_array(planes: Tensor) -> np.ndarray:
    array: np.ndarray = planes.cpu().numpy()
    return array if array.dtype == np.uint8 else array.astype(np.uint16)
