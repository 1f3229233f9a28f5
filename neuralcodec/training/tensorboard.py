"""What TensorBoard shows of a run: curves, and pictures before and after."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.errors import UsageError
from neuralcodec.training.run_log import Observer
from neuralcodec.training.validation import Figures

PICTURES = 4  # at most, of the clips held out


class TensorBoard(Observer):
    """Writes into `folder`/tensorboard. Raises UsageError where TensorBoard is not installed."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UsageError(
                "--tensorboard needs tensorboard: pip install 'neuralcodec[train]'"
            ) from error
        self._folder = folder / "tensorboard"
        self._make_writer = SummaryWriter
        self._writer: Any = None

    def logged(self, entry: dict[str, Any]) -> None:
        step = entry["step"]
        for part, values in entry.items():
            if isinstance(values, dict):
                if part in ("validation", "training_crops"):
                    self._scalars(part, values, step)
            elif part not in ("step", "seconds"):
                self._scalars("training", {part: values}, step)

    def validated(self, step: int, held_out: Figures, training: Figures | None) -> None:
        for frame in held_out.shown[:PICTURES]:
            pair = torch.cat([to_rgb(*frame.source), to_rgb(*frame.decoded)], 2)
            self._open().add_image(f"source, decoded/{frame.name}", pair, step)

    def _scalars(self, part: str, values: dict[str, Any], step: int) -> None:
        for name, value in values.items():
            if value is not None:
                self._open().add_scalar(f"{part}/{name}", value, step)
        self._open().flush()

    def _open(self) -> Any:
        """Nothing is written before there is something to write."""
        if self._writer is None:
            self._writer = self._make_writer(str(self._folder))
        return self._writer


def to_rgb(y: Tensor, uv: Tensor) -> Tensor:
    """y (1, H, W), uv (2, H/2, W/2), limited range of BT.709 -> (3, H, W) uint8."""
    luma = (y[0] * 255 - 16) / 219
    cb, cr = F.interpolate((uv * 255 - 128)[None] / 224, scale_factor=2, mode="nearest")[0]
    rgb = torch.stack([luma + 1.5748 * cr, luma - 0.1873 * cb - 0.4681 * cr, luma + 1.8556 * cb])
    return (rgb * 255).round().clamp(0, 255).byte()
