"""How sources end: cut off in the middle, or with a picture that stays."""

import struct
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import pytest
from click.testing import CliRunner
from source_clips import encode_pictures, mux, video_with_sound

import neuralcodec
from neuralcodec.cli import main
from neuralcodec.files.info import read_info
from neuralcodec.files.repair import repair
from neuralcodec.files.time_range import PartOptions
from neuralcodec.media import VideoReader
from neuralcodec.media.reading.picture_times import TimedPictures
from neuralcodec.media.sources.source_options import SourceOptions


@dataclass(frozen=True)
class Kind:
    """A way in which sources are written."""

    extension: str
    sound: str = "aac"
    video: str = "libx264"
    is_live: bool = False  # written to a pipe: nothing at the beginning says how long it is
    options: tuple[tuple[str, str], ...] = ()


FRAGMENTED = Kind("mp4", options=(("movflags", "frag_keyframe+empty_moov"),))
KINDS = [
    FRAGMENTED,
    Kind("mp4", options=(("movflags", "faststart"),)),
    Kind("flv"),
    Kind("flv", is_live=True),
    Kind("mkv"),
    Kind("mkv", is_live=True),
    Kind("ts", "mp2"),
    Kind("mpg", "mp2", "mpeg2video"),
    Kind("ogv", "libopus", "libvpx"),
    Kind("asf", "libmp3lame", "msmpeg4"),
]


def name_of(kind: Kind) -> str:
    return f"{'live ' if kind.is_live else ''}{kind.extension} {dict(kind.options)}".strip(" {}")


