"""The part of its pictures that a container says is to be shown."""

from collections.abc import Mapping
from dataclasses import dataclass

_BOTTOM, _TOP, _LEFT, _RIGHT = 0x54AA, 0x54BB, 0x54CC, 0x54DD  # elements of Matroska


@dataclass(frozen=True)
class Cropping:
    """A rectangle in pictures of one size, in luma samples."""

    picture_size: tuple[int, int]  # (width, height) of what is cropped
    left: int
    top: int
    size: tuple[int, int]

    @property
    def filter_options(self) -> dict[str, str]:
        """Of FFmpeg's filter `crop`."""
        width, height = self.size
        place = {"x": str(self.left), "y": str(self.top), "exact": "1"}
        return {"w": str(width), "h": str(height), **place}

    def __str__(self) -> str:
        (old_width, old_height), (width, height) = self.picture_size, self.size
        return f"{old_width}x{old_height} to {width}x{height}"


def cropping_of(header: Mapping[int, int], picture_size: tuple[int, int]) -> Cropping | None:
    """What a stream's `stream_header` says; None if nothing, or if nothing would be left."""
    left, top, right, bottom = (header.get(id, 0) for id in (_LEFT, _TOP, _RIGHT, _BOTTOM))
    width, height = picture_size[0] - left - right, picture_size[1] - top - bottom
    if (width, height) == picture_size or width <= 0 or height <= 0:
        return None
    return Cropping(picture_size, left, top, (width, height))
