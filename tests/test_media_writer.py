"""What comes out of the writers, and what is left when writing fails."""

import io
import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_clips import psnr, same_samples, seeded_frames

from neuralcodec.errors import OutputError, UsageError
from neuralcodec.media import VideoReader, check_output, open_writer
from neuralcodec.video import ColorTags, Frame, VideoFormat

FULL_DISK = Path("/dev/full")
needs_full_disk = pytest.mark.skipif(not FULL_DISK.exists(), reason="no /dev/full here")


def video_format(width: int, height: int, **more: object) -> VideoFormat:
    settings = {"time_base": Fraction(1, 25), "frame_rate": Fraction(25)} | more
    return VideoFormat(width, height, **settings)  # type: ignore[arg-type]


def write(path: Path, fmt: VideoFormat, frames: list[Frame], **more: object) -> list[str]:
    with open_writer(path, fmt, **more) as writer:  # type: ignore[arg-type]
        for frame in frames:
            writer.write(frame)
    return writer.notices


def read(path: Path) -> tuple[VideoFormat, list[Frame]]:
    with VideoReader(path) as reader:
        frames = list(reader)
    assert reader.truncated is None
    return reader.format, frames


def seconds(frames: list[Frame], fmt: VideoFormat) -> list[Fraction]:
    return [frame.pts * fmt.time_base for frame in frames]


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("size", [(32, 48), (17, 19), (35, 31)])
@pytest.mark.parametrize("extension", ["y4m", "mkv"])
def test_lossless_formats_give_back_every_sample(tmp_path, extension, size, depth):
    fmt = video_format(*size, bit_depth=depth)
    frames = seeded_frames(fmt, range(3))
    path = tmp_path / f"clip.{extension}"
    assert write(path, fmt, frames) == []
    got_format, got = read(path)
    assert (got_format.width, got_format.height, got_format.bit_depth) == (*size, depth)
    assert got_format.frame_rate == 25
    assert len(got) == 3
    assert all(same_samples(a, b) for a, b in zip(frames, got, strict=True))
    assert seconds(got, got_format) == seconds(frames, fmt)


@pytest.mark.parametrize("depth", [8, 10])
def test_yuv_is_nothing_but_the_planes_in_order(tmp_path, depth):
    fmt = video_format(17, 19, bit_depth=depth)
    frames = seeded_frames(fmt, range(2))
    path = tmp_path / "clip.yuv"
    write(path, fmt, frames)
    little_endian = "<u1" if depth == 8 else "<u2"
    expected = b"".join(p.astype(little_endian).tobytes() for f in frames for p in f.planes)
    assert path.read_bytes() == expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, b"YUV4MPEG2 W18 H16 F25:1 Ip A0:0 C420mpeg2 XCOLORRANGE=LIMITED\n"),
        (
            {"color": ColorTags(full_range=True), "sample_aspect_ratio": Fraction(16, 15)},
            b"YUV4MPEG2 W18 H16 F25:1 Ip A16:15 C420jpeg XCOLORRANGE=FULL\n",
        ),
        (
            {"bit_depth": 10, "frame_rate": None, "time_base": Fraction(1001, 30000)},
            b"YUV4MPEG2 W18 H16 F30000:1001 Ip A0:0 C420p10 XYSCSS=420P10 XCOLORRANGE=LIMITED\n",
        ),
    ],
)
def test_the_y4m_header_tells_size_rate_aspect_and_range(tmp_path, more, expected):
    fmt = video_format(18, 16, **more)
    path = tmp_path / "clip.y4m"
    write(path, fmt, seeded_frames(fmt, [0]))
    assert path.read_bytes().startswith(expected + b"FRAME\n")


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("extension", ["mp4", "mov"])
def test_mp4_looks_like_the_source(tmp_path, extension, depth):
    fmt = video_format(64, 48, bit_depth=depth)
    frames = seeded_frames(fmt, range(8))
    path = tmp_path / f"clip.{extension}"
    assert write(path, fmt, frames) == []
    got_format, got = read(path)
    assert got_format.bit_depth == depth
    for ours, theirs in zip(frames, got, strict=True):
        for a, b in zip(ours.planes, theirs.planes, strict=True):
            assert psnr(a, b, 2**depth - 1) > 38


