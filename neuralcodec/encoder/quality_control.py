"""What steers the quality of frames, and how it is told what frames cost."""

import queue
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from neuralcodec.encoder.lookahead import SourceFrame

# Entropy coding of one step may go on while the networks run the next. A decision is made when
# exactly the steps before are known, never "what is known by now": a file does not depend on
# which thread was faster.
STEPS_UNKNOWN = 1


@dataclass(frozen=True)
class FrameResult:
    """What became of a frame."""

    number: int
    is_intra: bool
    quality: int  # as `QualityControl.quality` gave it
    bits: int  # in the file, its part of the GOP's tables included
    psnr: float  # YUV 6:1:1, dB


TryIntra = Callable[[int], float]  # PSNR of a frame as the first of its GOP, at a quality


class QualityControl(Protocol):
    """Asked for each frame in the order of coding, told in the same order, some frames later.

    All frames of a mini-GOP see the same frames ahead: from its first one on, in the order of
    showing."""

    frames_ahead: int  # of each frame that it wants to see when it is asked; 0: none

    def quality(self, frame: SourceFrame, try_intra: TryIntra) -> int:
        """LOWEST..HIGHEST of `gop_structure`; the frame's own q depends on its place in the GOP
        as well, see `frame_quality`. Each call of try_intra takes half as long as coding a frame.
        """

    def observe(self, cost: FrameResult) -> None: ...


class Feedback:
    """`begin_step` and `control` belong to the thread of the networks, `put` and `close` to the
    other."""

    def __init__(self, control: QualityControl) -> None:
        self.control = control
        self._costs: queue.Queue[FrameResult | None] = queue.Queue()  # None: no more will come
        self._unknown: deque[int] = deque()  # frames of each step whose costs have not come

    def put(self, cost: FrameResult) -> None:
        """Of each frame in the order of coding."""
        self._costs.put(cost)

    def close(self) -> None:
        self._costs.put(None)

    def begin_step(self, frames: int) -> bool:
        """Waits for the costs that the decisions about so many frames rest on. False: after
        `close`, nothing is to be coded any more."""
        while len(self._unknown) > STEPS_UNKNOWN:
            for _ in range(self._unknown.popleft()):
                cost = self._costs.get()
                if cost is None:
                    return False
                self.control.observe(cost)
        self._unknown.append(frames)
        return True
