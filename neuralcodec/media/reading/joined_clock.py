"""One clock for all streams of a source whose time stamps jump, as where pieces were joined."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from av.container import InputContainer
from av.format import Flags
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

LARGEST_TIME = 1 << 62  # in ticks, either way; FFmpeg counts them in 64 bits
# Decoding times of a stream go back by less than this, in seconds, without being another clock's.
_SMALLEST_STEP_BACK = Fraction(1, 10)
# Seconds; a smaller one is not believed of one stream of several in formats whose clock may not
# begin anew: decoding times are partly of FFmpeg's own making there.
_CLEAR_STEP_BACK_ELSEWHERE = 1
# Seconds that a stream may be silent, in formats whose clock may begin anew anywhere and in others,
# as for FFmpeg: what comes later than that is on another clock.
_LONGEST_PAUSE = 10
_LONGEST_PAUSE_ELSEWHERE = 30 * 3600
# From when a picture is decoded to when it is shown, in seconds and in frames, whichever is longer.
_LONGEST_DELAY = Fraction(1)
_MOST_REORDERED = 17
_PIECES = 8  # latest ones, to which a stream may still come
# How far is read to see whether the other streams jump too.
_SECONDS_AHEAD = 2
_GOING_ON = Fraction(1, 2)  # seconds; less may be a rest of before that comes late
_PACKETS_AHEAD = 1000
_BYTES_AHEAD = 64 << 20
_MOST_LOOKS = 1000  # a source with more jumps is broken, and not to be read many times over


@dataclass
class _Piece:
    """A stretch of the source with a clock of its own."""

    offset: Fraction  # seconds to add to its times
    latest: Fraction  # decoding time met last, on its own clock


@dataclass(frozen=True)
class _Course:
    """Where a stream of sound or pictures is."""

    piece: _Piece
    last: Fraction  # decoding time of its latest packet, in seconds on the piece's clock
    end: Fraction  # of that packet

    def goes_on_with(self, time: Fraction, longest_pause: int) -> bool:
        """Whether a packet at this decoding time follows on the same clock."""
        return self.last - _SMALLEST_STEP_BACK <= time <= self.end + longest_pause

    def after(self, packet: "Packet[Stream]", time: Fraction) -> "_Course":
        duration = max(packet.duration or 0, 0) * packet.time_base
        duration = min(duration, Fraction(_LONGEST_PAUSE_ELSEWHERE))  # a broken file may say more
        return replace(self, last=time, end=time + duration)


class JoinedClock:
    """Moves the packets of each piece to where the piece before ended, all by the same time.

    A jump of one stream alone, while others go on, is left as it is: that is a gap in the stream.

    Attributes:
        jumps: how many were met and undone so far.
    """

    def __init__(self, container: InputContainer, streams: Sequence[Stream]):
        """streams: of sound and pictures, whose packets tell where a piece begins."""
        self._courses: dict[int, _Course | None] = dict.fromkeys(s.index for s in streams)
        self._pieces = [_Piece(Fraction(0), Fraction(0))]
        self._longest_pause = _LONGEST_PAUSE_ELSEWHERE
        self._clear_step_back: Fraction | int = _CLEAR_STEP_BACK_ELSEWHERE
        if may_begin_anew(container):
            self._longest_pause = _LONGEST_PAUSE
            self._clear_step_back = _SMALLEST_STEP_BACK
        rates = [s.guessed_rate for s in streams if isinstance(s, VideoStream) and s.guessed_rate]
        self._longest_delay = max([_LONGEST_DELAY, *(_MOST_REORDERED / rate for rate in rates)])
        self._ahead: deque[Packet[Stream]] = deque()
        self._looks = 0
        self._is_program_stream = container.format.name == "mpeg"
        self.jumps = 0

    def join(self, packets: Iterator["Packet[Stream]"]) -> Iterator["Packet[Stream]"]:
        """The packets, their times changed where that is needed."""
        while True:
            packet = self._ahead.popleft() if self._ahead else next(packets, None)
            if packet is None:
                return
            self._forget_foreign_pts(packet)
            piece = self._piece_of(packet, packets)
            if piece.offset:
                shift = round(piece.offset / packet.time_base)
                packet.pts = _moved(packet.pts, shift)
                packet.dts = _moved(packet.dts, shift)
            yield packet

    def _forget_foreign_pts(self, packet: "Packet[Stream]") -> None:
        """Take away a PTS of another piece: where pieces of MPEG-PS meet, FFmpeg gives the last
        picture of one the PTS of the first of the next."""
        if not self._is_program_stream or packet.dts is None or packet.pts is None:
            return
        delay = (packet.pts - packet.dts) * packet.time_base
        if not -_SMALLEST_STEP_BACK <= delay <= self._longest_delay:
            packet.pts = None

    def _piece_of(self, packet: "Packet[Stream]", packets: Iterator["Packet[Stream]"]) -> _Piece:
        time, index = _decoding_time(packet), packet.stream_index
        if index not in self._courses:
            return self._nearest(time)
        course = self._courses[index]
        if time is None:
            return self._pieces[-1] if course is None else course.piece
        if course is None:
            piece = self._nearest(time)
        elif course.goes_on_with(time, self._longest_pause):
            piece = course.piece
        else:
            piece = self._known(course, time) or self._begun(packet, course, time, packets)
        piece.latest = time
        self._courses[index] = _Course(piece, time, time).after(packet, time)
        return piece

    def _nearest(self, time: Fraction | None) -> _Piece:
        """The piece of a packet that says nothing of where it belongs but its time."""
        if time is None:
            return self._pieces[-1]
        return min(reversed(self._pieces), key=lambda piece: abs(piece.latest - time))

    def _known(self, course: _Course, time: Fraction) -> _Piece | None:
        """The piece to which another stream has gone over already."""
        reached = course.last + course.piece.offset - _SMALLEST_STEP_BACK
        for piece in reversed(self._pieces):
            is_near = abs(time - piece.latest) <= _LONGEST_PAUSE
            if piece is not course.piece and is_near and time + piece.offset >= reached:
                return piece
        return None

    def _begun(
        self,
        packet: "Packet[Stream]",
        course: _Course,
        time: Fraction,
        packets: Iterator["Packet[Stream]"],
    ) -> _Piece:
        """The piece that begins with this packet; that of before where other streams go on."""
        self._looks += 1
        if self._looks > _MOST_LOOKS:
            return course.piece
        others = self._others_ahead(packet, time, packets)
        offsets = [offset for offset in others.values() if offset is not None]
        is_doubtful = course.last - self._clear_step_back < time < course.last
        if not offsets and (others or (is_doubtful and len(self._courses) > 1)):
            return course.piece
        # So that no stream begins before it has ended in the piece before.
        offset = max([course.end + course.piece.offset - time, *offsets])
        self.jumps += 1
        self._pieces = [*self._pieces[1 - _PIECES :], _Piece(offset, time)]
        return self._pieces[-1]

    def _others_ahead(
        self, packet: "Packet[Stream]", time: Fraction, packets: Iterator["Packet[Stream]"]
    ) -> dict[int, Fraction | None]:
        """For each other stream that goes on: by how much it would have to be moved to follow
        without a gap, or None if it does not jump to about this time."""
        own = packet.stream_index
        courses = {i: c for i, c in self._courses.items() if c is not None and i != own}
        here = _Course(self._pieces[-1], time, time).after(packet, time)
        found: dict[int, Fraction | None] = {}
        size = 0
        for number, other in enumerate(self._all_ahead(packets)):
            size += other.size
            at, index = _decoding_time(other), other.stream_index
            if at is None:
                continue
            if index == own:
                if at > time + _SECONDS_AHEAD or not here.goes_on_with(at, self._longest_pause):
                    break
                here = here.after(other, at)
            if index in courses:
                course = courses[index]
                if course.goes_on_with(at, self._longest_pause):
                    courses[index] = course.after(other, at)
                    if at >= self._last(index) + _GOING_ON:
                        found[index] = None
                else:
                    if abs(at - time) <= _LONGEST_PAUSE:
                        found[index] = course.end + course.piece.offset - at
                    del courses[index]
            if not courses or number == _PACKETS_AHEAD or size > _BYTES_AHEAD:
                break
        return found

    def _last(self, index: int) -> Fraction:
        course = self._courses[index]
        assert course is not None
        return course.last

    def _all_ahead(self, packets: Iterator["Packet[Stream]"]) -> Iterator["Packet[Stream]"]:
        """The packets that follow; they stay to be joined."""
        yield from tuple(self._ahead)
        for packet in packets:
            self._ahead.append(packet)
            yield packet


def may_begin_anew(container: InputContainer) -> bool:
    """Whether the format allows that its clock jumps (MPEG-TS, MPEG-PS, ...)."""
    return Flags.ts_discont in Flags(container.format.flags)


def _moved(ticks: int | None, shift: int) -> int | None:
    """None where there is no time, or where it comes to lie beyond what can be."""
    return None if ticks is None or abs(ticks + shift) > LARGEST_TIME else ticks + shift


def _decoding_time(packet: "Packet[Stream]") -> Fraction | None:
    """Seconds."""
    return None if packet.dts is None else packet.dts * packet.time_base
