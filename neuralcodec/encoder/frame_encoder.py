"""Frames to symbols: the float side of the encoder."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neuralcodec.codec.device import keep_freed_memory
from neuralcodec.codec.gop_symbols import FrameSymbols
from neuralcodec.codec.tensors import grid_size, to_frames, to_tensors
from neuralcodec.codec.turns import Turns, frames_at_once, running_networks
from neuralcodec.encoder.motion.frame_motion import choose_motion
from neuralcodec.encoder.motion.motion_setting import motion_setting
from neuralcodec.encoder.motion.seen_motion import SeenMotion
from neuralcodec.encoder.presets import MEDIUM, Effort
from neuralcodec.encoder.refinement import refine_latent
from neuralcodec.encoder.temporal_filter import Neighbours, filtered
from neuralcodec.entropy.coder import LARGEST
from neuralcodec.model.frame_step import CodedStep, FrameCoding, FramePlace
from neuralcodec.model.loop_filters import Filtered
from neuralcodec.model.recurrence import Recurrence, cat_references
from neuralcodec.model.video_model import VideoModel
from neuralcodec.references import Placement
from neuralcodec.video import Frame, VideoFormat


@dataclass(frozen=True, kw_only=True)
class FrameTask:
    """A frame to be coded at q. references: what the two frames have left that it refers to, in
    the order of `place.slots`; None: an intra frame. motion: where the look-ahead saw it.
    neighbours: what it is filtered with before."""

    frame: Frame
    q: int
    place: Placement
    references: tuple[Recurrence, Recurrence] | None
    motion: SeenMotion | None = None
    neighbours: Neighbours | None = None

    def seen_motion(self, rows: int, columns: int) -> np.ndarray:
        """In both references, (2, rows, columns, 2): see `SeenMotion.toward`."""
        assert self.references is not None
        if self.motion is None:
            return np.zeros((2, rows, columns, 2), np.int32)
        distances = (self.place.shown - int(left.time[0]) for left in self.references)
        return np.stack([self.motion.toward(away, rows, columns) for away in distances])


@dataclass(frozen=True, kw_only=True)
class EncodedFrame:
    """shown: the frame as a decoder will show it; recurrence: what it leaves to others."""

    symbols: FrameSymbols
    shown: Frame
    recurrence: Recurrence


class FrameEncoder:
    """Codes frames of one video; knows nothing of those before but what it is given.

    Attributes:
        notices: one sentence each, for people.
    """

    def __init__(
        self,
        model: VideoModel,
        fmt: VideoFormat,
        device: torch.device,
        precision: torch.dtype,
        effort: Effort = MEDIUM,
    ) -> None:
        keep_freed_memory()
        self.model = model.with_fast_networks(precision).to(device)
        self.fmt, self.device, self.precision = fmt, device, precision
        self.effort = effort
        # Batched networks round differently from single ones, in the last bit; a search that
        # follows gradients would turn that into other symbols. One by one, a frame is coded the
        # same in any company.
        at_once = 1 if effort.symbol_rounds else frames_at_once(fmt)
        self._turns = Turns(device, fmt, at_once)
        self.notices = self._turns.notices

    def encode(self, tasks: Sequence[FrameTask]) -> list[EncodedFrame]:
        """Frames that do not depend on each other, in this order.

        Raises DeviceError where memory does not suffice for one frame."""
        coded: dict[int, EncodedFrame] = {}
        for is_intra in (True, False):
            chosen = [i for i, task in enumerate(tasks) if task.place.is_intra == is_intra]
            found = self._turns.run([tasks[i] for i in chosen], self._encode)
            coded.update(zip(chosen, found, strict=True))
        return [coded[i] for i in range(len(tasks))]

    def _encode(self, tasks: Sequence[FrameTask]) -> list[EncodedFrame]:
        """All of one kind."""
        with running_networks(self.device, self.precision):
            y, uv = self._planes(tasks)
            q = torch.tensor([task.q for task in tasks], device=self.device)

            def refine(latent: Tensor, coding: FrameCoding) -> Tensor:
                return refine_latent(latent, coding, y, uv, self.effort.symbol_rounds)

            refining = refine if self.effort.symbol_rounds else None
            references = cat_references([task.references for task in tasks])
            if references is not None:
                place = FramePlace.of([task.place for task in tasks], self.device)
                setting = motion_setting(references, place.time, place.level, q)
                luma = references[0].state.y, references[1].state.y
                grid = grid_size(self.fmt)
                seen = torch.from_numpy(np.stack([task.seen_motion(*grid) for task in tasks]))
                seen = seen.to(self.device)
                motion = choose_motion(self.model, y, luma, setting, self.effort, seen)
                step = self.model.code_inter(y, uv, q, place, motion, references, refining)
            else:
                step = self.model.code_intra(y, uv, q, refining)
            left = step.recurrence
            pts = [task.frame.pts for task in tasks]
            pictures = to_frames(left.state.y, left.state.uv, self.fmt, pts)
            return [
                EncodedFrame(symbols=symbols, shown=frame, recurrence=left.select(i))
                for i, (symbols, frame) in enumerate(zip(_to_symbols(step), pictures, strict=True))
            ]

    def _planes(self, tasks: Sequence[FrameTask]) -> tuple[Tensor, Tensor]:
        y, uv = to_tensors([task.frame for task in tasks], self.fmt, self.device)
        for item, task in enumerate(tasks):
            if task.neighbours is None:
                continue
            one = slice(item, item + 1)
            others = (  # one at a time in memory
                (later, to_tensors([frame], self.fmt, self.device))
                for later, frame in task.neighbours.frames.items()
            )
            planes = y[one], uv[one]
            y[one], uv[one] = filtered(planes, task.q, others, task.neighbours.strength)
        return y, uv


def _to_symbols(step: CodedStep) -> list[FrameSymbols]:
    maps = step.symbols.clamp(-LARGEST, LARGEST).permute(0, 2, 3, 1).to(torch.int16)
    latents = maps.contiguous().cpu().numpy()
    if step.filtered is None:
        return [FrameSymbols(None, latent) for latent in latents]
    fields = step.recurrence.motion.to(torch.int16).cpu().numpy()
    planes = [(Filtered(luma), Filtered(chroma)) for luma, chroma in step.filtered.tolist()]
    skipped = (step.skipped[:, 0] > 0).cpu().numpy()
    return [FrameSymbols(*frame) for frame in zip(fields, latents, planes, skipped, strict=True)]
