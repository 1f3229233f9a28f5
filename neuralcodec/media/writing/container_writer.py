"""MP4, MOV and Matroska: compressed video with time stamps and tags, and what came with it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from typing import Any

import av
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from neuralcodec.display_matrix import DisplayMatrix
from neuralcodec.errors import OutputError
from neuralcodec.media.writing import matroska_header
from neuralcodec.media.writing.copied_streams import CopiedStreams, with_priming
from neuralcodec.media.writing.copied_track import describe
from neuralcodec.media.writing.matroska_header import MatroskaFile
from neuralcodec.media.writing.metadata import file_metadata, video_metadata
from neuralcodec.media.writing.picture_encoder import (
    Picture,
    PictureEncoder,
    is_mastering_display_whole,
)
from neuralcodec.media.writing.sink import PipeFile, Sink, StandardOutput
from neuralcodec.media.writing.trial import can_hold
from neuralcodec.media.writing.writer import VideoWriter, lost_matrix
from neuralcodec.streams import Chapter, FileTags, OtherStream, StreamPacket
from neuralcodec.video import USUAL_RATE, Frame, VideoFormat

_BOTTOM_LOCATIONS = (5, 6)  # AVChromaLocation; Matroska has left or centre, top or centre
_TRIED_PACKETS = 3  # of each stream, to see whether a container can hold it
_LONGEST_FRAME = (1 << 31) - 1  # ticks, in MP4


@dataclass(frozen=True)
class Container:
    """How one kind of file is written: FFmpeg's names for muxer and encoder."""

    muxer: str
    encoder: str


CONTAINERS = {
    "mp4": Container("mp4", "libx264"),
    "mov": Container("mov", "libx264"),
    "mkv": Container("matroska", "ffv1"),
}


