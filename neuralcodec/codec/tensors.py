"""Frames (integer planes) <-> the padded float tensors that the networks see."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.kernels.compiled import can_run
from neuralcodec.kernels.pixels import samples as kernels
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
    peak = (1 << fmt.bit_depth) - 1
    y = _to_floats([[f.y] for f in frames], rows, columns, peak, device)
    uv = _to_floats([[f.u, f.v] for f in frames], rows // 2, columns // 2, peak, device)
    return y, uv


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


def _to_floats(
    samples: list[list[np.ndarray]], rows: int, columns: int, peak: int, device: torch.device
) -> Tensor:
    if can_run(torch.empty(0, device=device)):
        return kernels.to_floats(samples, rows, columns, peak)
    return reference_floats(samples, rows, columns, peak, device)


def reference_floats(
    samples: list[list[np.ndarray]], rows: int, columns: int, peak: int, device: torch.device
) -> Tensor:
    """The same by tensor operations."""
    arrays = np.stack([np.stack(planes) for planes in samples])
    if arrays.dtype == np.uint16:
        arrays = arrays.astype(np.int16)  # torch knows few operations on uint16
    tensor = torch.from_numpy(arrays).to(device).float()
    height, width = tensor.shape[-2:]
    if (height, width) != (rows, columns):
        tensor = F.pad(tensor, (0, columns - width, 0, rows - height), mode="replicate")
    return tensor / peak


def _to_integers(y: Tensor, uv: Tensor, fmt: VideoFormat) -> tuple[Tensor, Tensor]:
    """Samples as uint8 at 8 bit, int16 at 10: torch knows few operations on uint16."""
    width, height = fmt.chroma_size
    peak = (1 << fmt.bit_depth) - 1
    use = kernels.to_integers if can_run(y, uv) else reference_integers
    return (
        use(y.float(), fmt.height, fmt.width, peak),
        use(uv.float(), height, width, peak),
    )


def reference_integers(planes: Tensor, height: int, width: int, peak: int) -> Tensor:
    """As the kernel, by tensor operations."""
    sample = torch.uint8 if peak <= 255 else torch.int16
    scaled = planes[:, :, :height, :width].mul(peak).round_().clamp_(0, peak)
    return scaled.to(sample, memory_format=torch.contiguous_format)


def _to_array(planes: Tensor) -> np.ndarray:
    array: np.ndarray = planes.cpu().numpy()
    return array if array.dtype == np.uint8 else array.view(np.uint16)
