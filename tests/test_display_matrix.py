"""How pictures are to be turned or mirrored goes through whole: read, coded, told and written."""

import json
import math
import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from click.testing import CliRunner
from media_clips import encode_clip, seeded_frames
from source_clips import encode_pictures, mux

import neuralcodec
from neuralcodec.cli import main
from neuralcodec.display_matrix import DisplayMatrix, Turn
from neuralcodec.media import VideoReader, open_writer
from neuralcodec.media.sources.source_options import SourceOptions
from neuralcodec.video import VideoFormat

ONE, LAST = 1 << 16, 1 << 30
SINE, COSINE = 32767, 56755  # of 30 degrees, as one phone rounds them
FORMAT = VideoFormat(64, 48, Fraction(1, 25), frame_rate=Fraction(25))


def matrix(a: int, b: int, c: int, d: int, x: int = 0, y: int = 0) -> DisplayMatrix:
    return DisplayMatrix((a, b, 0, c, d, 0, x, y, LAST))


IN_WORDS = {
    "rotated 90° clockwise": matrix(0, ONE, -ONE, 0, 48 * ONE, 0),
    "rotated 90° counter-clockwise": matrix(0, -ONE, ONE, 0, 0, 64 * ONE),
    "rotated 180°": matrix(-ONE, 0, 0, -ONE),
    "mirrored left to right": matrix(-ONE, 0, 0, ONE, 64 * ONE, 0),
    "mirrored top to bottom": matrix(ONE, 0, 0, -ONE, 0, 48 * ONE),
    "mirrored left to right and rotated 90° counter-clockwise": matrix(0, ONE, ONE, 0),
    "mirrored left to right and rotated 90° clockwise": matrix(0, -ONE, -ONE, 0),
    "rotated 30° clockwise": matrix(COSINE, SINE, -SINE, COSINE),
    "rotated 45.5° counter-clockwise": DisplayMatrix.of(Turn(False, -45.5)),
}
SHEAR = matrix(ONE, ONE, 0, ONE)
PERSPECTIVE = DisplayMatrix((ONE, 0, 1 << 20, 0, ONE, 0, 0, 0, LAST))
ZERO, LINE = matrix(0, 0, 0, 0), matrix(ONE, ONE, ONE, ONE)
HUGE = DisplayMatrix((-(2**31),) + (2**31 - 1,) * 8)


def make_source(path: Path, shown: DisplayMatrix) -> Path:
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", 25, {"preset": "ultrafast"}, width=64, height=48)
        stream.set_display_matrix(shown.numbers)
        mux(container, encode_pictures(stream, range(3)))
    return path


def matrix_in(path: Path) -> DisplayMatrix | None:
    """As FFmpeg gives it to a player."""
    with av.open(path) as container:
        for data in next(container.decode(video=0)).side_data:
            if data.type.name == "DISPLAYMATRIX":
                return DisplayMatrix(struct.unpack("=9i", bytes(data)))
    return None


def write(path: Path, shown: DisplayMatrix) -> list[str]:
    fmt = replace(FORMAT, display_matrix=shown)
    with open_writer(path, fmt) as writer:
        for frame in seeded_frames(fmt, range(2)):
            writer.write(frame)
    return writer.notices


@pytest.mark.parametrize("words", IN_WORDS)
def test_a_turn_has_words(words):
    assert str(IN_WORDS[words]) == words


@pytest.mark.parametrize("shown", [SHEAR, PERSPECTIVE, matrix(2 * ONE, 0, 0, ONE), HUGE, ZERO])
def test_what_is_no_turn_is_told_by_its_numbers(shown):
    assert str(shown) == "display matrix " + " ".join(map(str, shown.numbers))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 30, 90, 135.25, 180, -0.5, -90, -179])
def test_the_matrix_of_a_turn_is_that_turn(mirrored, degrees):
    turn = DisplayMatrix.of(Turn(mirrored, degrees)).turn
    assert turn is not None
    assert (turn.mirrored, turn.degrees) == (mirrored, pytest.approx(degrees, abs=0.01))


def test_samples_that_are_wide_by_the_matrix_do_not_hide_its_rotation():
    assert matrix(0, 2 * ONE, -ONE, 0).turn == Turn(False, 90)


@pytest.mark.parametrize("shown", [*IN_WORDS.values(), SHEAR], ids=str)
def test_the_reader_finds_the_whole_matrix(tmp_path, shown):
    with VideoReader(make_source(tmp_path / "clip.mp4", shown)) as reader:
        assert reader.format.display_matrix == shown


def test_scaled_pictures_are_turned_the_same_and_not_moved_by_the_old_size(tmp_path):
    source = make_source(tmp_path / "clip.mp4", IN_WORDS["mirrored left to right"])
    with VideoReader(source, options=SourceOptions(scale=(32, 24))) as reader:
        assert reader.format.display_matrix == matrix(-ONE, 0, 0, ONE)