@pytest.mark.parametrize("depth", [8, 10])
def test_mp4_of_an_odd_size_is_written_in_full_chroma_and_says_so(tmp_path, depth):
    fmt = video_format(35, 31, bit_depth=depth)
    frames = seeded_frames(fmt, range(3))
    path = tmp_path / "clip.mp4"
    (notice,) = write(path, fmt, frames)
    assert "35x31" in notice
    assert "yuv444p" in notice
    got_format, got = read(path)
    assert (got_format.width, got_format.height) == (35, 31)
    for ours, theirs in zip(frames, got, strict=True):
        assert psnr(ours.y, theirs.y, 2**depth - 1) > 38
        assert psnr(ours.u, theirs.u, 2**depth - 1) > 30


@pytest.mark.parametrize(
    ("extension", "time_base", "pts"),
    [
        ("mp4", Fraction(1, 90000), [0, 3003, 6006, 40000, 40001, 500000]),
        ("mp4", Fraction(1001, 30000), [3, 4, 5, 7]),
        ("mp4", Fraction(1, 1200000), [48000, 96000, 144000]),
        ("mov", Fraction(1, 600), [0, 20, 41, 600]),
        ("mkv", Fraction(1, 1000), [40, 57, 90, 91, 400]),
        ("mkv", Fraction(1, 25), [2, 3, 7]),
    ],
)
def test_time_stamps_come_back_exactly(tmp_path, extension, time_base, pts):
    fmt = video_format(32, 32, time_base=time_base, frame_rate=None)
    frames = seeded_frames(fmt, pts)
    path = tmp_path / f"clip.{extension}"
    assert write(path, fmt, frames) == []
    got_format, got = read(path)
    assert seconds(got, got_format) == [time * time_base for time in pts]


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_a_video_from_before_zero_is_moved_up_whole_and_says_so(tmp_path, extension):
    fmt = video_format(32, 32)
    path = tmp_path / f"clip.{extension}"
    (notice,) = write(path, fmt, seeded_frames(fmt, [-3, -2, 1, 5]))
    assert "before time zero" in notice
    got_format, got = read(path)
    assert seconds(got, got_format) == [Fraction(time, 25) for time in (0, 1, 4, 8)]


def test_mkv_does_not_invent_a_frame_rate(tmp_path):
    fmt = video_format(32, 32, time_base=Fraction(1, 1000), frame_rate=None)
    path = tmp_path / "clip.mkv"
    write(path, fmt, seeded_frames(fmt, range(0, 2000, 100)))
    assert read(path)[0].frame_rate == 10


def test_a_writer_that_cannot_be_opened_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise av.error.FFmpegError(28, "No space left on device")

    monkeypatch.setattr(av, "open", fail)
    with pytest.raises(OutputError, match="No space left"):
        open_writer(tmp_path / "clip.mp4", video_format(32, 32))
    assert list(tmp_path.iterdir()) == []


def test_mkv_rounds_finer_time_stamps_to_milliseconds_and_says_so(tmp_path):
    fmt = video_format(32, 32, time_base=Fraction(1001, 30000))
    path = tmp_path / "clip.mkv"
    (notice,) = write(path, fmt, seeded_frames(fmt, range(4)))
    assert "milliseconds" in notice
    got_format, got = read(path)
    assert seconds(got, got_format) == [Fraction(ms, 1000) for ms in (0, 33, 67, 100)]


def test_y4m_says_that_it_leaves_out_uneven_time_stamps(tmp_path):
    fmt = video_format(32, 32, time_base=Fraction(1, 1000), frame_rate=Fraction(30))
    even = write(tmp_path / "even.y4m", fmt, seeded_frames(fmt, [7, 40, 74, 107]))
    (uneven,) = write(tmp_path / "uneven.y4m", fmt, seeded_frames(fmt, [0, 33, 500]))
    assert even == []
    assert "uneven" in uneven


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv"])
def test_colour_and_aspect_are_carried(tmp_path, extension):
    fmt = video_format(
        32,
        32,
        sample_aspect_ratio=Fraction(4, 3),
        color=ColorTags(primaries=9, transfer=16, matrix=9, full_range=True),
    )
    path = tmp_path / f"clip.{extension}"
    assert write(path, fmt, seeded_frames(fmt, range(2))) == []
    got, _ = read(path)
    assert got.sample_aspect_ratio == Fraction(4, 3)
    # H.264 that does not say where its chroma lies has it at the left.
    assert replace(got.color, chroma_location=0) == fmt.color


