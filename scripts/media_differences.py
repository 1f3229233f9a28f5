"""Differences between two readings of a media file, and the reasons that are known for them."""

from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

TOLERANCE = 0.0035  # seconds: three and a half ticks of Matroska's and FLV's clock
CLOCK = (1 << 33) / 90000  # seconds after which that of MPEG-2 systems begins anew
_NEAR = 40  # packets of sound
_AT_A_SPLICE = 3  # pictures that may have times of another piece, and be placed anew
_LONGEST_DELAY = 1  # seconds from when a picture is decoded to when it is shown
_REPAIR = 0.3  # seconds by which spacing pictures may move them in addition to an offset


@dataclass
class Reading:
    """Of a file, by one reader."""

    times: list[float] = field(default_factory=list)  # of the pictures, seconds
    pictures: list[int] = field(default_factory=list)  # Adler-32 of their samples
    sounds: list[list[float]] = field(default_factory=list)  # times of the packets by stream
    notices: list[str] = field(default_factory=list)
    refused: str | None = None  # the error that the user is told
    fault: str | None = None  # what must not happen

    untimed: int = 0  # pictures to which the source gives no time
    places: list[int] = field(default_factory=list)  # of the pictures' packets in the file
    decoded: list[float] = field(default_factory=list)  # when the pictures' packets are decoded
    sound_places: list[list[int]] = field(default_factory=list)
    decoding_times: list[float] = field(default_factory=list)  # of an AVI file's video packets

    def says(self, *words: str) -> bool:
        """Whether the user is told something of the kind."""
        return any(word in notice for notice in self.notices for word in words)

    @property
    def heard(self) -> list[list[float]]:
        """Sound, without streams of which nothing came."""
        return [sound for sound in self.sounds if sound]

    @property
    def counts(self) -> list[int]:
        """Of pictures, and of packets of each stream of sound."""
        return [self.frames, *(len(sound) for sound in self.heard)]

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
    mine, others = ours.heard, theirs.heard
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
    difference: Difference,
    ours: Reading,
    theirs: Reading,
    plain: Reading,
    others: Iterator[tuple[str, Reading]],
) -> str | None:
    """The class of a difference from FFmpeg's reading; None if no reason is known for it.

    `plain` is what the libraries give of which our reading is made; `others` are more readings by
    FFmpeg, with what it means if they agree with ours.
    """
    aspect = difference.aspect
    is_of_times = aspect in ("times", "sound times")
    if aspect == "pictures" and ours.says(": converted", ": scaled"):
        return "converted to 4:2:0 or scaled by us"
    if aspect == "streams" and ours.says("is left out: it begins"):
        return "late streams are left out by us, with a notice"
    if is_of_times and _are_decoding_times(ours, plain):
        return "AVI: shown at its decoding times by us"
    if aspect == "sound times":
        mine, other = ours.heard[difference.number], theirs.heard[difference.number]
        zeros = (ours.times[0], theirs.times[0])
        if _most_apart(list(accumulate(mine, max)), other, zeros) <= TOLERANCE:
            return "sound steps back: FFmpeg stops its clock"
        if mine[1:] and _most_apart(mine[:-1], other[:-1], zeros) <= TOLERANCE:
            return "a last packet that FFmpeg moves by a later offset"
    if aspect == "times" and _is_out_of_order(ours, theirs, plain):
        return "PTS repeat or step back: each mends them"
    if aspect == "times" and _are_of_the_next_piece(ours, theirs, plain):
        return "a picture at a splice: FFmpeg's is of the next piece"
    same_number = [theirs] if ours.counts == theirs.counts else []
    for reason, reading in others:
        apart = {found.aspect for found in differences(ours, reading)}
        if aspect not in apart:
            return reason
        if aspect == "pictures" and reading.pictures != theirs.pictures:
            return "FFmpeg's readings have other pictures each"
        if ours.counts == reading.counts:
            same_number.append(reading)
    if is_of_times and same_number and _differ_as_much(difference, ours, same_number):
        return "FFmpeg's versions differ as much from one another"
    if aspect == "times" and ours.says("time stamps") and _differ_at_a_splice(ours, theirs):
        return "a picture at a splice: FFmpeg's is of the next piece"
    if is_of_times and plain.untimed and _times_apart(ours, theirs) <= 0.5:
        return "pictures without a time: each places them"
    if is_of_times and _is_as_the_source_says(ours, theirs, plain):
        return "as the source says: FFmpeg moves what steps back"
    if is_of_times and ours.says("clock that jumps") and _moves_all_alike(ours, plain):
        return "a clock that jumps: ours goes on elsewhere"
    return None


def _are_decoding_times(ours: Reading, plain: Reading) -> bool:
    """Whether pictures are shown when packets are decoded, in a file with no other times.

    FFmpeg takes the time of the packet that was decoded when a picture came out: later ones.
    """
    known = plain.decoding_times
    return bool(known) and _are_among(ours.times, known, TOLERANCE) and ours.heard == plain.heard


