"""What says how to show the pictures comes out as it went in: HDR, chroma, shape, durations."""

import zlib
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import pytest
from av.sidedata.sidedata import Type
from media_clips import seeded_frames

from neuralcodec.media import open_writer
from neuralcodec.media.writing.matroska_header import with_codec_delay
from neuralcodec.streams import Chapter, FileTags
from neuralcodec.video import ColorTags, ContentLight, MasteringDisplay, VideoFormat

DISPLAY = MasteringDisplay(
    ((35400, 14600), (8500, 39850), (6550, 2300)), (15635, 16450), (50, 10_000_000)
)
HDR = VideoFormat(
    64,
    48,
    Fraction(1, 25),
    bit_depth=10,
    frame_rate=Fraction(25),
    sample_aspect_ratio=Fraction(4, 3),
    color=ColorTags(9, 16, 9, chroma_location=3),
    mastering_display=DISPLAY,
    content_light=ContentLight(1000, 400),
)


def write(path: Path, fmt: VideoFormat, pts: tuple[int, ...] = (0, 1, 2)) -> list[str]:
    with open_writer(path, fmt) as writer:
        for frame in seeded_frames(fmt, pts):
            writer.write(frame)
    return writer.notices


def side_data(path: Path) -> dict[Type, list[int]]:
    """Of the first frame, as the 32-bit words of FFmpeg's structures."""
    with av.open(path) as container:
        frame = next(container.decode(video=0))
        return {
            data.type: memoryview(bytes(data)).cast("i").tolist()
            for data in frame.side_data
            if data.type in (Type.MASTERING_DISPLAY_METADATA, Type.CONTENT_LIGHT_LEVEL)
        }


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv"])
def test_hdr10_comes_back(tmp_path, extension):
    path = tmp_path / f"clip.{extension}"
    assert write(path, HDR) == []
    found = side_data(path)
    assert found[Type.CONTENT_LIGHT_LEVEL][:2] == [1000, 400]
    words = found[Type.MASTERING_DISPLAY_METADATA]
    values = [n / d for n, d in zip(words[0:20:2], words[1:20:2], strict=True)]
    chromaticities = [
        v / 50_000 for point in (*DISPLAY.primaries, DISPLAY.white_point) for v in point
    ]
    expected = [*chromaticities, 0.005, 1000]
    assert values == pytest.approx(expected, abs=1e-5)
    assert words[20:22] == [1, 1]  # both are known


def test_a_display_of_which_only_the_luminance_is_known_stays_so_in_mkv(tmp_path):
    part = replace(HDR, mastering_display=MasteringDisplay(None, None, (50, 10_000_000)))
    assert write(tmp_path / "clip.mkv", part) == []
    words = side_data(tmp_path / "clip.mkv")[Type.MASTERING_DISPLAY_METADATA]
    assert words[20:22] == [0, 1]
    (notice,) = write(tmp_path / "clip.mp4", part)
    assert "mastering display" in notice


@pytest.mark.parametrize("location", [1, 2, 3, 4])
def test_mkv_says_where_chroma_lies(tmp_path, location):
    fmt = replace(HDR, color=ColorTags(chroma_location=location))
    assert write(tmp_path / "clip.mkv", fmt) == []
    # ChromaSitingHorz and ChromaSitingVert: 1 = with the first luma sample, 2 = half way
    across, down = {1: (1, 2), 2: (2, 2), 3: (1, 1), 4: (2, 1)}[location]
    content = (tmp_path / "clip.mkv").read_bytes()
    assert bytes.fromhex("55b781") + bytes([across]) in content
    assert bytes.fromhex("55b881") + bytes([down]) in content


def test_mkv_says_that_it_cannot_tell_chroma_of_the_bottom(tmp_path):
    fmt = replace(HDR, color=ColorTags(chroma_location=5))
    (notice,) = write(tmp_path / "clip.mkv", fmt)
    assert "chroma location" in notice
    assert write(tmp_path / "clip.mp4", fmt) == []


@pytest.mark.parametrize("ratio", [Fraction(4, 3), Fraction(64, 45), Fraction(1, 2)])
@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_the_shape_of_pixels_comes_back(tmp_path, extension, ratio):
    path = tmp_path / f"clip.{extension}"
    assert write(path, replace(HDR, sample_aspect_ratio=ratio)) == []
    with av.open(path) as container:
        assert container.streams.video[0].sample_aspect_ratio == ratio
        assert "title" not in container.streams.video[0].metadata  # the filling is gone


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv"])
def test_frames_of_uneven_length_are_shown_at_their_times(tmp_path, extension):
    fmt = replace(HDR, time_base=Fraction(1, 1000), frame_rate=None)
    pts = (0, 40, 300, 340, 900)
    assert write(tmp_path / f"clip.{extension}", fmt, pts) == []
    with av.open(tmp_path / f"clip.{extension}") as container:
        stream = container.streams.video[0]
        times = sorted(p.pts * p.time_base for p in container.demux(stream) if p.pts is not None)
        assert times == [Fraction(t, 1000) for t in pts]
        # The last frame lasts as long as the shortest before it.
        assert container.duration == 940_000


def test_what_is_no_matroska_file_gets_no_delay():
    assert with_codec_delay(b"", 1) == b""
    assert with_codec_delay(bytes(100), 1) == bytes(100)


def test_forged_parameters_in_matroska_do_no_harm():
    file = BytesIO()
    with av.open(file, "w", format="matroska") as container:
        container.add_stream("libopus", 48000)
        container.start_encoding()
    data = file.getvalue()
    for place in range(len(data)):
        for byte in (b"\0", b"\1", b"\xff"):
            forged = data[:place] + byte + data[place + 1 :]
            assert isinstance(with_codec_delay(forged, 1), bytes)
    assert with_codec_delay(b"\x1a\x45\xdf\xa3\x80" + b"\xff" * 20, 1)[:4] == b"\x1a\x45\xdf\xa3"


def test_the_tracks_of_an_mkv_keep_their_length_and_get_a_right_checksum(tmp_path):
    write(tmp_path / "clip.mkv", HDR)
    content = (tmp_path / "clip.mkv").read_bytes()
    start = content.rindex(bytes.fromhex("1654ae6b"))
    size = int.from_bytes(content[start + 4 : start + 6], "big") & 0x3FFF
    body = content[start + 6 : start + 6 + size]
    assert body[:2] == b"\xbf\x84"
    assert int.from_bytes(body[2:6], "little") == zlib.crc32(body[6:])


@pytest.mark.parametrize("title", ["Pictures", "Bilder: größer", "cut\0off", "long " * 60])
def test_any_title_of_the_video_comes_back_beside_what_is_added(tmp_path, title):
    path = tmp_path / "clip.mkv"
    tags = FileTags(video_metadata=(("title", title),))
    with open_writer(path, HDR, tags=tags) as writer:
        writer.write(seeded_frames(HDR, [0])[0])
    with av.open(path) as container:
        assert container.streams.video[0].metadata["title"] == title.split("\0")[0]
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_chapters_without_a_usable_end_do_not_spoil_the_file(tmp_path, extension):
    chapters = (Chapter(-5, 10, Fraction(1, 10)), Chapter(20, -(2**63), Fraction(1, 10)))
    path = tmp_path / f"clip.{extension}"
    with open_writer(path, HDR, tags=FileTags(chapters=chapters)) as writer:
        for frame in seeded_frames(HDR, range(0, 75, 25)):
            writer.write(frame)
    with av.open(path) as container:
        starts = [c["start"] * c["time_base"] for c in container.chapters()]
    assert starts == [0, 2]
