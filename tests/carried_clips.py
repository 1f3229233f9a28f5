"""Clips with sound, subtitles, chapters and attachments, made and read with FFmpeg alone."""

import io
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from media_clips import seeded_frames

from neuralcodec.media import open_writer
from neuralcodec.media.planes import to_picture
from neuralcodec.media.stream_parameters import codec_of, make_parameters
from neuralcodec.streams import ATTACHMENT, Chapter, FileTags, OtherStream, StreamPacket
from neuralcodec.video import VideoFormat

VIDEO = VideoFormat(64, 48, Fraction(1, 12800), frame_rate=Fraction(25))
RATE = 48000
SRT = """1
00:00:00,200 --> 00:00:00,900
Hello

2
00:00:01,000 --> 00:00:01,500
<i>world</i>
"""
ASS = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,20

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.10,0:00:01.00,Default,,0,0,0,,Hello
"""
CHAPTERS = (
    Chapter(0, 800, Fraction(1, 1000), (("title", "One"),)),
    Chapter(800, 1600, Fraction(1, 1000), (("title", "Two"),)),
)
FONT = bytes(range(256)) * 300


@dataclass(frozen=True)
class Clip:
    """What is in a file: `streams` and `packets` are what is beside the pictures."""

    streams: tuple[OtherStream, ...]
    packets: tuple[StreamPacket, ...]
    tags: FileTags
    video_times: tuple[Fraction, ...]  # seconds

    def of(self, number: int) -> list[StreamPacket]:
        return [packet for packet in self.packets if packet.stream == number]


def make_source(
    path: Path, sounds: Sequence[str], subtitles: Sequence[str] = (), *, extras: bool = False
) -> None:
    """A clip of 1.6 seconds; the codecs are FFmpeg's encoders, 'srt' and 'ass' for subtitles."""
    with av.open(path, "w") as container:
        video = container.add_stream("mpeg4", 25, time_base=VIDEO.time_base)
        video.width, video.height, video.pix_fmt = VIDEO.width, VIDEO.height, "yuv420p"
        tracks = [container.add_stream(codec, RATE, layout="stereo") for codec in sounds]
        for track, language in zip(tracks, ("eng", "deu", "fra", "spa"), strict=False):
            track.metadata.update({"language": language, "title": f"Sound in {language}"})
        texts = []
        for kind in subtitles:
            text = path.with_suffix(f".{kind}")
            text.write_text(SRT if kind == "srt" else ASS)
            texts.append(av.open(text))
        copies = [container.add_stream_from_template(text.streams[0]) for text in texts]
        if extras:
            container.add_attachment("font.ttf", "font/ttf", FONT)
            container.metadata.update({"title": "A clip", "artist": "Someone"})
            video.metadata["title"] = "The pictures"
            tracks[-1].disposition = av.stream.Disposition.comment
            container.set_chapters(
                [
                    {"id": i, "start": c.start, "end": c.end, "time_base": c.time_base}
                    | {"metadata": dict(c.metadata)}
                    for i, c in enumerate(CHAPTERS)
                ]
            )
        for frame in seeded_frames(VIDEO, range(0, 40 * 512, 512)):
            container.mux(video.encode(to_picture(frame, VIDEO)))
        container.mux(video.encode(None))
        for number, track in enumerate(tracks):
            container.mux(track.encode(_tone(number)))
            container.mux(track.encode(None))
        for text, copy in zip(texts, copies, strict=True):
            for packet in text.demux():
                if packet.size:
                    packet.stream = copy
                    container.mux(packet)
            text.close()


def read_clip(path: Path) -> Clip:
    with av.open(path) as container:
        video = container.streams.video[0]
        # Chapters are a track of text in MP4 too.
        others = [s for s in container.streams if s.type != "video" and codec_of(s) != "bin_data"]
        numbers = {stream.index: number for number, stream in enumerate(others)}
        streams = tuple(_describe(number, stream) for number, stream in enumerate(others))
        packets, times = [], []
        for packet in container.demux():
            if packet.stream is video and packet.pts is not None:
                times.append(packet.pts * packet.time_base)
            elif packet.size and packet.stream.index in numbers:
                packets.append(_packet(numbers[packet.stream.index], packet))
        chapters = tuple(
            Chapter(c["start"], c["end"], c["time_base"], tuple(c["metadata"].items()))
            for c in container.chapters()
        )
        tags = FileTags(
            tuple(container.metadata.items()),
            tuple(video.metadata.items()),
            int(video.disposition),
            chapters,
        )
        return Clip(streams, tuple(packets), tags, tuple(sorted(times)))


def write_clip(path: Path, clip: Clip, fmt: VideoFormat = VIDEO) -> list[str]:
    """The clip's other streams beside new frames at its times; the notices of the writer."""
    times = [round(time / fmt.time_base) for time in clip.video_times]
    frames = seeded_frames(fmt, times)
    half = len(frames) // 2
    middle = clip.video_times[half]
    units = {stream.number: stream.time_base for stream in clip.streams}
    early, late = [], []
    for packet in clip.packets:
        time = (packet.pts or 0) * units.get(packet.stream, 0)
        (early if time < middle else late).append(packet)
    with open_writer(path, fmt, streams=clip.streams, tags=clip.tags) as writer:
        writer.write_packets(early)
        for frame in frames[:half]:
            writer.write(frame)
        writer.write_packets(late)
        for frame in frames[half:]:
            writer.write(frame)
    return writer.notices


def seconds(packets: Sequence[StreamPacket], stream: OtherStream) -> list[Fraction]:
    return [(packet.pts or 0) * stream.time_base for packet in packets]


def pcm_stream(number: int, sample_bytes: int) -> OtherStream:
    """Sound whose packets are samples of one channel, whatever their bytes."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, sample_bytes, RATE, 0, "NONE", ""))
        sound.writeframes(bytes(sample_bytes * RATE))
    file.seek(0)
    with av.open(file) as container:
        return _describe(number, container.streams[0])


def _describe(number: int, stream: av.stream.Stream) -> OtherStream:
    metadata = tuple(stream.metadata.items())
    if stream.type == "attachment":
        return OtherStream(
            number, ATTACHMENT, "", Fraction(1, 1000), metadata=metadata, data=stream.data
        )
    parameters = make_parameters(stream)
    assert parameters is not None
    return OtherStream(
        number,
        stream.type,
        codec_of(stream) or "",
        stream.time_base,
        int(stream.disposition),
        metadata,
        parameters.format,
        parameters.data,
    )


def _packet(number: int, packet: av.Packet) -> StreamPacket:
    return StreamPacket(
        number,
        packet.pts,
        packet.dts,
        packet.duration or 0,
        packet.is_keyframe,
        bytes(packet),
        tuple((data.data_type, bytes(data)) for data in packet.iter_sidedata()),
    )


def _tone(number: int) -> av.AudioFrame:
    rng = np.random.default_rng(number)
    wave = np.sin(np.arange(int(1.6 * RATE)) / (31 + number)) * 9000
    samples = (wave + rng.integers(-800, 800, wave.shape)).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(np.repeat(samples, 2)[None], "s16", "stereo")
    frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
    return frame
