"""What is done for several frames at once, or in turns where memory does not suffice for all."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch

from neuralcodec.codec.device import is_out_of_memory
from neuralcodec.errors import DeviceError
from neuralcodec.video import VideoFormat

# Of the frames of a GOP that do not depend on each other, as many go through the networks at once
# as have about so many luma samples: more would take memory, and bring little.
SAMPLES_AT_ONCE = 1 << 20
MOST_AT_ONCE = 8

Task = TypeVar("Task")
Done = TypeVar("Done")


def frames_at_once(fmt: VideoFormat) -> int:
    """Of one GOP."""
    return max(1, min(MOST_AT_ONCE, SAMPLES_AT_ONCE // (fmt.width * fmt.height)))


class Turns:
    """Remembers how many at once memory suffices for.

    Attributes:
        notices: one sentence, for people, where there were too many once.
    """

    def __init__(self, device: torch.device, fmt: VideoFormat, at_once: int | None = None) -> None:
        """at_once: at most; None: all."""
        self.notices: list[str] = []
        self._device, self._fmt = device, fmt
        self._most = self._at_once = at_once

    def run(
        self, tasks: Sequence[Task], work: Callable[[Sequence[Task]], list[Done]]
    ) -> list[Done]:
        """What `work` gives for all tasks, in their order.

        Raises DeviceError where memory does not suffice for one."""
        done: list[Done] = []
        while len(done) < len(tasks):
            at_once = min(self._at_once or len(tasks), len(tasks) - len(done))
            try:
                done += work(tasks[len(done) : len(done) + at_once])
                continue
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if at_once == 1:
                    raise self._too_large() from error
            # Not before here: in the handler the tensors of the attempt are still referred to.
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
            self._at_once = (at_once + 1) // 2
            frames = "1 frame" if self._at_once == 1 else f"{self._at_once} frames"
            most = min(self._most or len(tasks), len(tasks))
            self.notices[:] = [
                f"out of memory on {self._device}: {frames} at once instead of {most}"
            ]
        return done

    def _too_large(self) -> DeviceError:
        size = f"{self._fmt.width}x{self._fmt.height}"
        other = "--device cpu or " if self._device.type == "cuda" else ""
        return DeviceError(
            f"the memory of {self._device} does not suffice for a frame of {size}: free some, "
            f"or use {other}a smaller picture (--scale)"
        )


@contextmanager
def running_networks(device: torch.device, precision: torch.dtype) -> Iterator[None]:
    """Without gradients, in float32 or with bfloat16 where it is about as good."""
    reduced = precision != torch.float32
    with (
        torch.inference_mode(False),  # refinement follows gradients
        torch.no_grad(),
        torch.autocast(device.type, torch.bfloat16, enabled=reduced),
    ):
        yield
