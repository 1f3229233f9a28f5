"""Symbols to frames: the float side of the decoder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from neuralcodec.codec.device import keep_freed_memory
from neuralcodec.codec.gop_symbols import FrameSymbols
from neuralcodec.codec.tensors import TensorFrame
from neuralcodec.codec.turns import Turns, running_networks
from neuralcodec.model.frame_step import FramePlace
from neuralcodec.model.recurrence import Recurrence, cat_references
from neuralcodec.model.video_model import VideoModel
from neuralcodec.references import Placement
from neuralcodec.video import Frame, VideoFormat

Shown = TypeVar("Shown", Frame, TensorFrame)
# Planes of B frames, their format, the PTS of each -> the frames.
ToPictures = Callable[[Tensor, Tensor, VideoFormat, Sequence[int]], list[Shown]]


@dataclass(frozen=True, kw_only=True)
class DecodeTask:
    """Parsed symbols of a frame, and what the two frames have left that it refers to, in the order
    of `place.slots`."""

    symbols: FrameSymbols
    q: int
    pts: int
    place: Placement
    references: tuple[Recurrence, Recurrence] | None  # None: an intra frame


class FrameDecoder(Generic[Shown]):
    """Decodes frames of one video; knows nothing of those before but what it is given.

    Attributes:
        notices: one sentence each, for people.
    """

    def __init__(
        self,
        model: VideoModel,
        fmt: VideoFormat,
        device: torch.device,
        precision: torch.dtype,
        to_pictures: ToPictures[Shown],
    ) -> None:
        keep_freed_memory()
        self.model = model.with_fast_networks(precision).to(device)
        self.fmt, self.device, self.precision = fmt, device, precision
        self._to_pictures: ToPictures[Shown] = to_pictures
        self._turns = Turns(device, fmt)
        self.notices = self._turns.notices

    def decode(self, tasks: Sequence[DecodeTask]) -> list[tuple[Shown, Recurrence]]:
        """Frames of one kind that do not depend on each other, and what each leaves to others.

        Raises DeviceError where memory does not suffice for one frame."""
        return self._turns.run(tasks, self._decode)

    def _decode(self, tasks: Sequence[DecodeTask]) -> list[tuple[Shown, Recurrence]]:
        with running_networks(self.device, self.precision):
            q = torch.tensor([task.q for task in tasks], device=self.device)
            symbols = self._gather([task.symbols.latent for task in tasks]).permute(0, 3, 1, 2)
            references = cat_references([task.references for task in tasks])
            if references is not None:
                place = FramePlace.of([task.place for task in tasks], self.device)
                motion = self._gather([_motion_of(task.symbols) for task in tasks])
                filtered = self._gather([np.array(t.symbols.filtered, np.int16) for t in tasks])
                skipped = self._gather([_skipped_of(task.symbols) for task in tasks])
                left = self.model.show_inter(
                    symbols, q, place, motion, filtered, skipped, references
                )
            else:
                left = self.model.show_intra(symbols, q)
            pts = [task.pts for task in tasks]
            shown = self._to_pictures(left.state.y, left.state.uv, self.fmt, pts)
            return [(frame, left.select(i)) for i, frame in enumerate(shown)]

    def _gather(self, arrays: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(arrays)).to(self.device).float()


def _motion_of(symbols: FrameSymbols) -> np.ndarray:
    assert symbols.motion is not None  # the parser gives them to every frame but the first
    return symbols.motion


def _skipped_of(symbols: FrameSymbols) -> np.ndarray:
    assert symbols.skipped is not None
    return symbols.skipped[None]
