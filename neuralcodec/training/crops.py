"""Fixed pieces of clips to validate on."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from neuralcodec.model.config import BLOCK
from neuralcodec.training.sampling import Clip, split_planes

FRAMES = 13  # a mini-GOP of eight frames and one of four fit, after the first
SIDE = 16 * BLOCK  # luma samples; less where a clip has less
FEWEST, MOST = 4, 8  # training clips that are looked at beside those held out


@dataclass(frozen=True)
class Crop:
    """The middle of a clip's first frames; y (T, 1, H, W) and uv (T, 2, H/2, W/2), uint8."""

    name: str
    y: Tensor
    uv: Tensor


def middle_crop(clip: Clip) -> Crop:
    rows, columns = clip.frames.shape[1] * 2 // 3, clip.frames.shape[2]
    height, width = (min(SIDE, side // BLOCK * BLOCK) for side in (rows, columns))
    top, left = (rows - height) // 4 * 2, (columns - width) // 4 * 2
    y, uv = split_planes(clip.frames[:FRAMES])
    return Crop(
        clip.name,
        y[..., top : top + height, left : left + width].contiguous(),
        uv[
            ..., top // 2 : (top + height) // 2, left // 2 : (left + width) // 2
        ].contiguous(),
    )  # fmt: skip


def crops_of(clips: Sequence[Clip]) -> list[Crop]:
    """Of all clips that are long enough."""
    return [middle_crop(clip) for clip in clips if len(clip.frames) >= FRAMES]


def some_crops(clips: Sequence[Clip], like: int) -> list[Crop]:
    """About as many as `like`, of clips spread evenly over all; always the same ones."""
    long = [clip for clip in clips if len(clip.frames) >= FRAMES]
    count = min(max(like, FEWEST), MOST, len(long))
    return crops_of([long[i * len(long) // count] for i in range(count)])