@pytest.mark.parametrize("shown", [ZERO, LINE])
def test_a_matrix_that_leaves_nothing_to_see_is_ignored_with_a_notice(tmp_path, shown):
    with VideoReader(make_source(tmp_path / "clip.mp4", shown)) as reader:
        assert reader.format.display_matrix is None
        (notice,) = reader.notices
    assert "display matrix" in notice


@pytest.mark.parametrize("extension", ["mp4", "mov"])
@pytest.mark.parametrize("shown", [*IN_WORDS.values(), SHEAR, PERSPECTIVE], ids=str)
def test_mp4_and_mov_hold_every_number(tmp_path, shown, extension):
    path = tmp_path / f"clip.{extension}"
    assert write(path, shown) == []
    assert matrix_in(path) == shown


@pytest.mark.parametrize("words", IN_WORDS)
def test_mkv_turns_and_mirrors_as_before(tmp_path, words):
    path = tmp_path / "clip.mkv"
    assert write(path, IN_WORDS[words]) == []
    before, after = IN_WORDS[words].turn, matrix_in(path).turn
    assert after.mirrored == before.mirrored
    assert math.isclose(after.degrees, before.degrees, abs_tol=0.01)


@pytest.mark.parametrize("shown", [SHEAR, PERSPECTIVE, HUGE])
def test_mkv_says_what_it_cannot_hold(tmp_path, shown):
    (notice,) = write(tmp_path / "clip.mkv", shown)
    assert notice == f"mkv cannot hold how to show the pictures ({shown}): left out"
    assert matrix_in(tmp_path / "clip.mkv") is None


@pytest.mark.parametrize(
    "shown",
    [
        matrix(2 * ONE, 0, 0, 2 * ONE),
        matrix(0, 3 * ONE, -3 * ONE, 0),
        matrix(0, 2 * ONE, -ONE, 0),
        matrix(-ONE // 2, 0, 0, ONE),
        DisplayMatrix((ONE, 0, 0, 0, ONE, 0, 0, 0, LAST // 2)),
    ],
    ids=str,
)
def test_mkv_says_that_it_turns_pictures_but_does_not_scale_them(tmp_path, shown):
    path = tmp_path / "clip.mkv"
    notice = "mkv cannot hold that the pictures are scaled for display: left out"
    assert write(path, shown) == [notice]
    turned = matrix_in(path)
    assert (turned.turn if turned else Turn(False, 0)) == shown.turn


def test_numbers_as_large_as_they_can_be_do_no_harm(tmp_path):
    assert write(tmp_path / "clip.mp4", HUGE) == []
    with VideoReader(tmp_path / "clip.mp4") as reader:
        assert len(list(reader)) == 2


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("shown", [ZERO, LINE])
def test_a_singular_matrix_in_a_file_is_left_out(tmp_path, shown, extension):
    path = tmp_path / f"clip.{extension}"
    (notice,) = write(path, shown)
    assert "left out" in notice
    assert matrix_in(path) is None


@pytest.mark.parametrize("name", ["clip.y4m", "clip.yuv", "clip%d.png"])
def test_formats_without_a_matrix_say_how_pictures_were_to_be_shown(tmp_path, name):
    (notice,) = write(tmp_path / name, IN_WORDS["mirrored left to right"])
    assert "mirrored left to right" in notice


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_as_its_exif_says(tmp_path, orientation):
    """FFmpeg attaches data of a kind to it that PyAV has no name for."""
    plain, path = tmp_path / "plain.jpg", tmp_path / "photo.jpg"
    encode_clip(plain, "mjpeg", "yuvj420p", pts=[0], container_options={"update": "1"})
    entry = struct.pack("<HHII", 0x0112, 3, 1, orientation)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + bytes(4)
    data = plain.read_bytes()
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    path.write_bytes(data[:2] + segment + data[2:])
    with VideoReader(path) as reader:
        shown = reader.format.display_matrix
    expected = [
        "None",
        "mirrored left to right",
        "rotated 180°",
        "mirrored top to bottom",
        "mirrored left to right and rotated 90° counter-clockwise",
        "rotated 90° clockwise",
        "mirrored left to right and rotated 90° clockwise",
        "rotated 90° counter-clockwise",
    ]
    assert str(shown) == expected[orientation - 1]


def test_a_mirrored_video_comes_out_as_it_went_in_and_info_tells(tmp_path):
    shown = IN_WORDS["mirrored left to right"]
    source = make_source(tmp_path / "clip.mp4", shown)
    coded = tmp_path / "clip.nlc"
    neuralcodec.encode(source, coded, preset="fast")
    for name in ("out.mp4", "out.mkv"):
        assert neuralcodec.decode(coded, tmp_path / name).notices == []
        assert matrix_in(tmp_path / name).turn == shown.turn
    told = CliRunner().invoke(main, ["info", str(coded)]).output
    assert "shown    mirrored left to right\n" in told
    figures = json.loads(CliRunner().invoke(main, ["info", str(coded), "--json"]).output)
    assert figures["display_matrix"] == list(shown.numbers)
    with neuralcodec.open(coded) as video:
        assert video.format.display_matrix == shown