@pytest.mark.parametrize(
    ("matrix", "full_range", "red"),
    [(1, False, (63, 102, 240)), (1, True, (54, 99, 255)), (6, False, (81, 90, 240))],
)
@pytest.mark.parametrize("depth", [8, 10])
def test_png_uses_the_matrix_and_range_of_the_video(tmp_path, depth, matrix, full_range, red):
    fmt = video_format(
        17, 19, bit_depth=depth, color=ColorTags(matrix=matrix, full_range=full_range)
    )
    sample_type, scale = (np.uint8, 1) if depth == 8 else (np.uint16, 4)
    sizes = ((19, 17), (10, 9), (10, 9))
    planes = [
        np.full(size, value * scale, sample_type) for size, value in zip(sizes, red, strict=True)
    ]
    write(tmp_path / "red%03d.png", fmt, [Frame(*planes, 0), Frame(*planes, 1)])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["red001.png", "red002.png"]
    with av.open(tmp_path / "red002.png") as container:
        picture = next(container.decode(video=0))
    assert picture.format.name == ("rgb24" if depth == 8 else "rgb48be")
    shown = picture.to_ndarray().astype(float) / (1 if depth == 8 else 257)
    assert shown.shape == (19, 17, 3)
    assert np.abs(shown - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize(("full_range", "level"), [(True, 200), (False, 214)])
def test_png_stretches_limited_range_and_leaves_full_range(tmp_path, full_range, level):
    fmt = video_format(16, 16, color=ColorTags(full_range=full_range))
    luma = np.full((16, 16), 200, np.uint8)
    chroma = np.full((8, 8), 128, np.uint8)
    write(tmp_path / "grey%d.png", fmt, [Frame(luma, chroma, chroma, 0)])
    with av.open(tmp_path / "grey1.png") as container:
        shown = next(container.decode(video=0)).to_ndarray()
    assert np.abs(shown.astype(int) - level).max() <= 1


@pytest.mark.parametrize("name", ["plain.png", "two%d_%d.png"])
def test_a_png_name_needs_one_number(tmp_path, name):
    with pytest.raises(UsageError, match="frame%04d"):
        open_writer(tmp_path / name, video_format(32, 32))


def test_an_unknown_extension_is_refused_and_a_named_format_overrides_it(tmp_path):
    fmt = video_format(32, 32)
    with pytest.raises(UsageError, match="y4m, yuv"):
        check_output(tmp_path / "clip.xyz", overwrite=False)
    write(tmp_path / "clip.xyz", fmt, seeded_frames(fmt, [0]), format="y4m")
    assert (tmp_path / "clip.xyz").read_bytes().startswith(b"YUV4MPEG2")


@pytest.mark.parametrize("name", ["clip.y4m", "clip.mp4", "clip.mkv", "clip%d.png"])
def test_an_existing_output_is_kept_unless_overwriting_is_allowed(tmp_path, name):
    fmt = video_format(32, 32)
    path = tmp_path / name
    existing = tmp_path / name.replace("%d", "1")
    existing.write_bytes(b"precious")
    with pytest.raises(OutputError, match="-y"):
        open_writer(path, fmt)
    assert existing.read_bytes() == b"precious"
    write(path, fmt, seeded_frames(fmt, [0]), overwrite=True)
    assert existing.read_bytes() != b"precious"
    assert list(tmp_path.iterdir()) == [existing]


@pytest.mark.parametrize("name", ["clip.y4m", "clip.mp4", "clip.mkv", "clip%d.png"])
def test_a_failure_half_way_leaves_the_folder_as_it_was(tmp_path, name):
    fmt = video_format(32, 32)
    (tmp_path / "clip1.png").write_bytes(b"precious")
    with (
        pytest.raises(RuntimeError, match="lost interest"),
        open_writer(tmp_path / name, fmt, overwrite=True) as writer,
    ):
        for frame in seeded_frames(fmt, range(3)):
            writer.write(frame)
        raise RuntimeError("lost interest")
    assert [p.name for p in tmp_path.iterdir()] == ["clip1.png"]
    assert (tmp_path / "clip1.png").read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["clip.y4m", "clip.mp4", "clip.mkv", "clip%d.png"])
