"""How much more quality the intra frame of a GOP gets: what pays is tried on its first frames.

Where little moves, every later frame lives on the intra frame, and more quality there saves bits in
all of them; where it is soon out of sight, nothing comes back. Looking does not tell; coding does.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from neuralcodec.codec.gop_symbols import GopSymbolEncoder, build_coder
from neuralcodec.codec.tensors import grid_size
from neuralcodec.encoder.frame_encoder import FrameEncoder, FrameTask
from neuralcodec.encoder.gop_structure import INTRA_BONUS, frame_quality
from neuralcodec.encoder.presets import Effort
from neuralcodec.metrics import frame_psnr
from neuralcodec.model.distortion import CHROMA_WEIGHT, LUMA_WEIGHT
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.model.recurrence import Recurrence
from neuralcodec.references import chain
from neuralcodec.video import Frame, VideoFormat

LAMBDA_FACTOR = 2.0  # λ is doubled: later frames are predicted from the trial frames


class BonusTrials:
    """Codes the beginning of a GOP once for each bonus of an effort, by itself in any company, so
    that the choice depends on its frames and its quality alone."""

    def __init__(
        self,
        installed: InstalledModel,
        fmt: VideoFormat,
        device: torch.device,
        precision: torch.dtype,
        effort: Effort,
    ) -> None:
        self.installed, self.fmt = installed, fmt
        self.bonuses, self.frames = effort.gop_trials, effort.trial_frames
        self._coder = build_coder(installed)
        rough = replace(effort, symbol_rounds=0)  # only differences count
        self._encoder = FrameEncoder(installed.model, fmt, device, precision, rough)

    def choose(self, frames: Sequence[Frame], quality: int) -> int:
        """The bonus with which the first frames of a GOP cost least.

        frames: at most `self.frames`; quality: of the GOP, -INTRA_BONUS..63."""
        if quality < 0 or len(frames) < 2:  # the smallest is wanted, or nothing leans on the first
            return INTRA_BONUS
        # Near the highest q several come to the same.
        bonuses = list({frame_quality(quality, 0, b): b for b in self.bonuses}.values())
        if len(bonuses) == 1:
            return bonuses[0]
        return min(bonuses, key=lambda bonus: self._cost(frames, quality, bonus))

    def _cost(self, frames: Sequence[Frame], quality: int, bonus: int) -> float:
        """Bits + λ·squared error."""
        symbols = GopSymbolEncoder(self.installed, self._coder, *grid_size(self.fmt))
        weight = float(
            self.installed.model.config.quality_lambdas(
                torch.tensor(float(quality), dtype=torch.float32, device="cpu")
            )
        )
        weight *= self.fmt.width * self.fmt.height
        if len(frames) == self.frames:  # else the GOP ends here, and nothing more leans on them
            weight *= LAMBDA_FACTOR
        cost = 0.0
        before: Recurrence | None = None
        for position, frame in enumerate(frames):
            q = frame_quality(quality, position, bonus)
            place = chain(position)
            references = None if before is None else (before, before)
            task = FrameTask(frame=frame, q=q, place=place, references=references)
            [coded] = self._encoder.encode([task])
            bits = 8 * len(symbols.encode(coded.symbols, q, place))
            cost += bits + weight * _squared_error(frame, coded.shown)
            before = coded.recurrence
        return cost


def _squared_error(frame: Frame, shown: Frame) -> float:
    """Mean over the samples, in [0, 1], weighted as `distortion` does."""
    psnr = frame_psnr(frame, shown)
    y, u, v = (10 ** (-db / 10) for db in (psnr.y, psnr.u, psnr.v))
    return LUMA_WEIGHT * y + CHROMA_WEIGHT / 2 * (u + v)
