"""Files of every common container and codec through `encode` and `decode`, compared with FFmpeg."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.sidedata.sidedata import Type
from av.video.reformatter import ColorRange
from common_sources import AudioTrack, SourceClip, make_source

import neuralcodec
from neuralcodec.media import SourceOptions, VideoReader, open_writer

MILLISECOND = Fraction(1, 1000)  # Matroska's unit of time: all that it can say
NO_SUBTITLE = bytes(2)
HDR10 = (
    "log-level=none:repeat-headers=1:max-cll=1000,400:"
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
)
BT709, BT2020_PQ, BT601 = (1, 1, 1), (9, 16, 9), (6, 6, 6)

SOURCES = [
    SourceClip("phone.mp4", options={"bf": "2", "g": "6"}, audio=(AudioTrack("aac"),), color=BT709),
    SourceClip(
        "hdr.mkv",
        "libx265",
        "yuv420p10le",
        audio=(AudioTrack("flac", "mono", "eng"), AudioTrack("ac3", "5.1", "deu")),
        options={"x265-params": HDR10},
        subtitles="subrip",
        chapters=True,
        attachment=True,
        color=BT2020_PQ,
    ),
    SourceClip("web.webm", "libvpx-vp9", audio=(AudioTrack("libopus"),), color=BT601),
    SourceClip("av1.mkv", "libsvtav1", audio=(AudioTrack("libopus"),), color=BT709),
    SourceClip("av1.mp4", "libsvtav1", audio=(AudioTrack("aac", "5.1"),)),
    SourceClip("tv.ts", "mpeg2video", interlaced=True, audio=(AudioTrack("mp2"),), color=BT601),
    SourceClip(
        "camera.avi",
        "mjpeg",
        "yuvj420p",
        full_range=True,
        audio=(AudioTrack("pcm_s16le", "mono"),),
    ),
    SourceClip(
        "phone.mov",
        rotation=90,
        audio=(AudioTrack("pcm_s16le"), AudioTrack("aac")),
        subtitles="mov_text",
    ),
    SourceClip("vfr.mkv", pts=(0, 1, 2, 5, 9, 10, 17, 18), audio=(AudioTrack("libmp3lame"),)),
    SourceClip("odd.mkv", "ffv1", size=(17, 19)),
    SourceClip("hd.mp4", size=(1920, 1080), pts=range(3)),
    SourceClip("old.avi", "mpeg4", options={"bf": "2"}, audio=(AudioTrack("libmp3lame"),)),
]


@dataclass(frozen=True)
class Coded:
    clip: SourceClip
    path: Path
    coded: Path
    made: neuralcodec.EncodeSummary


@dataclass(frozen=True)
class Track:
    """A stream beside the video, as FFmpeg demuxes it."""

    codec: str
    language: str | None
    packets: list[bytes]
    times: list[Fraction]  # seconds


@dataclass(frozen=True)
class Contents:
    times: list[Fraction]  # of the pictures, in seconds
    color: tuple[object, ...]
    light: list[tuple[str, bytes]]  # mastering display and content light, as FFmpeg has them
    rotation: int
    aspect: Fraction
    tracks: list[Track]
    chapters: list[tuple[Fraction, Fraction, str]]
    attachments: list[bytes]
    title: str | None


def contents_of(path: Path) -> Contents:
    """By FFmpeg alone; a player would find the same."""
    with av.open(path) as file:
        video = file.streams.video[0]
        pictures = list(file.decode(video))
        times = [picture.pts * video.time_base for picture in pictures]
        context = video.codec_context
        color = (
            context.color_primaries,
            context.color_trc,
            context.colorspace,
            # "limited" and nothing said are shown alike
            context.color_range == ColorRange.JPEG,
        )
        light = [
            (data.type.name, bytes(data))
            for data in pictures[0].side_data
            if data.type in (Type.MASTERING_DISPLAY_METADATA, Type.CONTENT_LIGHT_LEVEL)
        ]
        rotation = pictures[0].rotation
        aspect = Fraction(video.sample_aspect_ratio or 1)
        chapters = [
            (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]["title"])
            for c in file.chapters()
        ]
        attachments = [s.data for s in file.streams.attachments]
        title = file.metadata.get("title") or file.metadata.get("TITLE")
    with av.open(path) as file:
        others = [s for s in file.streams if s.type in ("audio", "subtitle")]
        packets: dict[int, list[av.Packet]] = {s.index: [] for s in others}
        for packet in file.demux(others) if others else ():
            # MP4 fills the time between two subtitles with empty ones of its own making.
            if packet.size and bytes(packet) != NO_SUBTITLE:
                packets[packet.stream.index].append(packet)
        tracks = [
            Track(
                s.codec_context.codec.canonical_name,
                s.metadata.get("language"),
                [bytes(p) for p in packets[s.index]],
                [p.pts * s.time_base for p in packets[s.index]],
            )
            for s in others
        ]
    return Contents(
        times, color, sorted(light), rotation, aspect, tracks, chapters, attachments, title
    )


def fits(track: Track, container: str) -> bool:
    """Whether FFmpeg's muxer of that container takes such a stream."""
    if container == "mkv":
        return track.codec != "mov_text"
    return track.codec not in ("subrip", "ass")