class ContainerWriter(VideoWriter):
    """Frames as H.264 in MP4/MOV or FFV1 in Matroska, with the other streams untouched.

    Time stamps and tags are kept; but Matroska counts milliseconds, so finer time stamps are
    rounded there.
    """

    def __init__(
        self,
        target: Sink,
        fmt: VideoFormat,
        kind: str,
        streams: Sequence[OtherStream],
        tags: FileTags,
    ):
        super().__init__()
        self._target = target
        self._format = fmt
        self._kind = kind
        self._tags = tags
        self._streams = streams
        self._pending: Frame | None = None  # how long it is shown, the next one tells
        self._shortest: int | None = None  # time between two frames, where no rate is known
        # Players drop what lies before zero, so the whole video moves up if it starts there.
        # Packets wait until its first frame tells.
        self._shift: int | None = None
        self._early: list[StreamPacket] = []
        self._done = False
        try:
            with self._failures():
                self._open()
        except BaseException:
            target.abort()
            raise

    def write(self, frame: Frame) -> None:
        if self._kind == "mkv" and (frame.pts * self._format.time_base * 1000).denominator != 1:
            self._notice("mkv keeps time in milliseconds: time stamps are rounded to them")
        if self._shift is None:
            self._begin(frame.pts)
        if self._pending is not None:
            interval = frame.pts - self._pending.pts
            self._encode(self._pending, interval)
            if self._format.frame_rate is None:
                self._shortest = min(self._shortest or interval, interval)
        self._pending = frame

    def write_packets(self, packets: Sequence[StreamPacket]) -> None:
        if self._shift is None:
            self._early += packets
            return
        shift = self._shift * self._format.time_base
        for packet in packets:
            self._copied.add(packet, shift)

    def close(self) -> None:
        if self._done:
            return
        if self._shift is None:
            self._begin(0)
        if self._pending is not None:
            # Without a duration MP4 ends at the start of the last frame, which is never shown.
            self._encode(self._pending, self._last_duration(self._pending))
        with self._failures():
            self._mux(self._encoder.finish())
            self._mux_copied(self._copied.due())
            self._container.close()
        if self._matroska is not None:
            self._matroska.finish()
        self._target.commit()
        self._done = True

    def abort(self) -> None:
        self._done = True
        # Closed first: PyAV then drops its container without writing an end to it.
        self._target.abort()

    def _open(self) -> None:
        fmt, tags = self._format, self._tags
        file: Any = self._target.file
        if isinstance(self._target, StandardOutput) or not file.seekable():
            file = PipeFile(self._target)
        title = dict(tags.video_metadata).get("title")
        added = matroska_header.additions(fmt, title)
        self._matroska = MatroskaFile(file, added) if self._kind == "mkv" and added else None
        # Packets come in order already, so nothing has to wait for others (1 = a microsecond).
        options = {"max_interleave_delta": "1"}
        if self._kind == "mkv":
            options["flush_packets"] = "1"
        else:
            # MP4 places the first frame in these units; its default of milliseconds would round.
            options["movie_timescale"] = str(fmt.time_base.denominator)
        container = CONTAINERS[self._kind]
        self._container = av.open(
            self._matroska or file, "w", format=container.muxer, container_options=options
        )
        self._container.metadata.update(file_metadata(tags.metadata))
        held = replace(fmt, display_matrix=_held_matrix(self._kind, fmt.display_matrix))
        self._encoder = PictureEncoder(self._container, container.encoder, held)
        video = self._encoder.stream
        video.disposition = Disposition(tags.video_disposition)
        video.metadata.update(video_metadata(tags.video_metadata))
        if self._matroska is not None:
            video.metadata["title"] = added.long_title
        self._tell_what_is_lost()

    def _tell_what_is_lost(self) -> None:
        fmt, kind = self._format, self._kind
        if self._encoder.is_upsampled:
            self._notice(
                f"H.264 in 4:2:0 has even sizes only: {fmt.width}x{fmt.height} "
                f"is written as {self._encoder.pixel_format}"
            )
        if self._encoder.is_field_order_lost:
            self._notice(
                f"H.264 cannot hold interlaced frames of {fmt.width}x{fmt.height}: "
                "they are not marked as such"
            )
        if fmt.display_matrix and _held_matrix(kind, fmt.display_matrix) is None:
            self._notice(lost_matrix(kind, fmt.display_matrix))
        elif kind == "mkv" and fmt.display_matrix and fmt.display_matrix.is_scaling:
            self._notice("mkv cannot hold that the pictures are scaled for display: left out")
        views = dict(self._tags.video_metadata).get("stereo_mode", "mono")
        if kind != "mkv" and views != "mono":
            self._notice(f"{kind} cannot hold that the pictures are stereo 3D ({views}): left out")
        if kind == "mkv" and fmt.color.chroma_location in _BOTTOM_LOCATIONS:
            self._notice("mkv has no word for the chroma location of this video: left out")
        if kind != "mkv" and fmt.mastering_display and not is_mastering_display_whole(fmt):
            self._notice(
                f"{kind} cannot hold a part of the mastering display's description: left out"
            )

    def _that_fit(self) -> list[OtherStream]:
        """The streams that the container can hold; tells of the others."""
        fitting = []
        for source in self._streams:
            stream = source
            own = (packet for packet in self._early if packet.stream == source.number)
            first = list(islice(own, _TRIED_PACKETS))
            if self._kind == "mkv":
                stream = with_priming(stream, first)
            if can_hold(CONTAINERS[self._kind].muxer, stream, first):
                fitting.append(stream)
                continue
            kinds = [k for k, other in CONTAINERS.items() if can_hold(other.muxer, stream, first)]
            advice = f" ({' or '.join(kinds)} can)" if kinds else ""
            self._notice(f"{self._kind} cannot hold {describe(stream)}{advice}: left out")
        return fitting

    def _begin(self, first_pts: int) -> None:
        """Write the file's header; `first_pts` is that of the first frame."""
        self._shift = max(0, -first_pts)
        if self._shift:
            self._notice("the video starts before time zero: all of it is moved to start there")
        shift = self._shift * self._format.time_base
        chapters = enumerate(self._tags.chapters, start=1)
        moved: Any = [_moved(chapter, number, shift) for number, chapter in chapters]
        self._container.set_chapters(moved)
        with self._failures():
            self._copied = CopiedStreams(
                self._container, self._kind, self._that_fit(), self._notice
            )
            self._container.start_encoding()
        early, self._early = self._early, []
        self.write_packets(early)

    def _last_duration(self, frame: Frame) -> int:
        """Of the last frame, which has none after it."""
        if self.end_pts is not None and self.end_pts > frame.pts:
            return self.end_pts - frame.pts
        rate = self._format.frame_rate or USUAL_RATE
        return self._shortest or max(1, round(1 / (rate * self._format.time_base)))

    def _encode(self, frame: Frame, duration: int) -> None:
        assert self._shift is not None
        if self._kind != "mkv" and duration > _LONGEST_FRAME:
            seconds = float(duration * self._format.time_base)
            raise OutputError(
                f"cannot write {self._target.path}: with time stamps as fine as these {self._kind} "
                f"cannot hold a frame that is shown for {seconds:.0f} seconds; write mkv"
            )
        with self._failures():
            self._mux(self._encoder.encode(Picture(frame, duration), self._shift))

    def _mux(self, packets: Iterable["Packet[VideoStream]"]) -> None:
        for packet in packets:
            assert packet.dts is not None
            self._mux_copied(self._copied.due(packet.dts * packet.time_base))
            self._container.mux(packet)

    def _mux_copied(self, packets: Iterable["Packet[Any]"]) -> None:
        for packet in packets:
            try:
                self._container.mux(packet)
            except ValueError:  # FFmpeg's errors for what a format does not allow are such
                # It may be about a packet of any stream that was muxed before.
                self._notice(f"{self._kind} does not take some packets: left out")

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn FFmpeg's errors into OutputError; BrokenPipeError passes."""
        try:
            yield
        except BrokenPipeError:
            raise
        except FFmpegError as error:
            raise OutputError(f"cannot write {self._target.path}: {error.strerror}") from error


def _held_matrix(kind: str, matrix: DisplayMatrix | None) -> DisplayMatrix | None:
    """What a kind of file can hold of it; Matroska turns pictures, and nothing else."""
    if matrix is None or matrix.is_singular:
        return None
    if kind != "mkv":
        return matrix
    return DisplayMatrix.of(matrix.turn) if matrix.turn else None


def _moved(chapter: Chapter, number: int, shift: Fraction) -> dict[str, Any]:
    """A chapter as PyAV wants it. Where a source gives no end, FFmpeg has the lowest number."""
    ticks = round(shift / chapter.time_base)
    start = max(0, chapter.start + ticks)
    return {
        "id": number,
        "start": start,
        "end": max(start, chapter.end + ticks),
        "time_base": chapter.time_base,
        "metadata": dict(chapter.metadata),
    }
