"""Random access to the frames of an .nlc file, for programs and for training on them."""

import operator
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from neuralcodec.codec.device import DEFAULT_PRECISION, find_device
from neuralcodec.codec.tensors import TensorFrame
from neuralcodec.container import ContainerReader, GopRecord
from neuralcodec.decoder.decoder import Decoder, DecoderSettings
from neuralcodec.decoder.picture_limit import check_picture_size
from neuralcodec.endpoints import input_name
from neuralcodec.errors import InputError
from neuralcodec.files.paths import PIPE, PathLike, open_input
from neuralcodec.model.model_file import find_model
from neuralcodec.video import VideoFormat


class TensorClip(NamedTuple):
    """T frames in a row; sample types as in `TensorFrame`."""

    y: Tensor  # (T, H, W)
    u: Tensor  # (T, ceil(H/2), ceil(W/2))
    v: Tensor
    pts: Tensor  # (T,) int64, in the file's time base, on the CPU


class VideoFile:
    """`len(file)` frames; `file[i]` decodes the frames of i's GOP that i needs, or goes on from the
    frame decoded last; iteration gives all frames in order. Close it, or use it in a `with`.

    A map-style dataset to PyTorch: it can be pickled, and each process that uses it opens the file
    anew. Not for several threads at once.

    Raises InputError (for pictures of more than `max_pixels` luma samples too), DamagedFile and
    ModelError as `decode` does.
    """

    def __init__(
        self,
        path: PathLike,
        *,
        device: str = "auto",
        model: PathLike | None = None,
        max_pixels: int | None = None,
    ) -> None:
        self._options = _Options(device, None if model is None else os.fspath(model), max_pixels)
        self._closed = False
        name = input_name(path)
        self._session: _Session | None = _Session(name, self._options)
        # For other processes, whose current folder may be another.
        self._path = PIPE if name == PIPE else os.path.abspath(name)

    @property
    def format(self) -> VideoFormat:
        """Size, bit depth, time base, colour tags: what is the same for all frames."""
        return self._opened().reader.header.format

    @property
    def fps(self) -> Fraction | None:
        """Nominal frames per second; None when the source did not say."""
        return self.format.frame_rate

    def __len__(self) -> int:
        return int(self._opened().starts[-1])

    def __getitem__(self, number: int) -> TensorFrame:
        """Raises IndexError where there is no such frame."""
        number = operator.index(number)  # 1.5 is no frame
        if number < 0:
            number += len(self)
        if not 0 <= number < len(self):
            raise IndexError(f"frame {number} of {len(self)}")
        return self._opened().frame(number)

    def __iter__(self) -> Iterator[TensorFrame]:
        return (self[i] for i in range(len(self)))

    def clip(self, start: int, length: int) -> TensorClip:
        """`length` frames from number `start` on, stacked. Raises IndexError where there are not
        as many."""
        if length < 1 or start < 0 or start + length > len(self):
            raise IndexError(f"frames {start} to {start + length - 1} of {len(self)}")
        frames = [self[i] for i in range(start, start + length)]
        y, u, v = (torch.stack(planes) for planes in list(zip(*frames, strict=True))[:3])
        return TensorClip(y, u, v, torch.tensor([frame.pts for frame in frames], device="cpu"))

    def close(self) -> None:
        self._closed = True
        if self._session is not None and self._session.process == os.getpid():
            self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_session": None}

    def _opened(self) -> "_Session":
        """The file as opened by this process. Raises ValueError after `close`."""
        if self._closed:
            raise ValueError(f"{self._path} is closed")
        if self._session is not None and self._session.process != os.getpid():
            _inherited.append(self._session)
            self._session = None
        if self._session is None:
            self._session = _Session(self._path, self._options)
        return self._session


# Sessions of a parent process after a fork. Deleting one would end its threads, which are not here.
_inherited: list["_Session"] = []


@dataclass(frozen=True)
class _Options:
    device: str
    model: str | None
    max_pixels: int | None


class _Session:
    """An open file and its decoder, in one process."""

    def __init__(self, path: str, options: _Options) -> None:
        self.process = os.getpid()
        self._running: Iterator[TensorFrame] = iter(())  # goes on to the end of a GOP
        self._next = self._end = 0  # frames of the video that `_running` gives next, and not
        self._gop = -1  # that it is of
        self._record: GopRecord | None = None
        self._input = open_input(path)
        self._file = self._input.__enter__()
        try:
            if not self._file.seekable():
                raise InputError(f"{path}: random access needs a file, not a pipe")
            self.reader = ContainerReader(self._file, path)
            header = self.reader.header
            check_picture_size(header.format, options.max_pixels, path, self._file)
            installed = find_model(header.model_name, header.model_sha256, options.model)
            where = find_device(options.device)
            settings = DecoderSettings(1, where, DEFAULT_PRECISION)
            self._decoder = Decoder(installed, header.format, settings, path)
            self._index = self.reader.index()
        except BaseException:
            self.close()
            raise
        self.starts = np.cumsum([0] + [entry.frame_count for entry in self._index])

    def frame(self, number: int) -> TensorFrame:
        gop = int(np.searchsorted(self.starts, number, side="right")) - 1
        if gop != self._gop:
            self._stop()
            self._record, _ = self.reader.read_gop(self._index[gop])
            self._gop = gop
        if not self._is_soon(number):
            self._begin(number)
        try:
            while True:
                frame = next(self._running)
                self._next += 1
                if self._next > number:
                    return frame
        except BaseException:
            self._stop()
            raise

    def _is_soon(self, number: int) -> bool:
        """Whether it takes fewer frames to go on to this one than to begin anew."""
        if not self._next <= number < self._end:
            return False
        if number == self._next:
            return True
        return number - self._next < len(self._needed(range(number, number + 1)).frames)

    def _begin(self, number: int) -> None:
        """At the frame of this number; it goes on from there."""
        self._stop()
        end = int(self.starts[self._gop + 1])
        self._running = self._decoder.tensor_frames([self._needed(range(number, end))])
        self._next, self._end = number, end

    def _needed(self, numbers: range) -> GopRecord:
        """Of the GOP, for these frames of the video."""
        assert self._record is not None
        start = int(self.starts[self._gop])
        return self._record.only(range(numbers.start - start, numbers.stop - start))

    def close(self) -> None:
        self._stop()
        self._input.__exit__(None, None, None)

    def _stop(self) -> None:
        """Ends the threads of a GOP left half decoded."""
        self._end = 0
        close = getattr(self._running, "close", None)
        if close:
            close()
