"""Numbered pictures are read from the first one there is, and what is missing is told."""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner, Result

from neuralcodec.cli import main
from neuralcodec.container import ContainerReader


def ncodec(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def picture(name: str, brightness: int = 90, size: tuple[int, int] = (32, 32)) -> None:
    Path(name).parent.mkdir(exist_ok=True)
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt, encoder.time_base = "rgb24", Fraction(1, 25)
    samples = np.full((size[1], size[0], 3), brightness, np.uint8)
    packets = encoder.encode(av.VideoFrame.from_ndarray(samples, "rgb24"))
    Path(name).write_bytes(b"".join(map(bytes, packets)))


def pictures(pattern: str, *numbers: int) -> None:
    for number in numbers:
        picture(pattern % number, 20 + number % 100)


def encoded(pattern: str, *options: object) -> tuple[int, float | None, str]:
    """(frames, frame rate, what was told)."""
    result = ncodec("encode", pattern, "o.nlc", "-y", *options)
    assert result.exit_code == 0, result.stderr
    with Path("o.nlc").open("rb") as file:
        reader = ContainerReader(file, "o.nlc")
        rate = reader.header.format.frame_rate
        return sum(entry.frame_count for entry in reader.index()), rate, result.stderr


@pytest.mark.parametrize(
    ("pattern", "first"), [("g%d.png", 1001), ("h%04d.png", 0), ("h%04d.png", 7), ("i_%d.png", 99)]
)
def test_the_first_number_is_found_in_the_folder(folder: Path, pattern: str, first: int):
    pictures(pattern, first, first + 1, first + 2)
    frames, rate, told = encoded(pattern)
    assert (frames, rate, "warning" in told) == (3, 25, False)


def test_the_first_number_and_the_rate_can_be_said(folder: Path):
    pictures("g%d.png", 1001, 1002, 1003)
    assert encoded("g%d.png", "--start-number", 1002, "--framerate", "10")[:2] == (2, 10)
    told = ncodec("decode", "o.nlc", "o.yuv", "-r", "g%d.png").stderr
    assert "PSNR measured" in told and "differ" not in told and "lacks" not in told


@pytest.mark.parametrize(
    ("numbers", "options", "frames", "message"),
    [
        ((1, 2, 4), (), 2, "breaks off after number 2: number 3 is missing, and 4 is left out"),
        ((1, 2, 5, 6), (), 2, "after number 2: numbers 3 to 4 are missing, and 2 pictures from 5"),
        ((1, 2, 3, 4, 6), (), 4, "after number 4: number 5 is missing"),
        ((1, 3, 4, 6), ("--start-number", 3), 2, "after number 4: number 5 is missing"),
    ],
)
def test_a_hole_is_told_with_its_numbers(
    folder: Path, numbers: tuple[int, ...], options: tuple[object, ...], frames: int, message: str
):
    pictures("p%02d.png", *numbers)
    found, _, told = encoded("p%02d.png", *options)
    assert (found, message in told) == (frames, True)
    strict = ncodec("encode", "p%02d.png", "strict.nlc", "--strict", *options)
    assert (strict.exit_code, message in strict.stderr) == (1, True)
    assert not Path("strict.nlc").exists()


def test_frames_before_a_hole_that_are_enough_are_no_matter(folder: Path):
    pictures("p%d.png", 1, 2, 4)
    assert "warning" not in encoded("p%d.png", "--strict", "-n", 2)[2]


def test_an_empty_picture_is_told_and_those_after_a_damaged_one_are_read(folder: Path):
    pictures("p%d.png", 1, 2, 3, 4)
    Path("p3.png").write_bytes(b"")
    frames, _, told = encoded("p%d.png")
    assert (frames, "after number 2: the next picture is empty" in told) == (2, True)
    Path("p3.png").write_bytes(b"no picture")
    frames, _, told = encoded("p%d.png")
    assert (frames, "damaged (frames lost: 1" in told) == (3, True)


def test_pictures_of_several_sizes_are_scaled_and_told(folder: Path):
    pictures("p%d.png", 1, 2)
    picture("p2.png", 90, (48, 64))
    frames, _, told = encoded("p%d.png")
    assert (frames, "source changes to 48x64: scaled to 32x32" in told) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("k%d.png",), "there is no picture k1.png, or of any other number"),
        (("p%04d.png",), "there is no picture p0001.png, or of any other number"),
        (("p%d.png", "--start-number", 9), "there is no picture p9.png"),
        (("no/p%d.png",), "cannot read no: No such file"),
        (
            ("p1.png", "--start-number", 1),
            "p1.png: --framerate and --start-number are for",
        ),
        (("p1.png", "--framerate", 10), "--framerate also for raw video, with --pix-fmt"),
        (("p%x.png",), "p%x.png does not exist"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(
    folder: Path, arguments: tuple[object, ...], message: str
):
    pictures("p%d.png", 1, 2)
    result = ncodec("encode", arguments[0], "o.nlc", *arguments[1:])
    assert result.exit_code != 0
    assert message in result.stderr and len(result.stderr.splitlines()) == 1
    assert not Path("o.nlc").exists()


def test_percent_signs_in_names_are_as_ffmpeg_has_them_and_folders_may_have_any(folder: Path):
    name = "100%d/rate%%_%3d.png"
    for number in (5, 6):
        picture(f"100%d/rate%_{number:03}.png", number)
    assert encoded(name)[0] == 2
    assert ncodec("decode", "o.nlc", "50%/out%%_%3d.png").exit_code == 1  # no such folder
    Path("50%").mkdir()
    assert ncodec("decode", "o.nlc", "50%/out%%_%3d.png").exit_code == 0
    assert sorted(os.listdir("50%")) == ["out%_001.png", "out%_002.png"]
    assert encoded("50%/out%%_%3d.png")[0] == 2


def test_pictures_that_are_there_are_kept_without_yes_whatever_their_numbers(folder: Path):
    pictures("p%d.png", 1, 2)
    encoded("p%d.png")
    pictures("out%d.png", 2)
    before = Path("out2.png").read_bytes()
    result = ncodec("decode", "o.nlc", "out%d.png")
    assert (result.exit_code, "out2.png already exists" in result.stderr) == (1, True)
    assert (Path("out2.png").read_bytes(), Path("out1.png").exists()) == (before, False)
