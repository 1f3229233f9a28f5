"""How to turn, mirror or move pictures for display: the matrix of a track in ISO 14496-12."""

import math
from dataclasses import dataclass
from typing import Self

_ONE = 1 << 16  # 16.16 fixed point
_ONE_IN_LAST_COLUMN = 1 << 30  # 2.30 fixed point
_LARGEST_SKEW = 0.01  # cosine between the axes of what still passes for a rotation
_NEXT_TO_A_RIGHT_ANGLE = 0.05  # degrees
_ROUNDING = _ONE // 1000  # of numbers that pass for those of a turn


@dataclass(frozen=True)
class Turn:
    """Mirrored left to right if at all, then rotated."""

    mirrored: bool
    degrees: float  # clockwise, above -180 and up to 180

    def __str__(self) -> str:
        degrees = round(self.degrees, 1)
        if abs(degrees) == 180:
            return "mirrored top to bottom" if self.mirrored else "rotated 180°"
        way = "clockwise" if degrees > 0 else "counter-clockwise"
        rotated = f"rotated {abs(degrees):g}° {way}" if degrees else ""
        mirrored = "mirrored left to right" if self.mirrored else ""
        return " and ".join(filter(None, [mirrored, rotated]))


@dataclass(frozen=True)
class DisplayMatrix:
    """Numbers a, b, u, c, d, v, x, y, w: a point (p, q) of the picture, y downwards, is shown at
    (a p + c q + x, b p + d q + y) / (u p + v q + w). All are signed, of 32 bits: 16.16 fixed point,
    u, v and w 2.30."""

    numbers: tuple[int, ...]

    @classmethod
    def of(cls, turn: Turn) -> Self:
        """The matrix of a turn about the origin."""
        angle = math.radians(turn.degrees)
        cosine, sine = round(_ONE * math.cos(angle)), round(_ONE * math.sin(angle))
        side = -1 if turn.mirrored else 1
        return cls((side * cosine, side * sine, 0, -sine, cosine, 0, 0, 0, _ONE_IN_LAST_COLUMN))

    @property
    def about_origin(self) -> "DisplayMatrix":
        """The same without moving the picture, for pictures of another size."""
        return DisplayMatrix((*self.numbers[:6], 0, 0, self.numbers[8]))

    @property
    def is_singular(self) -> bool:
        """Whether it maps the whole picture to a line or a point: no player heeds such a one."""
        a, b, _, c, d, *_ = self.numbers
        return a * d == b * c

    @property
    def is_identity(self) -> bool:
        return self.numbers == DisplayMatrix.of(Turn(False, 0)).numbers

    @property
    def turn(self) -> Turn | None:
        """What it does but for moving and scaling; None if it does more than turning."""
        a, b, u, c, d, v, *_ = self.numbers
        if self.is_singular or u or v:
            return None
        # The axes of the shown picture may be scaled each on its own, as by wide samples.
        width, height = math.hypot(a, c), math.hypot(b, d)
        if abs(a * b + c * d) > _LARGEST_SKEW * width * height:
            return None
        # The second column, (-sine, cosine), is that of a rotation whether mirrored before or not.
        degrees = math.degrees(math.atan2(-c / width, d / height))
        nearest = round(degrees / 90) * 90
        if abs(degrees - nearest) < _NEXT_TO_A_RIGHT_ANGLE:
            degrees = nearest
        return Turn(a * d < b * c, 180 if degrees == -180 else degrees)

    @property
    def is_scaling(self) -> bool:
        """Whether the picture is made larger or smaller, beside turning it."""
        turn = self.turn
        if turn is None:
            return False
        differences = zip(self.about_origin.numbers, DisplayMatrix.of(turn).numbers, strict=True)
        return any(abs(one - other) > _ROUNDING for one, other in differences)

    def __str__(self) -> str:
        """In words where it turns the picture and no more."""
        turn = self.turn
        if turn is not None and (turn.mirrored or turn.degrees):
            return str(turn)
        return "display matrix " + " ".join(map(str, self.numbers))
