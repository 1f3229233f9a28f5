"""What every metric asks of two planes before it compares them."""

import numpy as np

_PEAKS = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 1023}


def peak_of(reference: np.ndarray, shown: np.ndarray) -> int:
    """The largest sample value of two comparable planes: 255 (uint8) or 1023 (uint16, 10 bit).

    Raises ValueError where shapes or types differ, the type is another, or a plane is empty.
    """
    if reference.shape != shown.shape:
        raise ValueError(f"planes of {reference.shape} and {shown.shape} cannot be compared")
    if reference.dtype != shown.dtype:
        raise ValueError(f"planes of {reference.dtype} and {shown.dtype} cannot be compared")
    if reference.dtype not in _PEAKS:
        raise ValueError(f"planes must be uint8 or uint16, not {reference.dtype}")
    if reference.size == 0:
        raise ValueError("an empty plane cannot be measured")
    return _PEAKS[reference.dtype]
