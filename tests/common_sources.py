"""Files as phones, cameras and recorders write them, made by FFmpeg alone from the bundled clip."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange
from codec_clips import CITY

SAMPLE_RATE = 48000


@dataclass(frozen=True)
class AudioTrack:
    codec: str
    layout: str = "stereo"
    language: str = "und"


@dataclass(frozen=True)
class SourceClip:
    """What to make. PTS are in `time_base`."""

    name: str  # with the extension, which chooses the container
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    size: tuple[int, int] = (96, 64)
    pts: Sequence[int] = range(8)
    time_base: Fraction = Fraction(1, 25)
    options: dict[str, str] = field(default_factory=dict)
    audio: tuple[AudioTrack, ...] = ()
    subtitles: str | None = None  # codec
    rotation: int = 0
    color: tuple[int, int, int] | None = None  # primaries, transfer, matrix
    full_range: bool = False
    interlaced: bool = False
    chapters: bool = False
    attachment: bool = False


def make_source(folder: Path, clip: SourceClip) -> Path:
    path = folder / clip.name
    with av.open(path, "w") as container:
        container.metadata["title"] = "City by day"
        video = container.add_stream(clip.codec, 25, clip.options, time_base=clip.time_base)
        video.width, video.height = clip.size
        video.pix_fmt = clip.pixel_format
        context = video.codec_context
        if clip.color:
            context.color_primaries, context.color_trc, context.colorspace = clip.color
        if clip.full_range:
            context.color_range = ColorRange.JPEG
        if clip.interlaced:
            context.flags |= av.codec.context.Flags.interlaced_dct
        if clip.rotation:
            video.set_display_rotation(clip.rotation)
        sound = [_add_audio(container, track) for track in clip.audio]
        subtitles = container.add_mux_stream(clip.subtitles) if clip.subtitles else None
        if subtitles is not None:
            subtitles.time_base = Fraction(1, 1000)
            subtitles.metadata["language"] = "deu"
        if clip.attachment:
            container.add_attachment("font.ttf", "font/ttf", bytes(range(256)) * 5)
        if clip.chapters:
            container.set_chapters(_chapters(clip))
        container.start_encoding()
        for picture in _pictures(clip):
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        for stream in sound:
            for samples in _samples(stream, float(max(clip.pts) * clip.time_base)):
                container.mux(stream.encode(samples))
            container.mux(stream.encode(None))
        if subtitles is not None:
            container.mux(_subtitle(subtitles, clip.subtitles == "mov_text"))
    return path


def _pictures(clip: SourceClip) -> list[av.VideoFrame]:
    pictures: list[av.VideoFrame] = []
    with av.open(CITY) as city:
        for picture, time in zip(city.decode(video=0), clip.pts, strict=False):
            width, height = clip.size
            scaled = picture.reformat(width, height, clip.pixel_format)
            scaled.pts, scaled.time_base = time, clip.time_base
            pictures.append(scaled)
    return pictures


def _add_audio(container: av.container.OutputContainer, track: AudioTrack) -> av.AudioStream:
    stream = container.add_stream(track.codec, SAMPLE_RATE, layout=track.layout)
    stream.metadata["language"] = track.language
    return stream


def _samples(stream: av.AudioStream, seconds: float) -> list[av.AudioFrame]:
    """A tone that differs from channel to channel, in frames of the codec's size."""
    context = stream.codec_context
    length = context.frame_size or 1024
    channels = context.layout.nb_channels
    count = max(3, round(seconds * SAMPLE_RATE / length))
    frames = []
    for number in range(count):
        at = np.arange(number * length, (number + 1) * length) / SAMPLE_RATE
        tones = [np.sin(2 * np.pi * 220 * (c + 1) * at) / 3 for c in range(channels)]
        frame = av.AudioFrame.from_ndarray(np.array(tones, np.float32), "fltp", context.layout.name)
        frame.sample_rate = SAMPLE_RATE
        frame.pts, frame.time_base = number * length, Fraction(1, SAMPLE_RATE)
        resampler = av.AudioResampler(context.format.name, context.layout.name, SAMPLE_RATE)
        frames += resampler.resample(frame)
    return frames


def _subtitle(stream: av.stream.Stream, is_mov_text: bool) -> av.Packet:
    text = b"Good morning"
    packet = av.Packet(len(text).to_bytes(2, "big") + text if is_mov_text else text)
    packet.stream, packet.time_base = stream, Fraction(1, 1000)
    packet.pts = packet.dts = 40
    packet.duration = 120
    packet.is_keyframe = True
    return packet


def _chapters(clip: SourceClip) -> list[dict[str, object]]:
    return [
        {
            "id": number + 1,
            "start": 100 * number,
            "end": 100 * (number + 1),
            "time_base": Fraction(1, 1000),
            "metadata": {"title": title},
        }
        for number, title in enumerate(("Dawn", "Noon"))
    ]
