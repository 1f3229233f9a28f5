"""Encoding into Matroska with a classical codec, and decoding that with another's decoder.

Only the bytes of the video's packets count as payload: neither the container with the parameter
sets in its header, nor the text in which x264 records its settings.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from neuralcodec.bench.peers import PEERS, options_of
from neuralcodec.bench.settings import CodecSetting
from neuralcodec.bench.svt import quiet_svt, usual_scheduling
from neuralcodec.errors import UsageError
from neuralcodec.media.planes import PIXEL_FORMAT, planes_of, to_picture
from neuralcodec.video import Frame, VideoFormat

FALLBACK_RATE = Fraction(25)  # encoders want one; it changes no decision at a constant quality
MAX_REORDER = 16  # frames, of every standard here


@dataclass(frozen=True)
class PeerEncoding:
    """What one encoding came to."""

    frames: int
    payload_bytes: int  # of all video packets


def in_decoding_order(packets: Iterable[av.Packet], first: int) -> Iterator[av.Packet]:
    """Packets as an encoder gives them, with decoding times counted from that order.

    x265's own are uninitialised memory where a clip has fewer frames than it reorders
    (Multicorewareinc/x265#781), which a muxer refuses at random.

    Args:
        packets: With presentation times that count frames.
        first: How many came before these.
    """
    for order, packet in enumerate(packets, first):
        packet.dts = order - MAX_REORDER
        yield packet


def encode_to_file(
    frames: Iterable[Frame],
    fmt: VideoFormat,
    path: Path,
    setting: CodecSetting,
    *,
    quality: float,
    gop: int,
) -> PeerEncoding:
    """Writes a Matroska file. Raises UsageError where the encoder refuses its options."""
    quiet_svt()
    peer, options = PEERS[setting.name], options_of(setting, quality, gop)
    rate = fmt.frame_rate or FALLBACK_RATE
    count = packets_before = payload = 0
    with av.open(path, "w", format="matroska") as container:
        stream = container.add_stream(options.encoder, rate, dict(options.values))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = fmt.width, fmt.height
        stream.pix_fmt = PIXEL_FORMAT[fmt.bit_depth]
        stream.codec_context.time_base = 1 / rate
        packet_filter = (
            av.BitStreamFilterContext(peer.bitstream_filter, peer.decoder)
            if peer.bitstream_filter
            else None
        )

        def mux(packets: list[av.Packet]) -> int:
            nonlocal packets_before
            size = 0
            for packet in in_decoding_order(packets, packets_before):
                for kept in packet_filter.filter(packet) if packet_filter else [packet]:
                    kept.stream = stream
                    size += kept.size
                    container.mux(kept)
            packets_before += len(packets)
            return size

        try:
            for frame in frames:
                picture = to_picture(frame, fmt)
                # Even steps: rate control must not see a source's uneven time stamps.
                picture.pts, picture.time_base = count, 1 / rate
                payload += mux(stream.encode(picture))
                if count == 0:  # the first picture opens the encoder
                    usual_scheduling()
                count += 1
            payload += mux(stream.encode(None))
        except av.FFmpegError as error:
            raise UsageError(f"{options.encoder} fails with '{options}' ({error})") from error
    return PeerEncoding(count, payload)


def decode_file(path: Path, setting: CodecSetting, bit_depth: int) -> Iterator[Frame]:
    """The frames of a file that `encode_to_file` made; PTS count frames."""
    decoder = av.CodecContext.create(PEERS[setting.name].decoder, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    with av.open(path) as container:
        stream = container.streams.video[0]
        decoder.extradata = stream.codec_context.extradata
        decoder.thread_type = "AUTO"
        number = 0
        for packet in container.demux(stream):
            for picture in decoder.decode(packet if packet.size else None):
                yield Frame(*planes_of(picture, bit_depth), number)
                number += 1
