"""A slowly moving quality, as all ways to steer towards a target use it."""

from neuralcodec.codec.gop_structure import HIGHEST, LOWEST


class Smoother:
    """A slowly moving real number as whole ones whose mean follows it."""

    def __init__(self, start: float) -> None:
        self.value = start
        self._owed = 0.0

    def approach(self, wanted: float, step: float) -> int:
        """Moves by at most `step`; gives the q for the next frame."""
        wanted = min(max(wanted, LOWEST), HIGHEST)
        self.value += min(max(wanted - self.value, -step), step)
        whole = round(self.value + self._owed)
        self._owed += self.value - whole
        return min(max(whole, LOWEST), HIGHEST)
