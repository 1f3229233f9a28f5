"""The part of an .nlc file that is to be decoded: GOPs, frames and packets of a stretch of time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from neuralcodec.container import (
    ContainerReader,
    Content,
    GopContent,
    GopRecord,
    PacketsContent,
    find_gop,
)
from neuralcodec.errors import UsageError
from neuralcodec.files.packet_queue import PacketQueue
from neuralcodec.media.reading.time_window import TimeWindow
from neuralcodec.streams import FileTags, OtherStream, StreamPacket
from neuralcodec.video import USUAL_RATE, Frame, VideoFormat


@dataclass(frozen=True)
class PartOptions:
    """Times are seconds from the first frame on; with a start, those given out count from there.

    Raises UsageError for values out of range.
    """

    start: Fraction | None = None  # the first frame is the first one not before it
    duration: Fraction | None = None
    frames: int | None = None  # at most

    def __post_init__(self) -> None:
        if self.start is not None and self.start < 0:
            raise UsageError(f"the start must not be negative, but is {float(self.start):g} s")
        if self.duration is not None and self.duration <= 0:
            raise UsageError(f"the duration must be positive, not {float(self.duration):g} s")
        if self.frames is not None and self.frames < 1:
            raise UsageError(f"frames must be at least 1, not {self.frames}")

    @property
    def is_all(self) -> bool:
        return self == PartOptions()


class DecodePart:
    """Picks the part out of what a file holds.

    Of a file that can seek, only the GOPs of that part are read, and the ones beside them, where
    packets of its time may be; a pipe is read from its start.
    """

    def __init__(self, reader: ContainerReader, options: PartOptions, seekable: bool) -> None:
        self._reader, self._options, self._seekable = reader, options, seekable
        self._format = reader.header.format
        self._streams = {stream.number: stream for stream in reader.extras.streams}
        self._window: TimeWindow | None = None  # known with the first frame of the file
        self._frames_left = options.frames
        if seekable and not options.is_all and (index := reader.index()):
            self._window = self._window_from(index[0].first_pts)

    def gops(self, keep_going: bool, packets: PacketQueue) -> Iterator[GopContent]:
        """Of GOPs that hold frames of the part, what is needed for those; the packets of its time
        go into the queue, under the number of the frame that they come before."""
        next_frame = 0
        held: list[StreamPacket] = []  # come before the next GOP
        for content in self._contents(keep_going):
            if isinstance(content, PacketsContent):
                held += content.packets
                continue
            gop = content.gop
            next_frame = gop.first_frame + len(gop.frames)
            if self._window is None:
                self._window = self._window_from(gop.times[0])
            if self._is_after(gop.times[0]):
                break
            shown = [i for i, pts in enumerate(gop.times) if self._holds(pts)]
            if shown and self._frames_left is not None:
                shown = self._end_after(gop, shown)
            packets.put(gop.first_frame, self._moved(held))
            held = []
            if shown:
                yield replace(content, gop=gop.only(range(shown[0], shown[-1] + 1)))
        packets.put(next_frame, self._moved(held))

    def show(self, frame: Frame) -> Frame | None:
        """The frame with its new time; None when it lies outside of the part."""
        if not self._holds(frame.pts):
            return None
        assert self._window is not None  # a GOP has been given
        shift = self._window.shift(self._format.time_base)
        return replace(frame, pts=frame.pts - shift) if shift else frame

    def end_pts(self) -> int | None:
        """When the last frame of the part ends, after the last GOP; None where nothing says so."""
        end = self._reader.end_pts
        if end is None or self._window is None:
            return end
        unit = self._format.time_base
        if self._window.end is not None:
            end = min(end, self._ticks(self._window.end))
        return end - self._window.shift(unit)

    def clip_tags(self, tags: FileTags) -> FileTags:
        """Chapters of the part alone."""
        if self._window is None:
            return tags
        return replace(tags, chapters=self._window.clip(tags.chapters))

    def _contents(self, keep_going: bool) -> Iterator[Content]:
        if self._options.is_all or not self._seekable:
            return self._reader.contents(keep_going)
        index, window = self._reader.index(), self._window
        if window is None:
            return iter(())
        first, end = 0, len(index)
        if window.start is not None:
            # One more on either side: packets may stand a little before or after their time.
            first = max(find_gop(index, self._ticks(window.start)) - 1, 0)
        if window.end is not None:
            end = min(find_gop(index, self._ticks(window.end)) + 2, len(index))
        return self._reader.contents_between(first, end, keep_going)

    def _ticks(self, seconds: Fraction) -> int:
        return int(seconds // self._format.time_base)

    def _window_from(self, first_pts: int) -> TimeWindow:
        options = self._options
        if options.start is None and options.duration is None:
            return TimeWindow()
        zero = first_pts * self._format.time_base
        start = None if options.start is None else zero + options.start
        end = None
        if options.duration is not None:
            end = (zero if start is None else start) + options.duration
        return TimeWindow(start, end, Fraction(0) if start is None else start)

    def _end_after(self, gop: GopRecord, shown: list[int]) -> list[int]:
        """Closes the window where the number of frames is reached in this GOP. Gives those of the
        frames that are still in it."""
        assert self._frames_left is not None and self._window is not None
        kept = shown[: self._frames_left]
        self._frames_left -= len(kept)
        if self._frames_left == 0:
            last = kept[-1]
            unit = self._format.time_base
            if last + 1 < len(gop.frames):
                end = gop.times[last + 1] * unit
            else:
                end = gop.times[last] * unit + 1 / (self._format.frame_rate or USUAL_RATE)
            self._window = self._window.up_to(end - (self._window.start or 0))
        return kept

    def _holds(self, pts: int) -> bool:
        assert self._window is not None
        time = pts * self._format.time_base
        return not self._window.is_before(time) and not self._window.is_after(time)

    def _is_after(self, pts: int) -> bool:
        assert self._window is not None
        return self._window.is_after(pts * self._format.time_base)

    def _moved(self, packets: Sequence[StreamPacket]) -> list[StreamPacket]:
        """Those of the part, on its clock."""
        if self._options.is_all or self._window is None:
            return list(packets)
        moved = []
        for packet in packets:
            unit = self._streams[packet.stream].time_base
            time = packet.pts if packet.pts is not None else packet.dts
            if time is not None and (
                self._window.is_before(time * unit) or self._window.is_after(time * unit)
            ):
                continue
            shift = self._window.shift(unit)
            moved.append(
                replace(
                    packet,
                    pts=None if packet.pts is None else packet.pts - shift,
                    dts=None if packet.dts is None else packet.dts - shift,
                )
            )
        return moved


def streams_of(reader: ContainerReader, audio: bool) -> tuple[OtherStream, ...]:
    """The streams to write: all, or all but audio."""
    return tuple(s for s in reader.extras.streams if audio or s.kind != "audio")


def expected_frames(reader: ContainerReader, options: PartOptions, fmt: VideoFormat) -> int | None:
    """About how many frames the part has, for the progress bar; of a seekable file."""
    total = sum(entry.frame_count for entry in reader.index())
    if options.is_all:
        return total
    if options.duration is not None:
        total = min(total, round(options.duration * (fmt.frame_rate or USUAL_RATE)))
    return total if options.frames is None else min(total, options.frames)