def _is_out_of_order(ours: Reading, theirs: Reading, plain: Reading) -> bool:
    """Whether pictures come from the decoder with times that do not rise.

    FFmpeg gives several the same time, as no two of its versions do; we space them.
    """
    steps = [after - before for before, after in pairwise(plain.times)]
    back = sum(step <= 0 for step in steps)
    zeros = (ours.times[0], theirs.times[0])
    return _most_apart(ours.times, theirs.times, zeros) <= min(0.2 * back, 1)


def _are_of_the_next_piece(ours: Reading, theirs: Reading, plain: Reading) -> bool:
    """Whether the libraries give pictures without a time that of the first packet of the next
    piece, long after their own is decoded, and FFmpeg shows them then; all else is in order."""
    if not ours.frames == plain.frames == len(plain.decoded):
        return False
    late = [
        time - decoded > _LONGEST_DELAY
        for time, decoded in zip(plain.times, plain.decoded, strict=True)
    ]
    if not 0 < sum(late) <= _AT_A_SPLICE:
        return False

    def others(reading: Reading) -> Reading:
        return Reading(
            [time for time, is_late in zip(reading.times, late, strict=True) if not is_late]
        )

    return _is_out_of_order(others(ours), others(theirs), others(plain))


def _is_as_the_source_says(ours: Reading, theirs: Reading, plain: Reading) -> bool:
    """Whether nothing was moved by us, but by FFmpeg: by less than half a second, or because its
    clock stands still where that of the source goes back."""
    if ours.counts != plain.counts or _times_apart(ours, plain) > TOLERANCE:
        return False
    is_still = any(b <= a for times in (theirs.times, *theirs.heard) for a, b in pairwise(times))
    return is_still or _times_apart(ours, theirs) <= 0.5


def _differ_as_much(difference: Difference, ours: Reading, readings: Sequence[Reading]) -> bool:
    """Whether ours is as near to one of FFmpeg's readings as they are to one another, or half a
    second."""

    def apart(one: Reading, other: Reading) -> float:
        zeros = (one.times[0], other.times[0])
        if difference.aspect == "times":
            return _most_apart(one.times, other.times, zeros)
        return _most_apart(one.heard[difference.number], other.heard[difference.number], zeros)

    nearest = min(apart(ours, reading) for reading in readings)
    farthest = max(apart(one, other) for one in readings for other in readings)
    return nearest <= min(farthest, 0.5)


def _differ_at_a_splice(ours: Reading, theirs: Reading) -> bool:
    """Whether only a few pictures have other times."""
    shift = ours.times[0] - theirs.times[0]
    pairs = zip(ours.times, theirs.times, strict=True)
    wrong = sum(abs(a - b - shift) > TOLERANCE for a, b in pairs)
    return wrong <= min(_AT_A_SPLICE, ours.frames // 10)


def _times_apart(one: Reading, other: Reading) -> float:
    if one.counts != other.counts:
        return float("inf")
    zeros = (one.times[0], other.times[0])
    pairs = zip([one.times, *one.heard], [other.times, *other.heard], strict=True)
    return max(_most_apart(a, b, zeros) for a, b in pairs)


def _moves_all_alike(ours: Reading, plain: Reading) -> bool:
    """Whether pictures were moved from the source's times as the sound beside them in the file."""
    pairs = [(ours.times, plain.times), *zip(ours.heard, plain.heard, strict=False)]
    if len(ours.heard) != len(plain.heard) or any(len(a) != len(b) for a, b in pairs):
        return False
    pictures, *sounds = (
        [(a - b + _REPAIR) % CLOCK - _REPAIR for a, b in zip(*pair, strict=True)] for pair in pairs
    )
    places = [place for places in plain.sound_places for place in places]
    moved = [offset for offsets in sounds for offset in offsets]
    sound = sorted(zip(places, moved, strict=True))
    wrong = 0
    for place, offset in zip(plain.places, pictures, strict=True):
        middle = bisect(sound, (place,))
        before, after = sound[max(middle - _NEAR, 0) : middle], sound[middle : middle + _NEAR]
        near = [other for _, other in before + after]
        wrong += bool(before and after and not _are_among([offset], near, _REPAIR))
    return wrong <= min(_AT_A_SPLICE, ours.frames // 10)


def _are_among(values: Sequence[float], others: Sequence[float], within: float) -> bool:
    known = sorted(others)
    for value in values:
        place = bisect(known, value)
        if all(abs(value - other) > within for other in known[max(place - 1, 0) : place + 1]):
            return False
    return True


def _most_apart(one: Sequence[float], other: Sequence[float], zeros: tuple[float, float]) -> float:
    """Seconds, each counted from its zero."""
    shift = zeros[0] - zeros[1]
    return max(abs(a - b - shift) for a, b in zip(one, other, strict=True))
