"""Pictures out of packets, with a record of what was lost on the way."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from neuralcodec.media.demuxing import Demuxer
from neuralcodec.media.source import Source

_MICROSECOND = Fraction(1, 1_000_000)  # unit of a container's duration in FFmpeg
# A source may end this much before its stated duration and still be whole, in seconds.
_DURATION_SLACK = Fraction(1, 10)


@dataclass(frozen=True)
class _PacketNumber:
    """An object for every packet: PyAV tells what it hands through FFmpeg by its address."""

    number: int


class Decoding:
    """Iterates the pictures of a source in display order; damage does not stop it."""

    def __init__(self, source: Source, demuxer: Demuxer):
        self._source = source
        self._demuxer = demuxer
        self._stream = source.streams.video
        # With threads for frames, what follows a damaged one near the end never comes out; of
        # pictures each is a file of its own, and more likely damaged than the video before it.
        is_pictures = source.container.format.name == "image2"
        self._stream.thread_type = "SLICE" if is_pictures else "AUTO"
        self._stream.codec_context.copy_opaque = True  # from packets to their pictures
        self._packets_of_pictures = 0
        self.forget_losses()

    @property
    def packets_of_pictures(self) -> int:
        """Number of the latest video packet, from 0, of which a picture came.

        Unlike the number of packets read so far it does not depend on threads, which read ahead.
        """
        return self._packets_of_pictures

    def forget_losses(self) -> None:
        """Begin anew to count what is lost or damaged."""
        self._lost_packets = 0
        self._corrupt_pictures = 0
        self._last_time = Fraction(0)  # seconds, end of the latest picture

    @property
    def frame_rate(self) -> Fraction | None:
        """Nominal frames per second; None if the source has no idea of one."""
        return self._stream.guessed_rate or self._stream.average_rate or None

    @property
    def has_times(self) -> bool:
        """Whether the source says when pictures are to be shown."""
        # AVI stores decoding times alone; with B-frames they belong to other pictures.
        is_reordered = self._source.container.format.name == "avi" and self._stream.has_b_frames
        return self._stream.start_time is not None and not is_reordered

    def presentation_time(self, picture: av.VideoFrame) -> int | None:
        """PTS of a picture in the stream's time base; None if the source has none for it."""
        if self._source.container.format.name == "avi" and self._stream.has_b_frames:
            return None
        return picture.pts

    def expected_frames(self) -> int | None:
        """Number of frames as the headers tell it, or None."""
        duration = self._stated_duration()
        if self._stream.frames > 1:
            return self._stream.frames
        if duration is None or self.frame_rate is None:
            return None
        frames = round(duration * self.frame_rate)
        return frames if frames > 1 else None  # broken time stamps add up to next to nothing

    def __iter__(self) -> Iterator[av.VideoFrame]:
        self._packets_of_pictures = 0
        for packet in self._packets_to_the_end():
            try:
                pictures = self._stream.decode(packet)
            except FFmpegError:
                self._lost_packets += 1
                continue
            for picture in pictures:
                self._note(picture)
                yield picture

    def shortfall(self) -> str | None:
        """After the last picture: in what way the source was not whole, or None."""
        if self._demuxer.read_error:
            return f"{self._source.name} broke off: {self._demuxer.read_error}"
        if self._ended_early():
            stated = self._stated_duration() or Fraction(0)
            return (
                f"{self._source.name} broke off after {float(self._last_time):.2f} "
                f"of {float(stated):.2f} seconds"
            )
        if self._cut_in_a_frame():
            return f"{self._source.name} broke off in the middle of a frame"
        if self._lost_packets or self._corrupt_pictures:
            return (
                f"{self._source.name} is damaged (frames lost: {self._lost_packets}, "
                f"decoded with errors: {self._corrupt_pictures})"
            )
        return None

    def _packets_to_the_end(self) -> Iterator["Packet[VideoStream] | None"]:
        """Packets up to the end or to the first read error, then None to flush the decoder."""
        for packet in self._demuxer:
            packet.opaque = _PacketNumber(self._demuxer.video_packets - 1)
            yield packet
        yield None

    def _note(self, picture: av.VideoFrame) -> None:
        self._corrupt_pictures += picture.is_corrupt
        if isinstance(picture.opaque, _PacketNumber):
            self._packets_of_pictures = max(self._packets_of_pictures, picture.opaque.number)
        if picture.pts is not None and self._stream.time_base is not None:
            end = (picture.pts + picture.duration) * self._stream.time_base
            self._last_time = max(self._last_time, end)

    def _ended_early(self) -> bool:
        """Whether the headers promise more than came."""
        if self._stream.frames and self._demuxer.video_packets >= self._stream.frames:
            return False
        # The container's duration may be that of another stream, so only a count of frames
        # or a duration of its own can convict a video with sound.
        own = self._stream.frames or "DURATION" in self._stream.metadata
        if not own and len(self._source.container.streams) > 1:
            return False
        stated = self._stated_duration()
        frame = 1 / self.frame_rate if self.frame_rate else Fraction(0)
        slack = max(2 * frame, _DURATION_SLACK)
        return stated is not None and self._last_time + slack < stated

    def _stated_duration(self) -> Fraction | None:
        """Seconds that the headers give for the stream, else for the container."""
        tag = self._stream.metadata.get("DURATION")  # Matroska's: "00:00:02.040000000"
        if tag is not None:
            try:
                hours, minutes, seconds = tag.split(":")
                return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
            except ValueError:
                pass  # tags are free text
        duration = self._source.container.duration
        return duration * _MICROSECOND if duration is not None else None

    def _cut_in_a_frame(self) -> bool:
        """Whether bytes follow the last whole frame of uncompressed video."""
        if self._source.container.format.name == "rawvideo":
            return self._lost_packets > 0  # nothing but a part of a frame cannot be decoded
        # Of a Y4M FFmpeg drops them silently.
        if self._source.container.format.name != "yuv4mpegpipe":
            return False
        pipe = self._source.pipe
        size = pipe.bytes_read if pipe else self._source.size
        return size is not None and size > self._demuxer.bytes_used
