"""Sources with sound, subtitles, fonts and tags, made with FFmpeg alone."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.packet import Packet
from av.stream import Stream

SSA_HEADER = (
    b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\n"
    b"Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, "
    b"Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, "
    b"Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\n"
    b"Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0\n\n"
    b"[Events]\n"
    b"Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
)


def encode_pictures(
    stream: Stream,
    times: Sequence[int] = range(50),
    time_base: Fraction = Fraction(1, 25),
    pixel_format: str = "yuv420p",
) -> list[Packet]:
    """Packets of a pattern that moves with the time stamps."""
    packets = []
    width, height = stream.width, stream.height
    pattern = (np.arange(height * width * 3) % 251).astype(np.uint8).reshape(height, width, 3)
    for time in times:
        rgb = av.VideoFrame.from_ndarray(np.roll(pattern, 5 * time, axis=1).copy(), "rgb24")
        picture = rgb.reformat(format=pixel_format)
        picture.pts, picture.time_base = time, time_base
        packets += stream.encode(picture)
    return packets + stream.encode(None)


def encode_sound(stream: Stream, seconds: float = 2.0) -> list[Packet]:
    """Packets of seeded noise."""
    context = stream.codec_context
    rate, layout = context.sample_rate, context.layout.name
    samples = np.random.default_rng(1).normal(0, 3000, (1, int(2 * rate * seconds)))
    sound = av.AudioFrame.from_ndarray(samples.astype(np.int16), "s16", "stereo")
    sound.sample_rate, sound.pts = rate, 0
    size = context.frame_size or 1024
    resampler = av.AudioResampler(context.format.name, layout, rate, frame_size=size)
    packets = []
    for piece in [*resampler.resample(sound), *resampler.resample(None)]:
        packets += stream.encode(piece)
    return packets + stream.encode(None)


def text_packets(
    stream: Stream, texts: Sequence[bytes], time_base: Fraction = Fraction(1, 1000)
) -> list[Packet]:
    """One packet per second, shown for 0.8 s."""
    packets = []
    for second, text in enumerate(texts):
        packet = av.Packet(text)
        ticks = round(1 / time_base)
        packet.stream, packet.time_base = stream, time_base
        packet.pts = packet.dts = second * ticks
        packet.duration = ticks * 4 // 5
        packet.is_keyframe = True
        packets.append(packet)
    return packets


def mux(container: av.container.OutputContainer, *packets: list[Packet]) -> None:
    """Packets of several streams, interleaved by decoding time."""
    together = [packet for of_stream in packets for packet in of_stream]
    for packet in sorted(together, key=lambda packet: packet.dts * packet.time_base):
        container.mux(packet)


def video_with_sound(
    path: Path,
    codec: str = "aac",
    *,
    video_codec: str = "libx264",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    layout: str = "stereo",
    frames: int = 50,
    metadata: dict[str, str] | None = None,
) -> None:
    """Two seconds at 25 frames per second with B-frames and a keyframe every 12 frames."""
    with av.open(path, "w", options=container_options or {}) as container:
        container.metadata.update(metadata or {})
        coding = {"bf": "2", "g": "12", "preset": "ultrafast", "b-adapt": "0", **(options or {})}
        if video_codec != "libx264":
            coding = options or {}
        video = container.add_stream(video_codec, 25, coding, width=64, height=48)
        # Vorbis is experimental in FFmpeg.
        sound = container.add_stream(codec, 48000, {"strict": "-2"}, layout=layout)
        mux(container, encode_pictures(video, range(frames)), encode_sound(sound, frames / 25))
