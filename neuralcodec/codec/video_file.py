"""Random access to the frames of an .nlc file, for programs."""

import operator
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Self

import numpy as np
import torch
from torch import Tensor

from neuralcodec.codec.decode_file import open_input
from neuralcodec.codec.decoder import Decoder, DecoderSettings
from neuralcodec.codec.device import best_precision, find_device
from neuralcodec.codec.encode_file import PathLike
from neuralcodec.container import ContainerReader
from neuralcodec.errors import InputError
from neuralcodec.model.zoo import find_model
from neuralcodec.video import Frame, VideoFormat


@dataclass(frozen=True)
class TensorFrame:
    """A decoded frame: uint8 planes, or int16 (0..1023) at 10 bit; pts in the file's time base."""

    y: Tensor  # (H, W)
    u: Tensor  # (ceil(H/2), ceil(W/2))
    v: Tensor
    pts: int


class VideoFile:
    """`len(file)` frames; `file[i]` decodes from the start of i's GOP, or goes on from the frame
    decoded last; iteration gives all frames in order. Close it, or use it in a `with`.

    Raises InputError, DamagedFile and ModelError as `decode` does.
    """

    def __init__(
        self, path: PathLike, *, device: str = "auto", model: PathLike | None = None
    ) -> None:
        self._opened = open_input(path)
        self._file = self._opened.__enter__()
        try:
            if not self._file.seekable():
                raise InputError(f"{path}: random access needs a file, not a pipe")
            self._reader = ContainerReader(self._file, str(path))
            header = self._reader.header
            candidate = None if model is None else os.fspath(model)
            installed = find_model(header.model_name, header.model_sha256, candidate)
            where = find_device(device)
            settings = DecoderSettings(1, where, best_precision(where))
            self._decoder = Decoder(installed, header.format, settings, str(path))
            self._index = self._reader.index()
        except BaseException:
            self.close()
            raise
        self._starts = np.cumsum([0] + [entry.frame_count for entry in self._index])
        self._next = -1  # frame that `_running` gives next
        self._running: Iterator[Frame] = iter(())

    @property
    def format(self) -> VideoFormat:
        """Size, bit depth, time base, colour tags: what is the same for all frames."""
        return self._reader.header.format

    @property
    def fps(self) -> Fraction | None:
        """Nominal frames per second; None when the source did not say."""
        return self.format.frame_rate

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, number: int) -> TensorFrame:
        number = operator.index(number)  # 1.5 is no frame
        if number < 0:
            number += len(self)
        if not 0 <= number < len(self):
            raise IndexError(f"frame {number} of {len(self)}")
        gop = int(np.searchsorted(self._starts, number, side="right")) - 1
        start, end = int(self._starts[gop]), int(self._starts[gop + 1])
        if not (start < self._next <= number < end):
            self._stop()
            record, _ = self._reader.read_gop(self._index[gop])
            self._running = self._decoder.frames([record])
            self._next = start
        while True:
            frame = next(self._running)
            self._next += 1
            if self._next > number:
                return _to_tensors(frame)

    def __iter__(self) -> Iterator[TensorFrame]:
        return (self[i] for i in range(len(self)))

    def close(self) -> None:
        self._stop()
        self._opened.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _stop(self) -> None:
        """Ends the threads of a GOP left half decoded."""
        close = getattr(getattr(self, "_running", None), "close", None)
        if close:
            close()


def _to_tensors(frame: Frame) -> TensorFrame:
    planes = (p if p.dtype == np.uint8 else p.astype(np.int16) for p in frame.planes)
    y, u, v = (torch.from_numpy(np.ascontiguousarray(p)) for p in planes)
    return TensorFrame(y, u, v, frame.pts)
