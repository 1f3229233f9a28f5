"""The largest picture that is decoded unasked: memory and time grow with it, whatever the bytes."""

from neuralcodec.errors import InputError
from neuralcodec.video import VideoFormat

MAX_PIXELS = 4096 * 2304  # 4K in every aspect ratio in use


def check_picture_size(fmt: VideoFormat, max_pixels: int, name: str) -> None:
    """Raises InputError where pictures have more than `max_pixels` luma samples; to be asked before
    anything of their size is allocated. `name` is the file's, for the message."""
    pixels = fmt.width * fmt.height
    if pixels > max_pixels:
        raise InputError(
            f"{name}: its pictures are {fmt.width}x{fmt.height}, more than are decoded unasked; "
            f"if you trust it, give --max-pixels {pixels}"
        )