class OneWay(BytesIO):
    """What cannot be gone back in, as a pipe."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: object) -> int:
        raise OSError


def source(kind: Kind, tmp_path: Path, frames: int = 50) -> bytes:
    path = tmp_path / f"whole.{kind.extension}"
    options = {"g": "12", "bf": "2", "preset": "ultrafast"} if kind.video == "libx264" else {}
    video_with_sound(
        path,
        kind.sound,
        video_codec=kind.video,
        options=options,
        container_options=dict(kind.options),
        frames=frames,
    )
    if not kind.is_live:
        return path.read_bytes()
    pipe = OneWay()
    with av.open(path) as whole, av.open(pipe, "w", format=whole.format.name[:8]) as copy:
        copies = [copy.add_stream_from_template(stream) for stream in whole.streams]
        for packet in whole.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                copy.mux(packet)
    return pipe.getvalue()


def truncated(path: Path | str) -> str | None:
    with VideoReader(path, options=SourceOptions()) as reader:
        assert sum(1 for _ in reader) > 0
    return reader.truncated


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_a_source_with_sound_that_is_cut_off_is_noticed_wherever_it_is_cut(tmp_path, kind):
    data = source(kind, tmp_path)
    path = tmp_path / f"cut.{kind.extension}"
    path.write_bytes(data)
    assert truncated(path) is None
    for part in (0.51, 0.61, 0.7, 0.8, 0.87):
        path.write_bytes(data[: int(part * len(data))])
        assert str(path) in (truncated(path) or "")


def test_a_cut_between_two_packets_of_a_fragment_is_noticed(tmp_path, piped):
    path = tmp_path / "cut.mp4"
    path.write_bytes(source(FRAGMENTED, tmp_path))
    with av.open(path) as container:
        packets = [packet for packet in container.demux() if packet.size]
    data = path.read_bytes()[: packets[70].pos]
    path.write_bytes(data)
    assert truncated(path) == f"{path} broke off: it is cut off in the middle"
    piped(data)
    assert truncated("-") == "standard input broke off: it is cut off in the middle"


def test_strict_refuses_a_fragmented_file_that_is_cut_off_and_has_sound(tmp_path):
    path, coded = tmp_path / "cut.mp4", tmp_path / "cut.nlc"
    data = source(FRAGMENTED, tmp_path, frames=8)
    path.write_bytes(data[: len(data) * 3 // 5])
    result = CliRunner().invoke(main, ["encode", str(path), str(coded), "--strict"])
    assert result.exit_code == 1
    assert "broke off" in result.stderr
    assert not coded.exists()


def slides(path: Path, options: dict[str, str] | None = None) -> None:
    """Three pictures at 0, 1 and 2 seconds; the last one stays for 5."""
    with av.open(path, "w") as container:
        if path.suffix == ".gif":
            video = container.add_stream("gif", 1, width=64, height=48)
            video.pix_fmt = "rgb8"
            packets = encode_pictures(video, range(3), Fraction(1), "rgb8")
        else:
            video = container.add_stream("libx264", 1, options or {}, width=64, height=48)
            packets = encode_pictures(video, range(3), Fraction(1))
        for packet in packets:
            packet.duration = round((5 if packet is packets[-1] else 1) / packet.time_base)
        mux(container, packets)


SLIDES = [
    ("slides.mp4", {"bf": "0"}),
    ("slides.mov", {"bf": "0"}),
    ("slides.mkv", {"bf": "0"}),
    ("slides.flv", {"bf": "0"}),
]


@pytest.mark.parametrize(("name", "options"), SLIDES)
def test_the_end_of_the_last_picture_is_read(tmp_path, name, options):
    slides(tmp_path / name, options)
    with VideoReader(tmp_path / name, options=SourceOptions()) as reader:
        assert [frame.pts * reader.format.time_base for frame in reader] == [0, 1, 2]
    assert reader.end_pts is not None
    assert reader.end_pts * reader.format.time_base == 7
    assert reader.truncated is None


def test_how_long_the_last_picture_of_a_gif_stays_is_read(tmp_path):
    path = tmp_path / "slides.gif"
    slides(path)
    data = bytearray(path.read_bytes())
    control = data.rindex(b"\x21\xf9\x04")
    data[control + 4 : control + 6] = (500).to_bytes(2, "little")
    path.write_bytes(data)
    with VideoReader(path, options=SourceOptions()) as reader:
        last = [frame.pts for frame in reader][-1]
    assert (reader.end_pts - last) * reader.format.time_base == 5


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts", "clip.avi", "clip.flv"])
def test_nothing_is_said_of_a_last_picture_that_stays_as_long_as_is_usual(tmp_path, name):
    path = tmp_path / name
    video_with_sound(path, "libmp3lame" if name.endswith("avi") else "aac", frames=20)
    with VideoReader(path, options=SourceOptions()) as reader:
        assert sum(1 for _ in reader) == 20
    assert reader.end_pts is None


def test_the_rate_asked_for_holds_for_the_last_picture_too(tmp_path):
    path = tmp_path / "slides.mp4"
    slides(path, {"bf": "0"})
    with VideoReader(path, options=SourceOptions(fps=Fraction(5))) as reader:
        assert [frame.pts for frame in reader] == list(range(35))
    assert reader.end_pts is None


def test_a_picture_is_shown_up_to_the_end_of_the_part_that_is_taken(tmp_path):
    path = tmp_path / "slides.mp4"
    slides(path, {"bf": "0"})
    options = SourceOptions(start=Fraction(1), duration=Fraction(5, 2))
    with VideoReader(path, options=options) as reader:
        assert [frame.pts * reader.format.time_base for frame in reader] == [0, 1]
    assert reader.end_pts * reader.format.time_base == Fraction(5, 2)


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slides")
    slides(folder / "slides.mp4", {"bf": "0"})
    neuralcodec.encode(folder / "slides.mp4", folder / "slides.nlc", gop=2)
    return folder / "slides.nlc"


def seconds(path: Path) -> float:
    """What FFmpeg takes for the length of the video."""
    with av.open(path) as container:
        assert container.streams.video[0].frames in (0, 3)
        return container.duration / 1_000_000


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv"])
def test_the_last_picture_stays_as_long_after_coding(tmp_path, coded, name):
    neuralcodec.decode(coded, tmp_path / name)
    assert seconds(tmp_path / name) == pytest.approx(7)
    with VideoReader(tmp_path / name, options=SourceOptions()) as reader:
        assert [frame.pts * reader.format.time_base for frame in reader] == [0, 1, 2]
    assert reader.end_pts * reader.format.time_base == 7


def test_info_knows_how_long_the_last_picture_stays(coded):
    assert read_info(coded).duration == 7


def test_repairing_keeps_the_end_of_the_last_picture(tmp_path, coded):
    repair(coded, tmp_path / "whole.nlc")
    assert read_info(tmp_path / "whole.nlc").duration == 7


@pytest.mark.parametrize(
    ("part", "length"),
    [
        (PartOptions(start=Fraction(1)), 6),
        (PartOptions(start=Fraction(2)), 5),
        (PartOptions(duration=Fraction(4)), 4),
        (PartOptions(frames=2), 2),
    ],
    ids=str,
)
def test_a_part_ends_with_the_last_picture_or_with_its_time(tmp_path, coded, part, length):
    path = tmp_path / "part.mkv"
    neuralcodec.decode(coded, path, part=part)
    with av.open(path) as container:
        first = next(container.decode(video=0))
        assert container.duration / 1_000_000 - first.time == pytest.approx(length)


def test_y4m_says_that_it_cannot_hold_how_long_the_last_picture_stays(tmp_path, coded):
    summary = neuralcodec.decode(coded, tmp_path / "out.y4m")
    assert any("the uneven time stamps" in notice for notice in summary.notices)


def test_a_picture_that_is_too_long_for_mp4_is_named_with_what_to_do(tmp_path):
    path, coded = tmp_path / "fine.nut", tmp_path / "fine.nlc"
    unit = Fraction(1, 10**9)
    with av.open(path, "w") as container:
        video = container.add_stream("ffv1", 25, width=32, height=32)
        video.time_base = video.codec_context.time_base = unit
        mux(container, encode_pictures(video, [0, 40_000_000, 5_040_000_000], unit))
    neuralcodec.encode(path, coded)
    with pytest.raises(neuralcodec.NcodecError, match=r"shown for 5 seconds; write mkv"):
        neuralcodec.decode(coded, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()
    neuralcodec.decode(coded, tmp_path / "out.mkv")


def test_a_run_that_goes_on_writes_the_end_of_the_last_picture(tmp_path, coded):
    path = coded.with_name("slides.mp4")
    neuralcodec.encode(path, tmp_path / "again.nlc", gop=2, resumable=True)
    assert (tmp_path / "again.nlc").read_bytes() == coded.read_bytes()


def with_tag(path: Path, tag: str) -> None:
    """Three slides in Matroska, over a duration that says how long their track is."""
    slides(path, {"bf": "0"})
    data = path.read_bytes()
    written = b"00:00:07.000000000\0"
    assert data.count(written) == 1
    path.write_bytes(data.replace(written, tag.encode().ljust(len(written), b"\0")))


@pytest.mark.parametrize(
    "tag",
    [
        "0:0:1e999999999",
        "0:0:1e400",
        "00:30:00",
        "9999999999999:00:00",
        "00:00:1/3",
        "-1:00:00",
        "00:00:1_0",
        "00:00:\u0667",
        "",
    ],
)
def test_a_tag_that_is_no_duration_or_an_impossible_one_says_nothing_of_the_end(tmp_path, tag):
    path = tmp_path / "slides.mkv"
    with_tag(path, tag)
    with VideoReader(path, options=SourceOptions()) as reader:
        assert [frame.pts * reader.format.time_base for frame in reader] == [0, 1, 2]
        assert reader.frame_count_hint == 7
    assert reader.end_pts is not None
    assert reader.end_pts * reader.format.time_base == 7
    assert reader.truncated is None


def test_an_end_that_no_file_can_hold_does_not_count_for_the_rate(tmp_path, monkeypatch):
    path = tmp_path / "slides.mkv"
    slides(path, {"bf": "0"})
    monkeypatch.setattr(TimedPictures, "end_pts", lambda _: 1 << 70)
    summary = neuralcodec.encode(path, tmp_path / "coded.nlc")
    assert summary.bitrate == pytest.approx(8 * summary.bytes / 3)


def test_a_duration_that_no_video_has_is_not_told_in_figures(tmp_path):
    path = tmp_path / "slides.mkv"
    with_tag(path, "")
    data = bytearray(path.read_bytes())
    stated = data.index(b"\x44\x89\x88") + 3
    data[stated : stated + 8] = struct.pack(">d", 1e15)
    path.write_bytes(data[: data.rindex(b"\x1c\x53\xbb\x6b") - 9])
    assert truncated(path) == f"{path} broke off: it is cut off in the middle"


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov", "clip.y4m"])
def test_what_the_process_logs_is_left_alone_where_no_stream_can_come_late(
    tmp_path, monkeypatch, name
):
    path = tmp_path / name
    with av.open(path, "w") as container:
        codec = "wrapped_avframe" if name.endswith("y4m") else "mpeg4"
        video = container.add_stream(codec, 25, width=32, height=32)
        mux(container, encode_pictures(video, range(3)))
    monkeypatch.setattr(av.logging, "set_level", None)
    assert truncated(path) is None
