"""The classical codecs of PyAV's wheel, and how each is driven.

Each encodes for PSNR where it can be told to, with its own B-frames, scene-cut detection and
threads, in closed GOPs. In its low-delay setting no frame waits for a later one.
"""

import re
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av

from neuralcodec.bench.settings import CodecSetting
from neuralcodec.bench.svt import quiet_svt, usual_scheduling
from neuralcodec.errors import UsageError
from neuralcodec.media.planes import PIXEL_FORMAT
from neuralcodec.video import VideoFormat


@dataclass(frozen=True)
class Peer:
    """How one classical codec is driven; `{preset}`, `{quality}`, `{gop}` are filled in."""

    encoder: str  # FFmpeg's name
    decoder: str
    library: str  # name of its shared library
    default_preset: str
    best: int  # crf values that span about 27..44 dB PSNR-YUV
    worst: int
    bit_depths: tuple[int, ...]
    options: dict[str, str]
    low_delay: dict[str, str]  # options that replace those above
    bitstream_filter: str | None = None  # FFmpeg's description of what to drop from packets


@dataclass(frozen=True)
class PeerOptions:
    """Everything that decides about the bytes that an encoder writes."""

    encoder: str
    values: dict[str, str] = field(hash=False)

    def __str__(self) -> str:
        return " ".join([self.encoder, *(f"{name}={text}" for name, text in self.values.items())])


_X265 = "open-gop=0:info=0:log-level=none"

PEERS = {
    "x264": Peer(
        encoder="libx264",
        decoder="h264",
        library="libx264",
        default_preset="medium",
        best=16,
        worst=46,
        bit_depths=(8, 10),
        options={"preset": "{preset}", "tune": "psnr", "crf": "{quality}", "g": "{gop}"},
        low_delay={"tune": "psnr,zerolatency"},
        # x264 always writes its settings as text (SEI, 0.7 kB): 7 % of a small clip's bytes.
        bitstream_filter="filter_units=remove_types=6",
    ),
    "x265": Peer(
        encoder="libx265",
        decoder="hevc",
        library="libx265",
        default_preset="medium",
        best=14,
        worst=44,
        bit_depths=(8, 10),
        options={
            "preset": "{preset}",
            "tune": "psnr",
            "crf": "{quality}",
            "g": "{gop}",
            "x265-params": _X265,
        },
        # x265 takes one tune only; these are what its zerolatency sets.
        low_delay={
            "x265-params": f"{_X265}:bframes=0:b-adapt=0:rc-lookahead=0:scenecut=0:cutree=0:"
            "frame-threads=1"
        },
    ),
    "svtav1": Peer(
        encoder="libsvtav1",
        decoder="libdav1d",
        library="libSvtAv1Enc",
        default_preset="6",
        best=10,
        worst=63,
        bit_depths=(8, 10),
        options={
            "preset": "{preset}",
            "crf": "{quality}",
            "g": "{gop}",
            "svtav1-params": "tune=1",  # 1 = PSNR
        },
        low_delay={"svtav1-params": "tune=1:pred-struct=1"},  # 1 = low delay
    ),
    "vp9": Peer(
        encoder="libvpx-vp9",
        decoder="vp9",
        library="libvpx",
        default_preset="2",
        best=10,
        worst=63,
        bit_depths=(8,),  # PyAV's libvpx is built without 10 bit
        options={
            "deadline": "good",
            "cpu-used": "{preset}",
            "crf": "{quality}",
            "b": "0",  # a bit rate above 0 would limit the constant quality
            "g": "{gop}",
            "row-mt": "1",
            "lag-in-frames": "25",
            "auto-alt-ref": "1",
        },
        low_delay={"lag-in-frames": "0", "auto-alt-ref": "0"},
    ),
}


def options_of(setting: CodecSetting, quality: float | str, gop: int) -> PeerOptions:
    """The options of one encoding; equal options give equal bytes."""
    peer = PEERS[setting.name]
    shown = quality if isinstance(quality, str) else f"{quality:g}"
    filled = {"preset": setting.preset, "quality": shown, "gop": str(gop)}
    options = peer.options | (peer.low_delay if setting.low_delay else {})
    return PeerOptions(peer.encoder, {k: v.format(**filled) for k, v in options.items()})


def refusal(setting: CodecSetting, fmt: VideoFormat) -> str | None:
    """Why a peer cannot take a video, as a sentence; None if it can."""
    if fmt.width % 2 or fmt.height % 2:
        return f"{setting.name} takes even sizes only, not {fmt.width}x{fmt.height}"
    if fmt.bit_depth not in PEERS[setting.name].bit_depths:
        return f"{setting.name} cannot encode {fmt.bit_depth}-bit video here"
    return None


def check_setting(setting: CodecSetting) -> None:
    """Raises UsageError where the encoder is not there, or does not take the preset."""
    options = options_of(setting, PEERS[setting.name].worst, 1)
    try:
        encoder = av.CodecContext.create(options.encoder, "w")
    except ValueError as error:
        raise UsageError(f"this PyAV has no {options.encoder}; leave out {setting.name}") from error
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width = encoder.height = 64
    encoder.pix_fmt = PIXEL_FORMAT[8]
    encoder.framerate = Fraction(25)
    encoder.options = dict(options.values)
    quiet_svt()
    try:
        encoder.open()
    except av.FFmpegError as error:
        raise UsageError(
            f"{options.encoder} refuses '{options}'; is '{setting.preset}' one of its presets?"
        ) from error
    usual_scheduling()
    if encoder.options:  # what the encoder did not recognise is left over
        raise UsageError(f"{options.encoder} does not know {encoder.options}")


def library_version(setting: CodecSetting) -> str:
    """As the name of the library in PyAV's wheel tells it, and PyAV's own."""
    bundled = Path(av.__file__).parent.parent / "av.libs"
    for library in sorted(bundled.glob(f"{PEERS[setting.name].library}-*")):
        if found := re.search(r"\.so\.([\d.]+)$", library.name):
            return f"{library.name.split('-')[0]}.so.{found[1]} of PyAV {av.__version__}"
    return f"of PyAV {av.__version__}"
