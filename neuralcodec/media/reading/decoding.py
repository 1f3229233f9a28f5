"""Pictures out of packets, with a record of what was lost on the way."""

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from neuralcodec.media.reading.demuxing import Demuxer
from neuralcodec.media.reading.display_times import DisplayTimes
from neuralcodec.media.reading.latest_packets import LatestPackets, PacketNumber
from neuralcodec.media.sources.source import Source


@dataclass
class Losses:
    """What could not be decoded as it was coded, and how far decoding came."""

    packets: int = 0  # that gave an error
    pictures: int = 0  # that are shown with errors
    end: Fraction = Fraction(0)  # seconds, of the picture shown last


class Decoding:
    """Iterates the pictures of a source in display order; damage does not stop it.

    Their PTS are those of the source; None where it has none.

    Attributes:
        losses: of the pictures that came so far.
    """

    def __init__(self, source: Source, demuxer: Demuxer):
        self._demuxer = demuxer
        self._stream = source.streams.video
        # With threads for frames, what follows a damaged one near the end never comes out; of
        # pictures each is a file of its own, and more likely damaged than the video before it.
        is_pictures = source.container.format.name == "image2"
        self._stream.thread_type = "SLICE" if is_pictures else "AUTO"
        self._stream.codec_context.copy_opaque = True  # from packets to their pictures
        # PyAV frees a decoder while it holds Python's lock, for which the decoder's threads may
        # wait to free what is opaque; so they have to be at rest by then.
        weakref.finalize(self, self._stream.codec_context.flush_buffers)
        self._packets_of_pictures = 0
        # AVI stores decoding times alone; with B-frames FFmpeg gives them to other pictures.
        self._is_avi = source.container.format.name == "avi"
        self._has_decoding_times_alone = self._is_avi and self._stream.has_b_frames
        self.losses = Losses()

    @property
    def packets_of_pictures(self) -> int:
        """Number of the latest video packet, from 0, of which a picture came.

        Unlike the number of packets read so far it does not depend on threads, which read ahead.
        """
        return self._packets_of_pictures

    def forget_losses(self) -> None:
        """Begin anew to count what is lost or damaged."""
        self.losses = Losses()

    @property
    def frame_rate(self) -> Fraction | None:
        """Nominal frames per second; None if the source has no idea of one."""
        return self._stream.guessed_rate or self._stream.average_rate or None

    @property
    def has_times(self) -> bool:
        """Whether the source says when its pictures are to be shown, and so can be sought in."""
        return self._stream.start_time is not None and not self._has_decoding_times_alone

    def __iter__(self) -> Iterator[av.VideoFrame]:
        self._packets_of_pictures = 0
        self._display_times = DisplayTimes()
        self._latest = LatestPackets(self._stream)
        for packet in self._packets_to_the_end():
            try:
                pictures = self._stream.decode(packet)
            except FFmpegError:
                self.losses.packets += 1
                continue
            for picture in pictures:
                self._latest.note_picture(picture)
                self._note(picture)
                yield picture
        if self._latest.may_hide_pictures:
            for picture in self._latest.hidden_pictures():
                self._note(picture)
                yield picture
            self.losses.packets = max(self.losses.packets, self._latest.errors)

    def _packets_to_the_end(self) -> Iterator["Packet[VideoStream] | None"]:
        """Packets up to the end or to the first read error, then None to flush the decoder."""
        for packet in self._demuxer:
            number = self._demuxer.video_packets - 1
            packet.opaque = PacketNumber(number)
            self._latest.add(number, packet)
            self._display_times.add(number, packet.dts)
            if self._is_avi and not self._has_decoding_times_alone:
                packet.pts = packet.dts  # AVI has no other; FFmpeg makes one up, a frame later
            yield packet
        yield None

    def _note(self, picture: av.VideoFrame) -> None:
        self.losses.pictures += picture.is_corrupt
        source = picture.opaque
        if isinstance(source, PacketNumber):
            self._packets_of_pictures = max(self._packets_of_pictures, source.number)
        if self._has_decoding_times_alone:
            number = source.number if isinstance(source, PacketNumber) else 0
            picture.pts = self._display_times.take(number, picture.key_frame)
        if picture.pts is not None and self._stream.time_base is not None:
            end = (picture.pts + picture.duration) * self._stream.time_base
            self.losses.end = max(self.losses.end, end)
