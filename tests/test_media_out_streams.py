"""Sound, subtitles, attachments and chapters come out as they went in."""

import io
import os
import sys
import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.stream import Disposition
from carried_clips import (
    CHAPTERS,
    FONT,
    VIDEO,
    Clip,
    make_source,
    read_clip,
    seconds,
    write_clip,
)
from media_clips import seeded_frames

from neuralcodec.media import VideoReader, open_writer
from neuralcodec.media.stream_parameters import codec_of, make_parameters
from neuralcodec.streams import ATTACHMENT, AUDIO, DATA, FileTags, OtherStream, StreamPacket

ODD = Path(__file__).parent / "odd_sources"
MILLISECOND = Fraction(1, 1000)
SOURCES = {
    "rich.mkv": (("aac", "libopus", "libmp3lame"), ("srt", "ass")),
    "surround.mkv": (("ac3", "flac", "eac3"), ()),
    "clip.mp4": (("aac", "libmp3lame", "libopus"), ()),
    "clip.mov": (("aac", "pcm_s16le", "alac"), ()),
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> dict[str, Clip]:
    folder = tmp_path_factory.mktemp("sources")
    for name, (sounds, subtitles) in SOURCES.items():
        make_source(folder / name, sounds, subtitles, extras=name == "rich.mkv")
    return {name: read_clip(folder / name) for name in SOURCES}


def samples_of(path: Path, number: int) -> bytes:
    """What a player hears of an audio stream, trimmed as the file says."""
    with av.open(path) as container:
        frames = container.decode(audio=number)
        return b"".join(frame.to_ndarray().tobytes() for frame in frames)


def without_audio_priming(clip: Clip) -> Clip:
    return replace(clip, packets=tuple(p for p in clip.packets if (p.pts or 0) >= 0))


@pytest.mark.parametrize("extension", ["mkv", "mp4", "mov"])
@pytest.mark.parametrize("name", SOURCES)
def test_every_packet_comes_back_bit_for_bit_at_its_time(tmp_path, clips, name, extension):
    clip = clips[name]
    path = tmp_path / f"out.{extension}"
    notices = write_clip(path, clip)
    got = read_clip(path)
    left_out = sum("cannot hold" in notice for notice in notices)
    assert len(got.streams) == len(clip.streams) - left_out
    assert [n for n in notices if "cannot hold" not in n and "milliseconds" not in n] == []
    tolerance = MILLISECOND / 2 if extension == "mkv" else 0  # Matroska counts milliseconds
    assert all(
        abs(a - b) <= tolerance for a, b in zip(got.video_times, clip.video_times, strict=True)
    )
    kept = [s for s in clip.streams if not any(f" {s.number} (" in n for n in notices)]
    kept = [s for s in kept if not any("attachment" in n for n in notices) or s.codec]
    for source, copy in zip(kept, got.streams, strict=True):
        assert (copy.kind, copy.codec, copy.data) == (source.kind, source.codec, source.data)
        ours, theirs = clip.of(source.number), got.of(copy.number)
        assert [p.data for p in theirs] == [p.data for p in ours]
        # Each side rounds to its own unit.
        unit = max(source.time_base, copy.time_base) / 2
        for a, b in zip(seconds(ours, source), seconds(theirs, copy), strict=True):
            assert abs(a - b) <= unit


@pytest.mark.parametrize(("source", "extension"), [("clip.mp4", "mp4"), ("clip.mov", "mov")])
def test_in_the_same_container_times_and_durations_are_exactly_the_same(
    tmp_path, clips, source, extension
):
    clip = clips[source]
    write_clip(tmp_path / f"out.{extension}", clip)
    got = read_clip(tmp_path / f"out.{extension}")
    for stream in clip.streams:
        assert got.of(stream.number) == clip.of(stream.number)  # side data too
    assert got.video_times == clip.video_times


@pytest.mark.parametrize("extension", ["mkv", "mp4"])
def test_a_player_hears_the_same_samples(tmp_path, clips, extension):
    make_source(tmp_path / "source.mp4", ["aac", "flac"])
    path = tmp_path / f"out.{extension}"
    write_clip(path, read_clip(tmp_path / "source.mp4"))
    for number in range(2):
        expected = samples_of(tmp_path / "source.mp4", number)
        assert expected
        assert samples_of(path, number) == expected


def test_mkv_keeps_attachments_chapters_titles_languages_and_dispositions(tmp_path, clips):
    clip = clips["rich.mkv"]
    assert write_clip(tmp_path / "out.mkv", clip) == []
    got = read_clip(tmp_path / "out.mkv")
    assert got.streams[-1].data == FONT
    assert dict(got.streams[-1].metadata) == {"filename": "font.ttf", "mimetype": "font/ttf"}
    assert got.tags.chapters == clip.tags.chapters
    assert dict(got.tags.metadata)["title"] == "A clip"
    assert dict(got.tags.metadata)["ARTIST"] == "Someone"
    assert dict(got.tags.video_metadata)["title"] == "The pictures"
    for source, copy in zip(clip.streams, got.streams, strict=True):
        assert copy.disposition == source.disposition
        for key in ("language", "title"):
            assert dict(copy.metadata).get(key) == dict(source.metadata).get(key)


@pytest.mark.parametrize("extension", ["mp4", "mov"])
def test_mp4_keeps_chapters_titles_and_languages(tmp_path, clips, extension):
    clip = clips["rich.mkv"]
    write_clip(tmp_path / f"out.{extension}", clip)
    got = read_clip(tmp_path / f"out.{extension}")
    spans = [(c.start * c.time_base, c.end * c.time_base) for c in got.tags.chapters]
    assert spans == [(c.start * c.time_base, c.end * c.time_base) for c in CHAPTERS]
    assert [dict(c.metadata)["title"] for c in got.tags.chapters] == ["One", "Two"]
    assert dict(got.tags.metadata)["title"] == "A clip"
    assert dict(got.tags.video_metadata)["name"] == "The pictures"
    assert dict(got.streams[0].metadata)["language"] == "eng"
    assert dict(got.streams[0].metadata)["name"] == "Sound in eng"


def test_mov_knows_the_other_code_of_a_language(tmp_path, clips):
    clip = clips["surround.mkv"]
    german = replace(clip.streams[0], metadata=(("language", "deu"),))
    write_clip(tmp_path / "out.mov", replace(clip, streams=(german,)))
    assert dict(read_clip(tmp_path / "out.mov").streams[0].metadata)["language"] == "ger"


def test_the_title_of_an_mp4_track_is_a_title_in_mkv_and_its_brand_is_gone(tmp_path, clips):
    write_clip(tmp_path / "out.mkv", clips["clip.mp4"])
    got = read_clip(tmp_path / "out.mkv")
    assert dict(got.streams[0].metadata)["title"] == "Sound in eng"
    assert not any("brand" in key.lower() for key, _ in got.tags.metadata)


def test_what_a_container_cannot_hold_is_named_with_one_that_can(tmp_path, clips):
    notices = write_clip(tmp_path / "out.mov", clips["rich.mkv"])
    assert notices == [
        "mov cannot hold audio stream 1 (opus, deu) (mp4 or mkv can): left out",
        "mov cannot hold subtitle stream 3 (subrip) (mkv can): left out",
        "mov cannot hold subtitle stream 4 (ass) (mkv can): left out",
        "mov cannot hold attachment font.ttf (mkv can): left out",
    ]


def test_a_stream_that_mp4_refuses_only_at_its_end_does_not_spoil_the_file(tmp_path):
    make_source(tmp_path / "pcm.mkv", ["pcm_s16le", "aac"])  # a layout that mp4 needs is missing
    (notice,) = write_clip(tmp_path / "out.mp4", read_clip(tmp_path / "pcm.mkv"))
    assert "pcm_s16le" in notice
    assert [s.codec for s in read_clip(tmp_path / "out.mp4").streams] == ["aac"]


@pytest.mark.parametrize("name", ["out.y4m", "out.yuv", "out%d.png"])
def test_formats_of_pictures_only_list_what_they_leave_out(tmp_path, clips, name):
    (notice,) = write_clip(tmp_path / name, clips["rich.mkv"])
    assert "3 audio, 2 subtitle, 1 attachment, 2 chapters, the file's tags" in notice
    assert (
        write_clip(
            tmp_path / f"b{name}",
            replace(clips["rich.mkv"], streams=(), packets=(), tags=FileTags()),
        )
        == []
    )


@pytest.mark.parametrize("extension", ["mkv", "mp4"])
def test_video_and_sound_move_up_together(tmp_path, clips, extension):
    clip = clips["clip.mov"]
    early = replace(clip, video_times=tuple(t - Fraction(1, 5) for t in clip.video_times))
    notices = write_clip(tmp_path / f"out.{extension}", early)
    assert any("before time zero" in notice for notice in notices)
    got = read_clip(tmp_path / f"out.{extension}")
    for source, copy in zip(clip.streams, got.streams, strict=True):
        ours = seconds(clip.of(source.number), source)
        theirs = seconds(got.of(copy.number), copy)
        for a, b in zip(ours, theirs, strict=True):
            assert abs((b - got.video_times[0]) - (a - early.video_times[0])) <= MILLISECOND


def damaged(packets: tuple[StreamPacket, ...]) -> tuple[StreamPacket, ...]:
    """The first time missing, one repeated, one far back and one shown before it is decoded."""
    first, *rest = packets
    rest[4] = replace(rest[4], pts=rest[3].pts, dts=rest[3].dts)
    rest[8] = replace(rest[8], pts=0, dts=0)
    assert rest[12].pts is not None
    rest[12] = replace(rest[12], pts=rest[12].pts - 1, dts=rest[12].pts)
    return (replace(first, pts=None, dts=None), *rest)


@pytest.mark.parametrize("extension", ["mkv", "mp4"])
def test_time_stamps_that_go_back_are_repaired_with_a_sentence(tmp_path, clips, extension):
    clip = clips["surround.mkv"]
    flac = clip.streams[1]
    broken = replace(clip, streams=(flac,), packets=damaged(tuple(clip.of(flac.number))))
    (notice,) = write_clip(tmp_path / f"out.{extension}", broken)
    assert "flac" in notice
    assert "missing or go back" in notice
    got = read_clip(tmp_path / f"out.{extension}")
    assert [p.data for p in got.packets] == [p.data for p in broken.packets]
    times = [p.pts for p in got.packets]
    assert times == sorted(times)


def test_packets_of_a_stream_nobody_described_are_dropped(tmp_path, clips):
    clip = clips["clip.mov"]
    stray = replace(clip.packets[0], stream=77)
    write_clip(tmp_path / "out.mkv", replace(clip, packets=(stray, *clip.packets)))
    assert len(read_clip(tmp_path / "out.mkv").packets) == len(clip.packets)


def test_sound_lies_beside_the_pictures_of_its_time(tmp_path, clips):
    clip = clips["clip.mov"]
    write_clip(tmp_path / "out.mkv", clip)
    latest = Fraction(-1)
    with av.open(tmp_path / "out.mkv") as container:
        for packet in container.demux():
            if packet.dts is not None:
                time = packet.dts * packet.time_base
                assert time >= latest - Fraction(1024 + 48, 48000)  # the priming of AAC
                latest = max(latest, time)
    assert latest > 1


class Standard:
    """Stands in for sys.stdout."""

    def __init__(self, buffer: io.IOBase):
        self.buffer = buffer


def test_mkv_goes_through_a_pipe_whole(tmp_path, monkeypatch, clips):
    fmt = replace(VIDEO, sample_aspect_ratio=Fraction(4, 3))
    clip = clips["rich.mkv"]
    reading, writing = os.pipe()
    received: list[bytes] = []
    with open(writing, "wb") as pipe, open(reading, "rb") as reader:
        thread = threading.Thread(target=lambda: received.append(reader.read()))
        thread.start()
        monkeypatch.setattr(sys, "stdout", Standard(pipe))
        with open_writer("-", fmt, format="mkv", streams=clip.streams, tags=clip.tags) as writer:
            writer.write_packets(clip.packets)
            for frame in seeded_frames(fmt, [round(t / fmt.time_base) for t in clip.video_times]):
                writer.write(frame)
        pipe.close()
        thread.join()
    path = tmp_path / "piped.mkv"
    path.write_bytes(received[0])
    got = read_clip(path)
    assert [p.data for p in got.packets if p.stream == 0] == [p.data for p in clip.of(0)]
    assert got.streams[-1].data == FONT
    assert got.video_times == clip.video_times
    with av.open(path) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


def test_mkv_reaches_a_pipe_frame_by_frame(monkeypatch):
    fmt = replace(VIDEO, width=96, height=80)  # all of it fits into the pipe
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with open(writing, "wb") as pipe, open(reading, "rb", buffering=0) as reader:
        monkeypatch.setattr(sys, "stdout", Standard(pipe))
        with open_writer("-", fmt, format="mkv") as writer:
            arrived = []
            for frame in seeded_frames(fmt, range(0, 6 * 512, 512)):
                writer.write(frame)
                arrived.append(len(reader.read(1 << 20) or b""))
    assert all(size > 4000 for size in arrived[3:])


def test_a_stream_of_sound_alone_before_the_first_frame_waits_for_it(tmp_path, clips):
    clip = clips["clip.mov"]
    with open_writer(tmp_path / "out.mp4", VIDEO, streams=clip.streams) as writer:
        for packet in clip.packets:
            writer.write_packets([packet])
        for frame in seeded_frames(VIDEO, [0, 512]):
            writer.write(frame)
    sounds = [s for s in read_clip(tmp_path / "out.mp4").streams if s.kind == AUDIO]
    assert len(sounds) == len(clip.streams)


def packets_in(path: Path) -> dict[str, list[bytes]]:
    """By the kind of stream, as FFmpeg reads them."""
    found: dict[str, list[bytes]] = {}
    with av.open(path) as container:
        for packet in container.demux():
            if packet.size:
                found.setdefault(packet.stream.type, []).append(bytes(packet))
    return found


@pytest.mark.parametrize("extension", ["mp4", "mov"])
def test_subtitles_that_mp4_refuses_packet_by_packet_are_named_and_the_sound_is_kept(
    tmp_path, extension
):
    """Of DVD subtitles Matroska says that they last for 49 days."""
    source = read_clip(ODD / "dvdsub.mkv")
    (notice,) = write_clip(tmp_path / f"out.{extension}", source)
    assert notice == (
        f"{extension} cannot hold subtitle stream 1 (dvd_subtitle) (mkv can): left out"
    )
    found = packets_in(tmp_path / f"out.{extension}")
    assert found["audio"] == [packet.data for packet in source.of(0)]
    assert len(found["video"]) == len(source.video_times)
    assert "subtitle" not in found


def test_dvd_subtitles_stay_in_mkv(tmp_path):
    source = read_clip(ODD / "dvdsub.mkv")
    write_clip(tmp_path / "out.mkv", source)
    found = packets_in(tmp_path / "out.mkv")
    assert found["subtitle"] == [packet.data for packet in source.of(1)]
    with av.open(tmp_path / "out.mkv") as container:  # not the 49 days that the subtitles state
        assert container.duration < 1_000_000


def test_a_late_packet_that_mp4_refuses_costs_itself_and_names_its_own_stream(tmp_path, clips):
    """Even where pictures follow it, which the muxer then complains with."""
    clip = clips["clip.mp4"]
    refused = [packet for packet in clip.of(1) if (packet.pts or 0) * clip.streams[1].time_base > 1]
    packets = tuple(
        replace(packet, duration=1 << 33) if packet is refused[0] else packet
        for packet in clip.packets
    )
    (notice,) = write_clip(tmp_path / "out.mp4", replace(clip, packets=packets))
    assert notice == "mp4 does not take some packets of audio stream 1 (mp3, deu): left out"
    got = read_clip(tmp_path / "out.mp4")
    for number in (0, 2):
        assert [p.data for p in got.of(number)] == [p.data for p in clip.of(number)]
    kept = [packet.data for packet in clip.of(1) if packet is not refused[0]]
    assert [packet.data for packet in got.of(1)] == kept


def data_stream(codec: str) -> tuple[OtherStream, list[StreamPacket]]:
    """Two packets of a codec that only MPEG-TS announces."""
    file = io.BytesIO()
    with av.open(file, "w", format="mpegts") as container:
        container.add_mux_stream(codec).time_base = Fraction(1, 90000)
        packet = av.Packet(b"ID3")
        packet.stream, packet.pts, packet.dts = container.streams[0], 0, 0
        packet.time_base = Fraction(1, 90000)
        container.mux(packet)
    file.seek(0)
    with av.open(file) as container:
        parameters = make_parameters(container.streams[0])
        name = codec_of(container.streams[0])
    assert parameters is not None
    stream = OtherStream(
        0, DATA, name, Fraction(1, 90000), 0, (), parameters.format, parameters.data
    )
    return stream, [StreamPacket(0, t, t, 9000, True, b"ID3") for t in (9000, 90000)]


@pytest.mark.parametrize("has_early_packets", [True, False])
@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv"])
def test_data_that_would_make_the_file_unreadable_is_left_out(
    tmp_path, extension, has_early_packets
):
    stream, packets = data_stream("timed_id3")
    path = tmp_path / f"out.{extension}"
    with open_writer(path, VIDEO, streams=[stream]) as writer:
        if has_early_packets:
            writer.write_packets(packets)
        for frame in seeded_frames(VIDEO, range(0, 3 * 512, 512)):
            writer.write(frame)
        writer.write_packets([] if has_early_packets else packets)
    assert writer.notices == [f"{extension} cannot hold data stream 0 (timed_id3): left out"]
    assert packets_in(path).keys() == {"video"}


def test_packets_of_one_millisecond_do_not_push_each_other_on_in_mkv(tmp_path, clips):
    """TrueHD has 1200 of them a second."""
    clip = clips["surround.mkv"]
    packets = tuple(
        replace(packet, pts=number // 2, dts=number // 2, duration=0)
        for number, packet in enumerate(clip.of(0))
    )
    write_clip(tmp_path / "out.mkv", replace(clip, packets=packets))
    got = read_clip(tmp_path / "out.mkv")
    assert [p.pts for p in got.of(0)] == [p.pts for p in packets]


COVERS = {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png")}


def cover(codec: str) -> OtherStream:
    name, kind = COVERS.get(codec, ("cover.webp", "image/webp"))
    context = av.CodecContext.create(codec if codec in COVERS else "png", "w")
    context.width, context.height, context.time_base = 64, 48, Fraction(1, 25)
    context.pix_fmt = "yuvj420p" if codec == "mjpeg" else "rgb24"
    (packet,) = context.encode(av.VideoFrame(64, 48, context.pix_fmt))
    return OtherStream(
        0,
        ATTACHMENT,
        codec,
        Fraction(1, 90000),
        int(Disposition.attached_pic),
        (("filename", name), ("mimetype", kind)),
        data=bytes(packet),
    )


def write_with(path: Path, stream: OtherStream) -> list[str]:
    with open_writer(path, VIDEO, streams=[stream]) as writer:
        for frame in seeded_frames(VIDEO, range(0, 3 * 512, 512)):
            writer.write(frame)
    return writer.notices


@pytest.mark.parametrize("codec", COVERS)
@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_a_cover_comes_out_as_the_cover(tmp_path, extension, codec):
    stream = cover(codec)
    path = tmp_path / f"out.{extension}"
    assert write_with(path, stream) == []
    with av.open(path) as container:
        (copy,) = [s for s in container.streams if s.disposition & Disposition.attached_pic]
        pictures = [bytes(p) for p in container.demux(copy) if p.size]
        assert codec_of(copy) == codec
    assert pictures == [stream.data]
    with VideoReader(path) as reader:
        assert len(list(reader)) == 3


@pytest.mark.parametrize(
    "stream",
    [
        cover("webp"),
        replace(cover("png"), data=b"no picture"),
        replace(cover("png"), disposition=0),
    ],
    ids=["a codec that MP4 does not know", "no picture", "no cover"],
)
def test_what_is_no_cover_for_mp4_is_named(tmp_path, stream):
    (notice,) = write_with(tmp_path / "out.mp4", stream)
    assert notice.startswith("mp4 cannot hold attachment cover.")
    assert notice.endswith("(mkv can): left out")
    assert packets_in(tmp_path / "out.mp4").keys() == {"video"}


def test_mov_has_no_place_for_a_cover(tmp_path):
    (notice,) = write_with(tmp_path / "out.mov", cover("png"))
    assert notice == "mov cannot hold attachment cover.png (mp4 or mkv can): left out"