def named_in(container: str, codec: str) -> str:
    """MP4 and MOV have one number for both layers of MPEG audio."""
    return "mp3" if container != "mkv" and codec == "mp2" else codec


@pytest.fixture(scope="module", params=SOURCES, ids=lambda clip: clip.name)
def coded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Coded:
    clip: SourceClip = request.param
    folder = tmp_path_factory.mktemp("source")
    source = make_source(folder, clip)
    made = neuralcodec.encode(source, folder / "coded.nlc", quality=40)
    return Coded(clip, source, folder / "coded.nlc", made)


@pytest.mark.parametrize("container", ["mkv", "mp4"])
def test_what_comes_out_is_what_went_in(coded: Coded, container: str, tmp_path: Path):
    if coded.clip.size[0] % 2 and container == "mp4":
        container = "mov"  # both sides of the writer for odd sizes
    result = tmp_path / f"decoded.{container}"
    # A reference in interlaced frames shows them as they are, where the encoder did not.
    reference = None if coded.clip.interlaced else coded.path
    shown = neuralcodec.decode(coded.coded, result, reference=reference)
    before, after = contents_of(coded.path), contents_of(result)
    tick = MILLISECOND if container == "mkv" else Fraction(0)

    assert len(after.times) == len(before.times) == shown.frames
    times = before.times
    if coded.clip.name == "old.avi":  # holds no times: FFmpeg takes those of other pictures
        times = [time - times[0] for time in times]
    for one, other in zip(times, after.times, strict=True):
        assert abs(one - other) <= tick

    assert after.color == before.color
    assert sorted(name for name, _ in after.light) == sorted(name for name, _ in before.light)
    assert len(before.light) == (2 if coded.clip.name == "hdr.mkv" else 0)
    assert after.rotation == before.rotation
    assert after.aspect == before.aspect

    kept = [t for t in before.tracks if fits(t, container)]
    assert [t.codec for t in after.tracks] == [named_in(container, t.codec) for t in kept]
    for one, other in zip(kept, after.tracks, strict=True):
        assert other.packets == one.packets, f"the packets of {one.codec} differ"
        assert other.language in (one.language, None, "und")
        for a, b in zip(one.times, other.times, strict=True):
            assert abs(a - b) <= MILLISECOND
    lost = len(before.tracks) - len(kept)
    if container != "mkv":
        lost += len(before.attachments)
    assert sum("left out" in notice for notice in shown.notices) == lost, shown.notices
    assert after.chapters == before.chapters
    if container == "mkv":
        assert after.attachments == before.attachments
    assert after.title == before.title

    assert shown.recorded is not None
    assert shown.recorded.psnr_yuv == pytest.approx(coded.made.psnr_yuv, abs=0.01)
    if reference:
        assert shown.measured is not None
        assert shown.measured.psnr_yuv == pytest.approx(coded.made.psnr_yuv, abs=0.01)


def test_pictures_are_coded_as_well_as_without_a_container(coded: Coded, tmp_path: Path):
    """The same pictures as a bare Y4M give the same PSNR and the same bytes of video."""
    bare = tmp_path / "bare.y4m"
    with (
        VideoReader(coded.path, options=SourceOptions(audio=False)) as reader,
        open_writer(bare, reader.format) as writer,
    ):
        for frame in reader:
            writer.write(frame)
    again = neuralcodec.encode(bare, tmp_path / "bare.nlc", quality=40)
    assert again.frames == coded.made.frames
    assert again.psnr_yuv == pytest.approx(coded.made.psnr_yuv, abs=1e-6)
    assert again.video_bytes == pytest.approx(coded.made.video_bytes, abs=8 * again.frames)


def test_interlaced_and_full_chroma_sources_are_converted_with_one_notice(tmp_path: Path):
    for clip, word in (
        (SourceClip("tv.ts", "mpeg2video", interlaced=True, pts=range(4)), "interlaced"),
        (SourceClip("studio.mov", "mjpeg", "yuvj422p", pts=range(2)), "yuvj422p"),
        (SourceClip("screen.mov", "png", "rgb24", pts=range(2)), "rgb24"),
        (SourceClip("grey.mkv", "ffv1", "gray", pts=range(2)), "gray"),
        (SourceClip("logo.mkv", "ffv1", "yuva420p", pts=range(2)), "yuva420p"),
    ):
        made = neuralcodec.encode(make_source(tmp_path, clip), tmp_path / f"{clip.name}.nlc")
        assert len(made.notices) == 1, made.notices
        assert word in made.notices[0]
