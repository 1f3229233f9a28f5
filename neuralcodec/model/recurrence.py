"""What a coded frame leaves to those that refer to it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neuralcodec.model.scale_prior import History

MIDDLE = 0.5  # subtracted from samples in [0, 1]
PICTURE_RANGE = (-0.25, 1.25)  # of decoded samples before they are shown: no state runs away


@dataclass(frozen=True)
class State:
    """What the float networks make of a frame: the picture, and what is behind it."""

    y: Tensor  # (B, 1, H, W), samples in PICTURE_RANGE
    uv: Tensor  # (B, 2, H/2, W/2)
    feature: Tensor  # (B, C, H/8, W/8), within FEATURE_LIMIT
    latent: Tensor  # (B, N, H/16, W/16), dequantised; zero after an intra frame


@dataclass(frozen=True)
class Recurrence:
    """All that a frame leaves to others, for B items. A value: who codes a frame is given those it
    refers to and gets a new one back, and may keep as many as there are frames to refer to.

    motion (B, 5, H/8, W/8): of each block, which references predict it (see `motion_values`), then
    dx and dy in the first and dx and dy in the second, in quarter samples; 0 where a reference is
    not used, and after an intra frame. time (B,): the frame's number in its GOP, as shown;
    distances (B, 2): by how much that is later than each reference's, 0 after an intra frame.
    skipped (B, 1, H/16, W/16): 1 where the prediction stands, else 0. history: what its symbols
    mean for the scale prior; None in a decoder, whose parser has its own.
    """

    state: State
    motion: Tensor
    time: Tensor
    distances: Tensor
    skipped: Tensor
    history: History | None

    def select(self, item: int) -> "Recurrence":
        """Of one item of the batch, as a batch of one."""
        one = slice(item, item + 1)
        state = State(*(tensor[one] for tensor in _tensors(self.state)))
        history = self.history and self.history.select(item)
        of_motion = self.motion[one], self.time[one], self.distances[one]
        return Recurrence(state, *of_motion, self.skipped[one], history)

    def split(self, parts: int) -> list["Recurrence"]:
        """The reverse of `cat`: so many equal parts of the batch."""
        if parts == 1:
            return [self]
        tensors = self.motion, self.time, self.distances, self.skipped
        states = zip(*(tensor.chunk(parts) for tensor in _tensors(self.state)), strict=True)
        others = zip(*(tensor.chunk(parts) for tensor in tensors), strict=True)
        histories = [None] * parts if self.history is None else self.history.split(parts)
        return [
            Recurrence(State(*state), motion, time, distances, skipped, history)
            for state, (motion, time, distances, skipped), history in zip(
                states, others, histories, strict=True
            )
        ]

    @classmethod
    def cat(cls, parts: Sequence["Recurrence"]) -> "Recurrence":
        """Several as one batch, in their order."""
        if len(parts) == 1:
            return parts[0]
        joined = zip(*(_tensors(part.state) for part in parts), strict=True)
        histories = [part.history for part in parts if part.history is not None]
        return cls(
            State(*(torch.cat(tensors) for tensors in joined)),
            torch.cat([part.motion for part in parts]),
            torch.cat([part.time for part in parts]),
            torch.cat([part.distances for part in parts]),
            torch.cat([part.skipped for part in parts]),
            History.cat(histories) if len(histories) == len(parts) else None,
        )


def _tensors(state: State) -> tuple[Tensor, ...]:
    return state.y, state.uv, state.feature, state.latent


def cat_references(
    parts: Sequence[tuple[Recurrence, Recurrence] | None],
) -> tuple[Recurrence, Recurrence] | None:
    """The references of several frames as those of a batch; None for intra frames, which have none.
    Where all refer to one frame each, twice, both are the same object."""
    found = [part for part in parts if part is not None]
    if not found:
        return None
    first = Recurrence.cat([part[0] for part in found])
    if all(part[0] is part[1] for part in found):
        return first, first
    return first, Recurrence.cat([part[1] for part in found])
