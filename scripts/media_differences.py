"""Differences between two readings of a media file, and the reasons that are known for them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

TOLERANCE = 0.0035  # seconds: three and a half ticks of Matroska's and FLV's clock


@dataclass
class Reading:
    """Of a file, by one reader."""

    times: list[float] = field(default_factory=list)  # of the pictures, seconds
    pictures: list[int] = field(default_factory=list)  # Adler-32 of their samples
    sounds: list[list[float]] = field(default_factory=list)  # times of the packets by stream
    notices: list[str] = field(default_factory=list)
    refused: str | None = None  # the error that the user is told
    fault: str | None = None  # what must not happen

    @property
    def frames(self) -> int:
        return len(self.times)


@dataclass(frozen=True)
class Difference:
    aspect: str
    sentence: str
    number: int = 0  # of a stream of sound


def differences(ours: Reading, theirs: Reading) -> list[Difference]:
    """In frames, their times and samples, and packets of sound; none if both found no picture."""
    if ours.refused and not theirs.times:
        return []
    if ours.refused:
        what = f"refused ({ours.refused}), FFmpeg gives {theirs.frames} frames"
        return [Difference("refused", what)]
    found = []
    zeros = (0.0, 0.0)
    if ours.frames != theirs.frames:
        what = f"{ours.frames} frames instead of {theirs.frames}"
        found.append(Difference("frames", what))
    elif ours.times:
        zeros = (ours.times[0], theirs.times[0])
        if (most := _most_apart(ours.times, theirs.times, zeros)) > TOLERANCE:
            found.append(Difference("times", f"times of frames differ by {most:.3f} s"))
        wrong = sum(a != b for a, b in zip(ours.pictures, theirs.pictures, strict=True))
        if wrong:
            found.append(Difference("pictures", f"{wrong} of {ours.frames} pictures differ"))
    mine, others = ([sound for sound in r.sounds if sound] for r in (ours, theirs))
    if len(mine) != len(others):
        what = f"{len(mine)} streams of sound instead of {len(others)}"
        return [*found, Difference("streams", what)]
    for number, (one, other) in enumerate(zip(mine, others, strict=True)):
        if len(one) != len(other):
            what = f"sound {number}: {len(one)} packets instead of {len(other)}"
            found.append(Difference("sound", what, number))
        else:
            from_pictures = ours.frames == theirs.frames
            most = _most_apart(one, other, zeros if from_pictures else (one[0], other[0]))
            if most > TOLERANCE:
                what = f"sound {number}: times differ by {most:.3f} s"
                found.append(Difference("sound times", what, number))
    return found


def explain(
    difference: Difference, ours: Reading, theirs: Reading, others: Iterator[tuple[str, Reading]]
) -> str | None:
    """The class of a difference from FFmpeg's reading; None if no reason is known for it.

    `others` are readings by others, with what it means if they agree with ours.
    """
    aspect = difference.aspect
    if aspect == "pictures" and any(": converted" in n or ": scaled" in n for n in ours.notices):
        return "converted to 4:2:0 or scaled by us"
    if aspect == "sound times":
        mine, other = ours.sounds[difference.number], theirs.sounds[difference.number]
        squeezed = list(accumulate(mine, max))
        if _most_apart(squeezed, other, (ours.times[0], theirs.times[0])) <= TOLERANCE:
            return "sound steps back: FFmpeg stops its clock"
    if aspect == "times":
        stopped = sum(after <= before for before, after in pairwise(theirs.times))
        longest = max(b - a for a, b in pairwise(sorted(theirs.times)[: 1 << 10]))
        zeros = (ours.times[0], theirs.times[0])
        if stopped and _most_apart(ours.times, theirs.times, zeros) <= stopped * min(longest, 0.1):
            return "FFmpeg gives one time to several pictures"
    they_agree = True
    for reason, reading in others:
        if aspect not in {d.aspect for d in differences(ours, reading)}:
            return reason
        they_agree = they_agree and reading.pictures == theirs.pictures
    if aspect == "pictures" and not they_agree:
        return "FFmpeg's readings have other pictures each"
    return None


def _most_apart(one: Sequence[float], other: Sequence[float], zeros: tuple[float, float]) -> float:
    """Seconds, each counted from its zero."""
    shift = zeros[0] - zeros[1]
    return max(abs(a - b - shift) for a, b in zip(one, other, strict=True))
