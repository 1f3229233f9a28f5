"""How much more quality the intra frame of a GOP gets: what pays is tried on its first frames.

Where little moves, every later frame lives on the intra frame, and more quality there saves bits in
all of them; where it is soon out of sight, nothing comes back. Looking does not tell; coding does.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from neuralcodec.codec.gop_symbols import GopSymbolEncoder, build_coder
from neuralcodec.codec.tensors import grid_size
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.encoder.frame_encoder import FrameEncoder, FrameTask
from neuralcodec.encoder.lookahead import SourceFrame
from neuralcodec.encoder.structure.gop_structure import INTRA_BONUS, frame_quality
from neuralcodec.encoder.structure.mini_gops import INTRA_STEP, GopOrder
from neuralcodec.encoder.structure.reference_slots import ReferenceSlots
from neuralcodec.metrics import frame_psnr
from neuralcodec.model.distortion import CHROMA_WEIGHT, LUMA_WEIGHT
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.video import Frame, VideoFormat

LAMBDA_FACTOR = 2.0  # λ is doubled: later frames are predicted from the trial frames


class BonusTrials:
    """Codes the beginning of a GOP once for each bonus of an effort, by itself, so that the choice
    depends on its frames and its quality alone."""

    def __init__(
        self, installed: InstalledModel, fmt: VideoFormat, settings: EncoderSettings
    ) -> None:
        self.installed, self.fmt = installed, fmt
        effort = settings.effort
        self.bonuses, self.frames = effort.gop_trials, effort.trial_frames
        self._low_delay = settings.structure.low_delay
        self._coder = build_coder(installed)
        rough = replace(effort, symbol_rounds=0)  # only differences count
        self._encoder = FrameEncoder(
            installed.model, fmt, settings.device, settings.precision, rough
        )

    def choose(
        self, first: SourceFrame, rest: Sequence[Sequence[SourceFrame]], goes_on: bool, quality: int
    ) -> int:
        """The bonus with which the first frames of a GOP cost least.

        rest: the mini-GOPs that follow the first frame; goes_on: whether the GOP has more;
        quality: of the GOP, LOWEST..HIGHEST."""
        if quality < 0 or not rest:  # the smallest is wanted, or nothing leans on the first
            return INTRA_BONUS
        factor = LAMBDA_FACTOR if goes_on else 1.0
        return min(self.bonuses, key=lambda bonus: self._cost(first, rest, quality, bonus, factor))

    def _cost(
        self,
        first: SourceFrame,
        rest: Sequence[Sequence[SourceFrame]],
        quality: int,
        bonus: int,
        lambda_factor: float,
    ) -> float:
        """Bits + λ·squared error."""
        symbols = GopSymbolEncoder(self.installed, self._coder, *grid_size(self.fmt))
        top = torch.tensor(float(quality), dtype=torch.float32, device="cpu")
        weight = lambda_factor * float(self.installed.model.config.quality_lambdas(top))
        weight *= self.fmt.width * self.fmt.height
        slots, order = ReferenceSlots(), GopOrder(self._low_delay)
        cost = 0.0
        batches = [([first], [replace(INTRA_STEP, offset=bonus)])]
        known = 1
        for mini_gop in rest:
            for steps in order.add(len(mini_gop)):
                batches.append(([mini_gop[step.place.shown - known] for step in steps], steps))
            known += len(mini_gop)
        for sources, steps in batches:
            tasks = [
                FrameTask(
                    frame=source.frame,
                    q=frame_quality(quality, step.offset),
                    place=step.place,
                    references=slots.read(step.place),
                    motion=source.motion,
                )
                for source, step in zip(sources, steps, strict=True)
            ]
            for task, coded in zip(tasks, self._encoder.encode(tasks), strict=True):
                slots.store(task.place, coded.recurrence)
                bits = 8 * len(symbols.encode(coded.symbols, task.q, task.place))
                cost += bits + weight * _squared_error(task.frame, coded.shown)
        return cost


def _squared_error(frame: Frame, shown: Frame) -> float:
    """Mean over the samples, in [0, 1], weighted as `distortion` does."""
    psnr = frame_psnr(frame, shown)
    y, u, v = (10 ** (-db / 10) for db in (psnr.y, psnr.u, psnr.v))
    return LUMA_WEIGHT * y + CHROMA_WEIGHT / 2 * (u + v)
