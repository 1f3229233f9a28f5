"""GOPs side by side, but each by itself: for efforts that judge every GOP's symbols in floats.

Batched networks round differently from single ones, in the last bit; a search that follows
gradients would turn that into other symbols. One by one, a GOP is coded the same in any company.
"""

import copy
from collections.abc import Sequence

from neuralcodec.codec.gop_symbols import FrameSymbols
from neuralcodec.codec.transforms import IntraTrial, Transforms
from neuralcodec.video import Frame


class SideBySide:
    """Looks like the `Transforms` of a batch to the encoder."""

    def __init__(self, first: Transforms) -> None:
        self.first = first
        self.begin()

    @property
    def notices(self) -> list[str]:
        return self.first.notices

    def begin(self) -> None:
        self._each: list[Transforms] = []

    def keep(self, items: list[int]) -> None:
        self._each = [self._each[i] for i in items]

    def encode(
        self, frames: Sequence[Frame], qualities: Sequence[int]
    ) -> tuple[list[FrameSymbols], list[Frame]]:
        if not self._each:
            self._each = [copy.copy(self.first) for _ in frames]
        symbols, shown = [], []
        for transforms, frame, q in zip(self._each, frames, qualities, strict=True):
            coded, pictures = transforms.encode([frame], [q])
            symbols += coded
            shown += pictures
        return symbols, shown

    def try_intra(self, frame: Frame, quality: int) -> IntraTrial:
        return self.first.try_intra(frame, quality)

    def adopt(self, item: int, intra: IntraTrial) -> None:
        self._each[item].adopt(0, intra)
