"""What VideoReader gives beside the pictures: streams, packets, covers, fonts."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from source_clips import (
    SSA_HEADER,
    encode_pictures,
    encode_sound,
    mux,
    text_packets,
    video_with_sound,
)

from neuralcodec.errors import DamagedFile, UsageError
from neuralcodec.media import VideoReader
from neuralcodec.media.sources.source import open_source
from neuralcodec.media.sources.source_options import SourceOptions
from neuralcodec.media.stream_parameters import open_parameters
from neuralcodec.streams import ATTACHMENT, AUDIO, SUBTITLE, OtherStream, StreamPacket

ALL = SourceOptions()


def read(
    path: Path, options: SourceOptions = ALL
) -> tuple[tuple[OtherStream, ...], list[StreamPacket], list[str]]:
    """Streams, all packets and notices."""
    packets = []
    with VideoReader(path, options=options) as reader:
        for _ in reader:
            packets += reader.take_packets()
        packets += reader.take_packets()
        return reader.streams, packets, reader.notices


def demuxed(path: Path, index: int) -> list[StreamPacket]:
    """Packets of a stream as PyAV gives them itself, under number 0."""
    with av.open(path) as container:
        return [
            StreamPacket(
                0,
                packet.pts,
                packet.dts,
                packet.duration,
                packet.is_keyframe,
                bytes(packet),
                tuple(
                    (data.data_type, bytes(data))
                    for data in packet.iter_sidedata()
                    if data.data_type != "mpegts_stream_id"
                ),
            )
            for packet in container.demux(index)
            if packet.size
        ]


@pytest.mark.parametrize(
    ("name", "codec", "layout"),
    [
        ("clip.mp4", "aac", "stereo"),
        ("clip.mkv", "aac", "mono"),
        ("clip.ts", "aac", "stereo"),
        ("clip.mp4", "libmp3lame", "stereo"),
        ("clip.avi", "libmp3lame", "stereo"),
        ("clip.mkv", "libopus", "stereo"),
        ("clip.mp4", "libopus", "stereo"),
        ("clip.mkv", "vorbis", "stereo"),
        ("clip.mkv", "ac3", "5.1(side)"),
        ("clip.mp4", "eac3", "stereo"),
        ("clip.mkv", "flac", "stereo"),
        ("clip.mov", "pcm_s24be", "stereo"),
        ("clip.mkv", "pcm_s16le", "stereo"),
        ("clip.mov", "alac", "stereo"),
    ],
)
def test_sound_comes_bit_for_bit_with_all_that_its_decoder_needs(tmp_path, name, codec, layout):
    path = tmp_path / name
    video_with_sound(path, codec, layout=layout, frames=15)
    (stream,), packets, notices = read(path)
    assert stream.kind == AUDIO
    assert notices == []
    expected = demuxed(path, 1)
    assert len(expected) >= 5
    assert packets == expected
    with av.open(path) as container, open_parameters(stream) as template:
        original = container.streams.audio[0]
        assert stream.time_base == original.time_base
        assert stream.codec == original.codec_context.codec.canonical_name
        theirs, ours = original.codec_context, template.codec_context
        assert ours.codec.name == theirs.codec.name
        assert ours.extradata == theirs.extradata
        assert ours.sample_rate == theirs.sample_rate
        assert ours.layout.name == theirs.layout.name


def test_the_samples_to_skip_at_the_beginning_are_known(tmp_path):
    path = tmp_path / "clip.mp4"
    video_with_sound(path, frames=5)
    _, packets, _ = read(path)
    assert packets[0].pts == -1024
    assert packets[0].side_data == (("skip_samples", (1024).to_bytes(4, "little") + bytes(6)),)


def test_the_same_source_makes_the_same_parameters(tmp_path):
    path = tmp_path / "clip.mkv"
    video_with_sound(path, frames=5)
    assert read(path)[0] == read(path)[0]


def subtitled(path: Path, codec: str, texts: list[bytes]) -> None:
    with av.open(path, "w") as container:
        video = container.add_stream("mpeg4", 25, width=32, height=32)
        subtitles = container.add_stream(codec)
        subtitles.codec_context.subtitle_header = SSA_HEADER
        subtitles.time_base = Fraction(1, 1000)
        mux(container, encode_pictures(video, range(30)), text_packets(subtitles, texts))


@pytest.mark.parametrize(
    ("name", "codec", "texts"),
    [
        ("clip.mp4", "mov_text", [b"\0\5Hello", b"\0\2Bo"]),
        ("clip.mkv", "subrip", [b"Hello", b"Bo"]),
        ("clip.mkv", "ass", [b"0,0,Default,,0,0,0,,Hello", b"1,0,Default,,0,0,0,,Bo"]),
        ("clip.mkv", "webvtt", [b"Hello", b"Bo"]),
    ],
)
def test_subtitles_come_bit_for_bit(tmp_path, name, codec, texts):
    path = tmp_path / name
    subtitled(path, codec, texts)
    (stream,), packets, notices = read(path)
    assert (stream.kind, stream.codec) == (SUBTITLE, codec)
    assert notices == []
    assert [packet.data for packet in packets if packet.data in texts] == texts
    assert packets == demuxed(path, 1)
    with av.open(path) as container, open_parameters(stream) as template:
        extradata = container.streams[1].codec_context.extradata
        assert template.codec_context.extradata == extradata


@pytest.mark.parametrize(
    ("codec", "payload"),
    [("klv", bytes.fromhex("060e2b34020b01010e01030101000000020102")), ("timed_id3", b"ID3\4" * 5)],
)
def test_data_streams_of_mpegts_are_carried(tmp_path, codec, payload):
    path = tmp_path / "clip.ts"
    with av.open(path, "w") as container:
        video = container.add_stream("mpeg2video", 25, width=32, height=32)
        data = container.add_data_stream(codec)
        times = text_packets(data, [payload] * 3, Fraction(1, 90000))
        mux(container, encode_pictures(video), times)
    (stream,), packets, notices = read(path)
    assert (stream.kind, stream.codec, notices) == ("data", codec, [])
    assert packets == demuxed(path, 1)
    assert [packet.data for packet in packets] == [payload] * 3
    with open_parameters(stream) as template:
        assert template.name == codec


def test_a_time_code_track_is_left_out_but_its_time_stays_as_a_tag(tmp_path):
    path = tmp_path / "clip.mov"
    with av.open(path, "w") as container:
        video = container.add_stream("mpeg4", 25, width=32, height=32)
        video.metadata["timecode"] = "01:00:00:00"
        mux(container, encode_pictures(video, range(5)))
    with VideoReader(path, options=ALL) as reader:
        assert reader.streams == ()
        (notice,) = reader.notices
        assert "01:00:00:00" in notice
        assert ("timecode", "01:00:00:00") in reader.tags.video_metadata


def with_font_and_cover(path: Path) -> tuple[bytes, bytes]:
    """Writes both and returns them."""
    font = np.random.default_rng(2).bytes(5000)
    jpeg = av.CodecContext.create("mjpeg", "w")
    jpeg.width, jpeg.height, jpeg.pix_fmt = 32, 32, "yuvj420p"
    jpeg.time_base = Fraction(1, 25)
    (packet,) = [*jpeg.encode(av.VideoFrame(32, 32, "yuvj420p")), *jpeg.encode(None)]
    cover = bytes(packet)
    with av.open(path, "w") as container:
        video = container.add_stream("mpeg4", 25, width=32, height=32)
        sound = container.add_stream("aac", 48000, layout="mono")
        container.add_attachment("font.ttf", "font/ttf", font)
        container.add_attachment("cover.jpg", "image/jpeg", cover)
        mux(container, encode_pictures(video, range(10)), encode_sound(sound, 0.4))
    return font, cover


def test_fonts_and_covers_are_attachments(tmp_path):
    path = tmp_path / "clip.mkv"
    font, cover = with_font_and_cover(path)
    streams, packets, notices = read(path)
    assert notices == []
    attached = {stream.codec: stream for stream in streams if stream.kind == ATTACHMENT}
    assert attached["ttf"].data == font
    assert dict(attached["ttf"].metadata) == {"filename": "font.ttf", "mimetype": "font/ttf"}
    assert attached["mjpeg"].data == cover
    assert dict(attached["mjpeg"].metadata)["mimetype"] == "image/jpeg"
    assert attached["mjpeg"].disposition & av.stream.Disposition.attached_pic
    (sound,) = [stream for stream in streams if stream.kind == AUDIO]
    assert {packet.stream for packet in packets} == {sound.number}
    assert [stream.number for stream in streams] == list(range(len(streams)))


@pytest.mark.parametrize("start", [None, Fraction(1)])
def test_the_cover_of_an_mp4_is_an_attachment_too(tmp_path, start):
    path = tmp_path / "clip.mp4"
    with av.open(path, "w") as container:
        video = container.add_stream("mpeg4", 25, width=64, height=48)
        cover = container.add_stream("png", 1, width=32, height=32)
        cover.pix_fmt = "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = [*cover.encode(av.VideoFrame(32, 32, "rgb24")), *cover.encode(None)]
        png = bytes(picture[0])
        mux(container, picture, encode_pictures(video))
    (stream,), packets, notices = read(path, SourceOptions(start=start))
    assert (stream.kind, stream.codec, stream.data) == (ATTACHMENT, "png", png)
    assert dict(stream.metadata)["filename"] == "cover.png"
    assert (packets, notices) == ([], [])


def two_languages(path: Path) -> None:
    with av.open(path, "w") as container:
        container.metadata["title"] = "A film"
        video = container.add_stream("mpeg4", 25, width=32, height=32)
        video.metadata["language"] = "fre"
        sounds = [container.add_stream("aac", 48000, layout="mono") for _ in range(2)]
        for sound, language in zip(sounds, ("eng", "ger"), strict=True):
            sound.metadata["language"] = language
        sounds[1].disposition = av.stream.Disposition.comment
        subtitles = container.add_stream("subrip")
        subtitles.codec_context.subtitle_header = SSA_HEADER
        container.set_chapters(
            [
                {"id": 1, "start": 0, "end": 500, "time_base": Fraction(1, 1000),
                 "metadata": {"title": "One"}},
                {"id": 2, "start": 500, "end": 1000, "time_base": Fraction(1, 1000),
                 "metadata": {"title": "Two"}},
            ]
        )  # fmt: skip
        mux(
            container,
            encode_pictures(video, range(25)),
            *(encode_sound(sound, 1) for sound in sounds),
            text_packets(subtitles, [b"Hello"]),
        )


def test_tags_dispositions_and_chapters_are_read(tmp_path):
    path = tmp_path / "clip.mkv"
    two_languages(path)
    with VideoReader(path, options=ALL) as reader:
        assert reader.tags.metadata == (("title", "A film"),)
        assert reader.tags.video_metadata == (("language", "fre"),)
        english, german, _ = reader.streams
        assert (english.metadata, german.metadata) == (
            (("language", "eng"),),
            (("language", "ger"),),
        )
        assert german.disposition == av.stream.Disposition.comment
        first, second = reader.tags.chapters
    assert (first.start * first.time_base, first.end * first.time_base) == (0, Fraction(1, 2))
    assert second.metadata == (("title", "Two"),)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (SourceOptions(), ["eng", "ger", "text"]),
        (SourceOptions(audio=False), ["text"]),
        (SourceOptions(maps=("0",)), ["eng", "ger", "text"]),
        (SourceOptions(maps=("0:v:0",)), []),
        (SourceOptions(maps=("0:v:0", "0:a")), ["eng", "ger"]),
        (SourceOptions(maps=("0:v", "0:a:1")), ["ger"]),
        (SourceOptions(maps=("0:a:1", "0:v", "0:1")), ["ger", "eng"]),
        (SourceOptions(maps=("0:0", "0:2", "0:s")), ["ger", "text"]),
        (SourceOptions(maps=("0", "-0:a:0")), ["ger", "text"]),
        (SourceOptions(maps=("-0:s",)), ["eng", "ger"]),
        (SourceOptions(maps=("0:v", "0:d?")), []),
        (SourceOptions(maps=("0:v", "0:a"), audio=False), []),
    ],
)
def test_streams_are_chosen_as_by_ffmpegs_map(tmp_path, options, kept):
    path = tmp_path / "clip.mkv"
    two_languages(path)
    streams, packets, _ = read(path, options)
    assert [dict(stream.metadata).get("language", "text") for stream in streams] == kept
    assert {packet.stream for packet in packets} == set(range(len(kept)))


@pytest.mark.parametrize(
    ("maps", "said"),
    [
        (("0:a",), "0 video streams"),
        (("0:v", "-0:v:0"), "0 video streams"),
        (("0:a:7",), "0:a:7 matches no stream"),
        (("1:v",), "1:v is no stream map"),
        (("0:v:first",), "0:v:first is no stream map"),
    ],
)
def test_a_map_that_cannot_be_followed_is_refused(tmp_path, maps, said):
    path = tmp_path / "clip.mkv"
    two_languages(path)
    with pytest.raises(UsageError, match=said):
        VideoReader(path, options=SourceOptions(maps=maps))


def test_a_second_video_is_left_out_with_a_notice_or_chosen_by_a_map(tmp_path):
    path = tmp_path / "clip.mkv"
    with av.open(path, "w") as container:
        sizes = [(64, 48), (32, 32)]
        videos = [container.add_stream("mpeg4", 25, width=w, height=h) for w, h in sizes]
        mux(container, *(encode_pictures(video, range(5)) for video in videos))
    with VideoReader(path, options=ALL) as reader:
        assert reader.format.width == 64
        (notice,) = reader.notices
        assert "stream 0:1" in notice
    with VideoReader(path, options=SourceOptions(maps=("0:v:1",))) as reader:
        assert reader.format.width == 32
        assert reader.notices == []
        assert len(list(reader)) == 5
    with pytest.raises(UsageError, match="2 video streams"):
        VideoReader(path, options=SourceOptions(maps=("0",)))


def test_without_options_only_pictures_are_read(tmp_path):
    path = tmp_path / "clip.mkv"
    two_languages(path)
    with VideoReader(path) as reader:
        assert len(list(reader)) == 25
        assert reader.streams == ()
        assert reader.take_packets() == []


def test_packets_come_with_the_frames_they_lie_beside_however_many_threads_decode(
    tmp_path, monkeypatch
):
    path = tmp_path / "clip.mp4"
    video_with_sound(path)
    counts = []
    for threads in (1, 5):

        def opened(*arguments, threads=threads):
            source = open_source(*arguments)
            source.streams.video.codec_context.thread_count = threads
            return source

        monkeypatch.setattr("neuralcodec.media.reading.reader.open_source", opened)
        with VideoReader(path, options=ALL) as reader:
            counts.append([len(reader.take_packets()) for _ in reader])
            left = len(reader.take_packets())
    assert counts[0] == counts[1]
    assert max(counts[0]) < 15  # of 95: the sound is spread over the frames
    assert left < 20


def test_damaged_parameters_are_refused(tmp_path):
    path = tmp_path / "clip.mkv"
    video_with_sound(path, frames=5)
    (stream,), _, _ = read(path)
    for change in (
        {"parameters": stream.parameters[:40]},
        {"parameters": b""},
        {"codec": "mp3"},
        {"parameters_format": "concat"},
    ):
        with pytest.raises(DamagedFile), open_parameters(replace(stream, **change)):
            pass
