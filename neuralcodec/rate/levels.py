"""What the level of a frame does to its bits and its PSNR, at one quality asked for: learned while
coding, from what is usual."""

from collections import Counter

Kind = tuple[int, int]  # frames of its mini-GOP, level

# Of its bits, against a P frame's; and PSNR above that of the other frames
USUAL_BITS = {
    1: (1.0, 0.9),
    2: (1.4, 0.6),
    4: (1.9, 1.0, 0.5),
    8: (2.6, 1.5, 0.9, 0.4),
    16: (3.3, 2.0, 1.3, 0.8, 0.35),
}
USUAL_DB = {
    1: (0.0, 0.0),
    2: (0.2, -0.2),
    4: (0.4, 0.0, -0.3),
    8: (0.5, 0.2, -0.1, -0.3),
    16: (0.6, 0.3, 0.0, -0.2, -0.3),
}
RATE = 0.1  # share of a surprise that is learned at once


class LevelDifferences:
    """How much more each kind of frame has of something than the mean of its mini-GOP.

    What all kinds of a mini-GOP of a size have in common is not learned here: it is the scene's."""

    def __init__(self, usual: dict[Kind, float]) -> None:
        self._values = dict(usual)
        self._seen = Counter[Kind]()

    def __getitem__(self, kind: Kind) -> float:
        return self._values.get(kind, 0.0)

    def learn(self, kind: Kind, surprise: float) -> None:
        """surprise: by how much a frame had more than was foretold."""
        self._seen[kind] += 1
        of_size = [other for other in self._seen if other[0] == kind[0]]
        share = self._seen[kind] / sum(self._seen[other] for other in of_size)
        for other in of_size:
            own = 1.0 if other == kind else 0.0
            self._values[other] = self[other] + RATE * surprise * (own - share)


def by_kind(table: dict[int, tuple[float, ...]]) -> dict[Kind, float]:
    return {(size, level): v for size, each in table.items() for level, v in enumerate(each)}
