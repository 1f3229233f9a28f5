"""The largest picture that is decoded unasked: memory and time grow with it, whatever the bytes."""

import io
from typing import TYPE_CHECKING, BinaryIO

from neuralcodec.errors import InputError

if TYPE_CHECKING:  # it takes numpy along, and the command line needs the numbers alone
    from neuralcodec.video import VideoFormat

MAX_PIXELS = 4096 * 2304  # 4K in every aspect ratio in use
SMALL_FILE = 1 << 16  # bytes; not even one intra frame of 4K without content is as small
SMALL_FILE_PIXELS = 1 << 21  # 1920x1080: decoded in less than 2 GiB


def check_picture_size(
    fmt: "VideoFormat", max_pixels: int | None, name: str, file: BinaryIO
) -> None:
    """Raises InputError where pictures have more than `max_pixels` luma samples; to be asked before
    anything of their size is allocated.

    max_pixels: None for MAX_PIXELS, or for SMALL_FILE_PIXELS where `file` is a regular file of less
    than SMALL_FILE bytes. `name` is the file's, for the message.
    """
    if max_pixels is None:
        max_pixels = pixels_unasked(_size(file))
    if fault := too_large(fmt, max_pixels):
        raise InputError(f"{name}: {fault}")


def too_large(fmt: "VideoFormat", max_pixels: int) -> str | None:
    """What to tell the user where pictures have more than so many luma samples, else None."""
    pixels = fmt.width * fmt.height
    if pixels <= max_pixels:
        return None
    return (
        f"its pictures are {fmt.width}x{fmt.height}, more than are decoded unasked; "
        f"if you trust it, give --max-pixels {pixels}"
    )


def pixels_unasked(file_size: float) -> int:
    """Luma samples of the largest picture that is decoded unasked from a file of so many bytes."""
    return SMALL_FILE_PIXELS if file_size < SMALL_FILE else MAX_PIXELS


def _size(file: BinaryIO) -> float:
    """In bytes; endless where it cannot be told."""
    if not file.seekable():
        return float("inf")
    position = file.tell()
    try:
        return file.seek(0, io.SEEK_END)
    finally:
        file.seek(position)