def test_nothing_has_the_final_name_before_the_end(tmp_path, name):
    fmt = video_format(32, 32)
    with open_writer(tmp_path / name, fmt) as writer:
        writer.write(seeded_frames(fmt, [0])[0])
        assert not list(tmp_path.glob("clip*"))
    assert len(list(tmp_path.glob("clip*"))) == 1


@needs_full_disk
@pytest.mark.parametrize("kind", ["y4m", "yuv", "mp4", "mkv"])
def test_a_full_disk_is_reported_with_the_name_of_the_file(kind):
    fmt = video_format(320, 240)
    with (
        pytest.raises(OutputError, match=r"/dev/full.*space"),
        open_writer(FULL_DISK, fmt, format=kind) as writer,
    ):
        for frame in seeded_frames(fmt, range(2)):
            writer.write(frame)


def test_a_disk_that_fills_up_leaves_nothing_behind(tmp_path):
    # A limit on the size of files stands in for the disk; it holds for a process of its own.
    script = f"""
import resource, signal
from fractions import Fraction
from media_clips import seeded_frames
from neuralcodec.errors import OutputError
from neuralcodec.media import open_writer
from neuralcodec.video import VideoFormat
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
fmt = VideoFormat(64, 64, Fraction(1, 25))
for name in ("clip.y4m", "clip.mkv", "clip.mp4", "clip%d.png"):
    try:
        with open_writer({str(tmp_path)!r} + "/" + name, fmt) as writer:
            for frame in seeded_frames(fmt, range(8)):
                writer.write(frame)
    except OutputError as error:
        assert "cannot write" in str(error) and "clip" in str(error), error
    else:
        raise SystemExit(name + " was written")
"""
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


class Standard:
    """Stands in for sys.stdout."""

    def __init__(self, buffer: io.IOBase):
        self.buffer = buffer


@pytest.mark.parametrize("kind", [None, "yuv"])
def test_standard_output_gets_each_frame_at_once(monkeypatch, kind):
    fmt = video_format(16, 16)
    reading, writing = os.pipe()
    os.set_blocking(reading, False)  # a missing frame is a failure, not a wait
    with open(writing, "wb") as pipe, open(reading, "rb") as reader:
        monkeypatch.setattr(sys, "stdout", Standard(pipe))
        writer = open_writer("-", fmt, format=kind)
        for frame in seeded_frames(fmt, range(2)):
            writer.write(frame)
            samples = b"".join(plane.tobytes() for plane in frame.planes)
            assert reader.read1(65536).endswith(samples)
        writer.close()


def test_a_reader_that_leaves_the_pipe_is_a_broken_pipe(monkeypatch):
    fmt = video_format(16, 16)
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb", buffering=0) as pipe:
        monkeypatch.setattr(sys, "stdout", Standard(pipe))
        with pytest.raises(BrokenPipeError), open_writer("-", fmt) as writer:
            writer.write(seeded_frames(fmt, [0])[0])


@needs_full_disk
def test_a_full_disk_behind_standard_output_is_an_output_error(monkeypatch):
    fmt = video_format(16, 16)
    with FULL_DISK.open("wb", buffering=0) as full:
        monkeypatch.setattr(sys, "stdout", Standard(full))
        with pytest.raises(OutputError, match="standard output"), open_writer("-", fmt) as writer:
            writer.write(seeded_frames(fmt, [0])[0])


def test_formats_that_have_to_seek_do_not_go_to_standard_output():
    check_output("-", overwrite=False)
    check_output("-", overwrite=False, format="mkv")
    with pytest.raises(UsageError, match="standard output"):
        check_output("-", overwrite=False, format="mp4")
