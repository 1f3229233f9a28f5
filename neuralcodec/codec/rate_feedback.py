"""What frames cost, from the thread that knows to the one that decides about later frames."""

import queue
from collections import deque

from neuralcodec.codec.rate_control import FrameCost, QualityControl

# Entropy coding of one step may go on while the networks run the next. A decision is made when
# exactly the steps before are known, never "what is known by now": a file does not depend on
# which thread was faster.
STEPS_UNKNOWN = 1


class Feedback:
    """`begin_step` and `control` belong to the thread of the networks, `put` and `close` to the
    other."""

    def __init__(self, control: QualityControl) -> None:
        self.control = control
        self._costs: queue.Queue[FrameCost | None] = queue.Queue()  # None: no more will come
        self._unknown: deque[int] = deque()  # frames of each step whose costs have not come

    def put(self, cost: FrameCost) -> None:
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
