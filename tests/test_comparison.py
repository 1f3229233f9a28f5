"""`decode --reference` compares each frame with the picture it was made from."""

import json
from pathlib import Path

import av
import pytest
from click.testing import CliRunner, Result
from source_clips import encode_pictures, mux, video_with_sound

from neuralcodec.cli import main
from neuralcodec.origin import Origin, RawPictures


def ncodec(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds with B-frames and sound; no two frames are alike."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    video_with_sound(path)
    return path


def coded(source: object, folder: Path, *options: object) -> Path:
    path = folder / "coded.nlc"
    result = ncodec("encode", source, path, "-y", "-g", 3, *options)
    assert result.exit_code == 0, result.stderr
    return path


def compared(path: Path, reference: object, *options: object) -> tuple[float, float, str]:
    """(PSNR recorded, PSNR measured, what was told)."""
    shown = path.with_suffix(".yuv")
    result = ncodec("decode", path, shown, "-y", "--json", "-r", reference, *options)
    assert result.exit_code == 0, result.stderr
    figures = json.loads(result.stdout)
    return figures["recorded"]["psnr_y"], figures["measured"]["psnr_y"], result.stderr


@pytest.mark.parametrize(
    "options",
    [
        "-ss 0.4 -n 4",
        "-ss 0 -n 3",
        "-ss 1.37 -t 0.13",
        "--fps 10 -n 3",
        "--fps 60 -n 4",
        "--scale 48x32 -n 3",
        "-ss 0.5 -t 0.4 --fps 8 --scale 32x32",
    ],
)
def test_a_part_or_a_changed_source_is_compared_with_the_same_frames(
    options: str, film: Path, tmp_path: Path
):
    recorded, measured, told = compared(coded(film, tmp_path, *options.split()), film)
    assert measured == pytest.approx(recorded, abs=0.02)
    assert "differ" not in told and "lacks" not in told and "times" not in told


def test_a_part_of_a_part_is_compared_with_the_same_frames(film: Path, tmp_path: Path):
    path = coded(film, tmp_path, "-ss", 0.4, "-n", 9)
    recorded, measured, _ = compared(path, film, "-ss", 0.16, "-n", 3)
    assert measured == pytest.approx(recorded, abs=0.02)


def test_of_several_videos_the_one_that_was_coded_is_compared(tmp_path: Path):
    source = tmp_path / "two.mkv"
    with av.open(source, "w") as container:
        streams = [container.add_stream("ffv1", 25, width=64, height=48) for _ in range(2)]
        first, second = streams
        mux(container, encode_pictures(first, range(3)), encode_pictures(second, range(20, 23)))
    recorded, measured, _ = compared(coded(source, tmp_path, "--map", "0:v:1"), source)
    assert measured == pytest.approx(recorded, abs=0.02)


def test_interlaced_frames_left_as_they_are_are_compared_as_they_are(tmp_path: Path):
    source = tmp_path / "fields.mp4"
    options = {"flags": "+ilme+ildct", "x264-params": "tff=1"}
    video_with_sound(source, frames=3, options=options)
    recorded, measured, _ = compared(coded(source, tmp_path, "--no-deinterlace"), source)
    assert measured == pytest.approx(recorded, abs=0.02)


def test_raw_video_is_a_reference_too(tmp_path: Path, small_source: Path):
    raw = tmp_path / "film.yuv"
    with av.open(small_source) as container:
        frames = [f.to_ndarray() for f in container.decode(video=0)]
    raw.write_bytes(b"".join(frame.tobytes() for frame in frames[:4]))
    options = ("--pix-fmt", "yuv420p", "--video-size", "48x32", "--framerate", "10", "-ss", "0.1")
    path = coded(raw, tmp_path, *options)
    recorded, measured, _ = compared(path, raw)
    assert measured == pytest.approx(recorded, abs=0.02)


def test_a_repaired_file_is_compared_by_time(film: Path, tmp_path: Path):
    path = coded(film, tmp_path, "-n", 9)
    data = bytearray(path.read_bytes())
    data[data.index(b"GOPS") + 60] ^= 1  # of the first GOP: all numbers change
    path.write_bytes(data)
    repaired = tmp_path / "repaired.nlc"
    assert ncodec("repair", path, repaired).exit_code == 0
    recorded, measured, told = compared(repaired, film)
    assert measured == pytest.approx(recorded, abs=0.02)
    assert "differ" not in told


def test_a_reference_with_another_clock_is_compared_from_its_first_frame_and_told(
    film: Path, tmp_path: Path
):
    stream = tmp_path / "film.ts"
    with av.open(film) as source, av.open(stream, "w") as target:
        video = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                target.mux(packet)
    recorded, measured, told = compared(coded(stream, tmp_path, "-n", 5), film)
    assert measured == pytest.approx(recorded, abs=0.02)
    assert "earlier than those of the file" in told


def test_a_reference_that_ends_before_the_part_is_refused_in_one_line(
    film: Path, tmp_path: Path, small_source: Path
):
    path = coded(film, tmp_path, "-ss", 1.5, "-n", 2, "--scale", "48x32")
    result = ncodec("decode", path, tmp_path / "o.y4m", "-r", small_source)
    assert result.exit_code == 1
    assert "has nothing at 1.5 s, where the file begins" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "o.y4m").exists()


def test_a_part_that_is_decoded_has_its_frames_and_counts_from_its_start(
    film: Path, tmp_path: Path
):
    path = coded(film, tmp_path, "-ss", 0.4, "-n", 9)
    shown = tmp_path / "part.mkv"
    assert ncodec("decode", path, shown, "-ss", 0.16, "-n", 3).exit_code == 0
    with av.open(shown) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([0, 0.04, 0.08], abs=1e-6)


def test_a_forged_record_of_the_source_is_a_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    raw = tmp_path / "film.yuv"
    raw.write_bytes(bytes(32 * 32 * 3 // 2))
    forged = Origin(raw=RawPictures("nonsense", 32, 32))
    monkeypatch.setattr("neuralcodec.files.encode.origin_of", lambda *_: forged)
    path = coded(raw, tmp_path, "--pix-fmt", "yuv420p", "--video-size", "32x32")
    result = ncodec("decode", path, tmp_path / "shown.yuv", "-r", raw)
    assert result.exit_code == 1
    told = f"{path}: its record of how its source was read is not usable"
    assert told in result.stderr and len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "shown.yuv").exists()
