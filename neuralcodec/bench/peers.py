"""Classical codecs through PyAV behind one small interface, to measure this codec against.

Each encodes for PSNR where it can be told to, with its own B-frames, scene-cut detection and
threads, in closed GOPs, and is decoded again by an independent decoder. Only the bytes of the
video's packets count: no container, and not the text in which x264 and x265 record their
settings.
"""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import av

from neuralcodec.errors import InputError, UsageError
from neuralcodec.media.planes import PIXEL_FORMAT, planes_of, to_picture
from neuralcodec.video import Frame, VideoFormat

_FALLBACK_RATE = Fraction(25)  # encoders want one; it changes no decision at a constant quality


@dataclass(frozen=True)
class Peer:
    """How one classical codec is driven; `{preset}`, `{quality}`, `{gop}` are filled in."""

    encoder: str  # FFmpeg's name
    decoder: str
    default_preset: str
    qualities: tuple[float, ...]  # crf values that span about 27..44 dB PSNR-YUV, best first
    bit_depths: tuple[int, ...]
    options: dict[str, str]
    bitstream_filter: str | None = None  # FFmpeg's description of what to drop from packets


PEERS = {
    "x264": Peer(
        encoder="libx264",
        decoder="h264",
        default_preset="medium",
        qualities=(16, 22, 28, 34, 40, 46),
        bit_depths=(8, 10),
        options={"preset": "{preset}", "tune": "psnr", "crf": "{quality}", "g": "{gop}"},
        # x264 always writes its settings as text (SEI, 0.7 kB): 7 % of a small clip's bytes.
        bitstream_filter="filter_units=remove_types=6",
    ),
    "x265": Peer(
        encoder="libx265",
        decoder="hevc",
        default_preset="medium",
        qualities=(14, 20, 26, 32, 38, 44),
        bit_depths=(8, 10),
        options={
            "preset": "{preset}",
            "tune": "psnr",
            "crf": "{quality}",
            "g": "{gop}",
            "x265-params": "open-gop=0:info=0:log-level=none",
        },
    ),
    "svtav1": Peer(
        encoder="libsvtav1",
        decoder="libdav1d",
        default_preset="6",
        qualities=(10, 22, 34, 46, 56, 63),
        bit_depths=(8, 10),
        options={
            "preset": "{preset}",
            "crf": "{quality}",
            "g": "{gop}",
            "svtav1-params": "tune=1",  # 1 = PSNR
        },
    ),
    "vp9": Peer(
        encoder="libvpx-vp9",
        decoder="vp9",
        default_preset="2",
        qualities=(10, 22, 34, 46, 56, 63),
        bit_depths=(8,),  # PyAV's libvpx is built without 10 bit
        options={
            "deadline": "good",
            "cpu-used": "{preset}",
            "crf": "{quality}",
            "b": "0",  # a bit rate above 0 would limit the constant quality
            "g": "{gop}",
            "row-mt": "1",
        },
    ),
}


@dataclass(frozen=True)
class PeerResult:
    """What one encoding came to."""

    bytes_total: int  # payload of all video packets
    decoded: list[Frame]  # in display order, with the time stamps of the source
    parameters: str  # encoder and its exact options
    encode_seconds: float

    @property
    def encode_fps(self) -> float:
        return len(self.decoded) / self.encode_seconds


def parameters(codec: str, preset: str | None = None, *, quality: float, gop: int) -> str:
    """The exact parameters of an encoding, as reports print them; the same string, the same bytes.

    Raises UsageError for an unknown codec.
    """
    peer = _peer(codec)
    options = _options(peer, preset, quality, gop)
    return " ".join([peer.encoder, *(f"{name}={value}" for name, value in options.items())])


def encode(
    frames: Sequence[Frame],
    fmt: VideoFormat,
    codec: str,
    preset: str | None = None,
    *,
    quality: float,
    gop: int,
) -> PeerResult:
    """Encodes `frames` with a peer ('x264', 'x265', 'svtav1', 'vp9') and decodes them again.

    `preset` None takes the peer's default, `quality` is its crf, `gop` the largest distance of
    two intra frames. Raises UsageError for what the peer cannot do (an unknown codec, preset or
    quality, odd sizes, a bit depth) and InputError where there is nothing to encode.
    """
    peer = _peer(codec)
    if not frames:
        raise InputError("no frames to encode")
    if fmt.width % 2 or fmt.height % 2:
        raise UsageError(f"{codec} takes even sizes only, not {fmt.width}x{fmt.height}")
    if fmt.bit_depth not in peer.bit_depths:
        raise UsageError(f"{codec} cannot encode {fmt.bit_depth}-bit video here")

    begin = time.perf_counter()
    packets = _encode_packets(peer, frames, fmt, _options(peer, preset, quality, gop))
    seconds = time.perf_counter() - begin
    if peer.bitstream_filter:
        packets = _filtered(packets, peer.bitstream_filter, peer.decoder)
    decoded = [
        Frame(*planes_of(picture, fmt.bit_depth), source.pts)
        for picture, source in zip(_decode(packets, peer), frames, strict=True)
    ]
    return PeerResult(
        bytes_total=sum(packet.size for packet in packets),
        decoded=decoded,
        parameters=parameters(codec, preset, quality=quality, gop=gop),
        encode_seconds=seconds,
    )


def _peer(codec: str) -> Peer:
    if codec not in PEERS:
        raise UsageError(f"unknown codec '{codec}'; known are {', '.join(PEERS)}")
    return PEERS[codec]


def _options(peer: Peer, preset: str | None, quality: float, gop: int) -> dict[str, str]:
    values = {
        "preset": preset or peer.default_preset,
        "quality": f"{quality:g}",
        "gop": str(gop),
    }
    return {name: text.format(**values) for name, text in peer.options.items()}


def _encode_packets(
    peer: Peer, frames: Sequence[Frame], fmt: VideoFormat, options: dict[str, str]
) -> list[av.Packet]:
    # SVT-AV1 reports on stderr unless told so here: 1 = errors only.
    os.environ.setdefault("SVT_LOG", "1")
    rate = fmt.frame_rate or _FALLBACK_RATE
    encoder = av.CodecContext.create(peer.encoder, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height = fmt.width, fmt.height
    encoder.pix_fmt = PIXEL_FORMAT[fmt.bit_depth]
    encoder.framerate = rate
    encoder.time_base = 1 / rate
    encoder.options = options
    try:
        encoder.open()
    except av.FFmpegError as error:
        raise UsageError(f"{peer.encoder} refuses {options}") from error
    if encoder.options:  # what the encoder did not recognise is left over
        raise UsageError(f"{peer.encoder} does not know {encoder.options}")
    packets: list[av.Packet] = []
    for index, frame in enumerate(frames):
        picture = to_picture(frame, fmt)
        # Even steps: rate control must not see a source's uneven time stamps.
        picture.pts, picture.time_base = index, 1 / rate
        packets += encoder.encode(picture)
    return packets + encoder.encode(None)


def _filtered(packets: Iterable[av.Packet], description: str, codec: str) -> list[av.Packet]:
    bitstream_filter = av.BitStreamFilterContext(description, codec)
    return [out for packet in [*packets, None] for out in bitstream_filter.filter(packet)]


def _decode(packets: Iterable[av.Packet], peer: Peer) -> Iterator[av.VideoFrame]:
    decoder = av.CodecContext.create(peer.decoder, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    for packet in [*packets, None]:
        yield from decoder.decode(packet)
