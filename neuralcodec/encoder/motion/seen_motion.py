"""Motion as the look-ahead saw it, between small pictures of the source: where the search begins
when a frame is coded."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neuralcodec.kernels.motion.small_search import BLOCK as SMALL_BLOCK
from neuralcodec.kernels.parsing.motion_walk import VECTOR_LIMIT
from neuralcodec.model.config import BLOCK

HALF_SAMPLE = 2  # quarter samples


@dataclass(frozen=True)
class SeenMotion:
    """Of one frame. fields: by how many frames away the other picture is shown, positive in the
    past: (rows, columns, 2), x and y in half samples of the frame; scale: of the small pictures."""

    fields: Mapping[int, np.ndarray]
    scale: int

    def toward(self, away: int, rows: int, columns: int) -> np.ndarray:
        """In a picture so far away, on the grid of 16x16 blocks: int32 (rows, columns, 2), quarter
        samples. From the nearest one that was seen, as if all moved evenly; 0 if none was."""
        if not self.fields:
            return np.zeros((rows, columns, 2), np.int32)
        nearest = min(self.fields, key=lambda seen: abs(seen - away))
        seen = self.fields[nearest].astype(np.int32) * HALF_SAMPLE
        per_block = SMALL_BLOCK * self.scale
        found = seen[_blocks(rows, per_block, len(seen))][
            :, _blocks(columns, per_block, seen.shape[1])
        ]
        even: np.ndarray = np.round(found * (away / nearest)).astype(np.int32)
        return even.clip(-VECTOR_LIMIT, VECTOR_LIMIT)


def _blocks(count: int, per_block: int, known: int) -> np.ndarray:
    """Which block of the small picture the middle of each block is in."""
    middles = np.arange(count) * BLOCK + BLOCK // 2
    found: np.ndarray = np.minimum(middles // per_block, known - 1)
    return found
