"""What of a user's footage nothing is learned from: some to check the training, some to compare.

Neighbours of what was trained on show the same objects in the same places. So what a model is worth
is measured on clips held out; or, of a single clip, on its end, with a gap before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from neuralcodec.encoder.structure.gop_structure import LONGEST_GOP
from neuralcodec.errors import InputError
from neuralcodec.training.crops import FRAMES
from neuralcodec.training.footage import Footage, FootagePart

GAP = LONGEST_GOP  # frames between the last one trained on and the first one compared
MOST = LONGEST_GOP  # frames compared of a clip: a GOP of the usual length
WINDOW = 4  # times as long as what the training is checked on: frames may come unevenly
LEAST = MOST // 2  # in shorter ones the intra frame weighs more than it does for a user


class Undivided(Exception):
    """Says why a clip cannot be divided."""


@dataclass(frozen=True)
class Division:
    """Of a single clip: [0, trained), the gap, and the last `compared` frames.

    The gap's end is what the training is checked on, so that no weights are chosen by the frames
    that are compared."""

    count: int
    trained: int
    compared: int

    def checked_part(self, clip: Footage) -> FootagePart:
        until = self.count - self.compared
        start = max(until - WINDOW * FRAMES, self.trained)
        return replace(clip.part(f"{clip.name}@end", start, FRAMES, self.count), until=until)

    def compared_part(self, clip: Footage) -> FootagePart:
        start = self.count - self.compared
        return clip.part(clip.name, start, self.compared, self.count)


def divide(clip: Footage, longest: int) -> Division:
    """Raises Undivided where less than half of the clip, or fewer than `longest` frames, were left
    to train on; InputError for what cannot be read."""
    count = clip.count()
    if count is None:
        raise Undivided(
            f"how many frames {clip.path} has cannot be told, so no end can be set apart"
        )
    compared = min(MOST, max(LEAST, count // 10))
    trained = count - GAP - compared
    if trained < count / 2:
        raise Undivided(
            f"{clip.path} has fewer than {2 * (GAP + LEAST)} frames, too few to keep some away "
            "from those that are trained on"
        )
    if trained < longest:
        raise Undivided(
            f"{clip.path} has {count} frames: without the {GAP + compared} that would be kept away "
            f"from the training, fewer than the {longest} it needs would be left"
        )
    return Division(count, trained, compared)


def ends_of(clips: Sequence[Footage]) -> list[FootagePart]:
    """The ends of clips held out, but for those that are too short: what the training is checked
    on, their first frames, is not compared."""
    parts = []
    for clip in clips:
        try:
            count = clip.count() or 0
        except InputError:
            continue
        length = min(MOST, count - FRAMES)
        if length >= LEAST:
            parts.append(clip.part(clip.name, count - length, length, count))
    return parts
