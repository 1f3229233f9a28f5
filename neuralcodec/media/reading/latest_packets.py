"""The latest packets of the video, to decode the end once more with a single thread.

A decoder with several threads holds pictures until it is emptied. An error meanwhile hides those
that come after it, as PyAV cannot go on then; how many they are depends on the machine.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import av
from av.codec.context import CodecContext
from av.error import FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

# Packets that a decoder can hold: one for each thread, of which FFmpeg takes 16 unless told, and
# as many whose pictures wait for others to be shown before.
_MOST_HELD = 32
_LARGEST_SIZE = 64 << 20  # bytes; where decoding has to begin farther back, it is not done


@dataclass(frozen=True)
class PacketNumber:
    """An object for every packet: PyAV tells what it hands through FFmpeg by its address."""

    number: int


class LatestPackets:
    """Packets that were decoded, from a keyframe on that the latest pictures need.

    Attributes:
        errors: how many packets cannot be decoded, as far as they were decoded once more.
    """

    def __init__(self, stream: VideoStream):
        self._stream = stream
        self._packets: deque[tuple[int, Packet[VideoStream]]] = deque()
        self._size = 0
        self._keyframes: deque[int] = deque()
        self._without_picture: set[int] = set()
        self._last_shown: int | None = None
        self._is_traced = True
        self.errors = 0

    @property
    def may_hide_pictures(self) -> bool:
        """After the decoder was emptied: whether not every packet gave a picture."""
        return bool(self._packets and self._without_picture and self._is_traced)

    def add(self, number: int, packet: "Packet[VideoStream]") -> None:
        """A packet is decoded, of the next number, which is its `opaque` too."""
        self._without_picture.add(number)
        self._without_picture.discard(number - _MOST_HELD)
        if packet.is_keyframe:
            self._keyframes.append(number)
        if not self._keyframes:
            return
        self._packets.append((number, packet))
        self._size += packet.size
        # From the keyframe before: pictures after a keyframe may be shown before it and need that.
        if len(self._keyframes) > 2 and self._keyframes[2] <= number - _MOST_HELD:
            self._keyframes.popleft()
            self._drop_before(self._keyframes[0])
        if self._size > _LARGEST_SIZE:
            self._keyframes.clear()
            self._drop_before(number + 1)

    def note_picture(self, picture: av.VideoFrame) -> None:
        """A picture came out of the decoder."""
        source = picture.opaque
        if isinstance(source, PacketNumber):
            self._without_picture.discard(source.number)
            self._last_shown = source.number
        else:
            self._is_traced = False

    def hidden_pictures(self) -> Iterator[av.VideoFrame]:
        """Those that are shown after the last one that came."""
        last = self._last_shown
        is_hidden = last is None or last < self._packets[0][0]
        for picture in self._pictures():
            if is_hidden:
                yield picture
            elif isinstance(picture.opaque, PacketNumber):
                is_hidden = picture.opaque.number == last

    def _pictures(self) -> Iterator[av.VideoFrame]:
        decoder = _decoder_like(self._stream.codec_context)
        for packet in (*(packet for _, packet in self._packets), None):
            try:
                yield from decoder.decode(packet)
            except FFmpegError:
                self.errors += 1

    def _drop_before(self, number: int) -> None:
        while self._packets and self._packets[0][0] < number:
            self._size -= self._packets.popleft()[1].size


def _decoder_like(known: VideoCodecContext) -> VideoCodecContext:
    """A decoder for the same stream, with one thread."""
    decoder = CodecContext.create(known.codec, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.extradata = known.extradata
    decoder.codec_tag = known.codec_tag
    decoder.width, decoder.height = known.width, known.height
    if known.pix_fmt is not None:
        decoder.pix_fmt = known.pix_fmt
    decoder.bits_per_coded_sample = known.bits_per_coded_sample
    decoder.color_range, decoder.colorspace = known.color_range, known.colorspace
    decoder.color_primaries, decoder.color_trc = known.color_primaries, known.color_trc
    decoder.thread_count = 1
    decoder.copy_opaque = True
    return decoder
