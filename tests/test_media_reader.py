"""What comes out of VideoReader, for good sources and bad ones."""

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_clips import encode_clip, same_samples, seeded_frames

from neuralcodec.errors import InputError
from neuralcodec.media import VideoReader, open_writer
from neuralcodec.media.conversion import Converter, color_tags
from neuralcodec.media.planes import planes_of
from neuralcodec.video import Frame, VideoFormat


def decoded(path: Path) -> list[tuple[np.ndarray, ...]]:
    """Planes as PyAV gives them itself, from `to_ndarray` of a 4:2:0 source of even size."""
    with av.open(path) as container:
        pictures = [picture.to_ndarray() for picture in container.decode(video=0)]
    planes = []
    for packed in pictures:
        height, width = packed.shape[0] * 2 // 3, packed.shape[1]
        u, v = packed[height:].reshape(2, height // 2, width // 2)
        planes.append((packed[:height], u, v))
    return planes


def write_picture(path: Path, pixel_format: str, samples: list[np.ndarray], **tags: int) -> None:
    """One FFV1 frame with these planes (rows as stored in memory)."""
    height, width = samples[0].shape[:2]
    picture = av.VideoFrame(width, height, pixel_format)
    for plane, rows in zip(picture.planes, samples, strict=True):
        padded = np.zeros((plane.height, plane.line_size), np.uint8)
        stored = np.ascontiguousarray(rows).view(np.uint8).reshape(plane.height, -1)
        padded[:, : stored.shape[1]] = stored
        plane.update(padded)
    picture.pts = 0
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", 25, {"level": "3"}, width=width, height=height)
        stream.pix_fmt = pixel_format
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
            setattr(picture, name, value)
        container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def clip_of(path: Path, count: int = 10, size: tuple[int, int] = (32, 32)) -> list[Frame]:
    """A lossless clip by the product's writer; returns what is in it."""
    fmt = VideoFormat(*size, Fraction(1, 25), frame_rate=Fraction(25))
    frames = seeded_frames(fmt, range(count))
    with open_writer(path, fmt) as writer:
        for frame in frames:
            writer.write(frame)
    return frames


def cut(path: Path, kept: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le"])
def test_420_comes_exactly_as_decoded_without_notices(tmp_path, pixel_format):
    path = tmp_path / "clip.mp4"
    encode_clip(path, "libx264", pixel_format, size=(72, 40))
    with VideoReader(path) as reader:
        assert reader.format.bit_depth == (8 if pixel_format == "yuv420p" else 10)
        frames = list(reader)
    assert reader.notices == []
    assert reader.truncated is None
    packed = [np.concatenate([plane.ravel() for plane in frame.planes]) for frame in frames]
    with av.open(path) as container:
        for ours, picture in zip(packed, container.decode(video=0), strict=True):
            expected = (
                picture.to_ndarray()
                if pixel_format == "yuv420p"
                else np.concatenate(
                    [
                        np.frombuffer(plane, "<u2").reshape(plane.height, -1)[:, : plane.width]
                        for plane in picture.planes
                    ],
                    axis=None,
                )
            )
            assert np.array_equal(ours, expected.ravel())


def test_full_range_mjpeg_keeps_its_samples_and_is_tagged_full_range(tmp_path):
    path = tmp_path / "clip.avi"
    encode_clip(path, "mjpeg", "yuvj420p", size=(34, 32), pts=range(3))
    with VideoReader(path) as reader:
        assert reader.format.color.full_range
        frames = list(reader)
    assert reader.notices == []
    for frame, planes in zip(frames, decoded(path), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(frame.planes, planes, strict=True))


@pytest.mark.parametrize(
    ("pixel_format", "target"),
    [
        ("yuv422p", "yuv420p"),
        ("yuv444p", "yuv420p"),
        ("yuva420p", "yuv420p"),
        ("yuv444p10le", "yuv420p10le"),
        ("yuv420p12le", "yuv420p10le"),
        ("bgr0", "yuv420p"),
        ("gray", "yuv420p"),
        ("gray16le", "yuv420p10le"),
    ],
)
def test_other_formats_are_converted_with_one_notice(tmp_path, pixel_format, target):
    path = tmp_path / "clip.mkv"
    encode_clip(path, "ffv1", pixel_format, size=(35, 31), pts=range(3))
    with VideoReader(path) as reader:
        frames = list(reader)
    (notice,) = reader.notices
    assert notice.startswith(f"source is {pixel_format}: converted to {target}")
    assert reader.format.bit_depth == (10 if target.endswith("10le") else 8)
    assert [plane.shape for plane in frames[0].planes] == [(31, 35), (16, 18), (16, 18)]
    assert frames[0].y.dtype == (np.uint16 if target.endswith("10le") else np.uint8)


@pytest.mark.parametrize("matrix", [1, 5, 8, 9])  # 8 is YCgCo, which libswscale cannot convert
@pytest.mark.parametrize("color_range", [1, 2])
def test_converting_444_changes_no_luma_matrix_or_range(tmp_path, matrix, color_range):
    rng = np.random.default_rng(3)
    luma = rng.integers(0, 256, (32, 48), np.uint8)
    planes = [luma, np.full((32, 48), 30, np.uint8), np.full((32, 48), 200, np.uint8)]
    path = tmp_path / "clip.mkv"
    write_picture(path, "yuv444p", planes, colorspace=matrix, color_range=color_range)
    with VideoReader(path) as reader:
        (frame,) = reader
    assert np.array_equal(frame.y, luma)
    assert np.all(frame.u == 30)
    assert np.all(frame.v == 200)
    assert reader.format.color.matrix == matrix
    assert reader.format.color.full_range == (color_range == 2)


def test_full_range_by_pixel_format_alone_is_enough():
    rng = np.random.default_rng(3)
    picture = av.VideoFrame(32, 16, "yuvj444p")
    for plane in picture.planes:
        plane.update(rng.integers(0, 256, plane.buffer_size, np.uint8))
    assert picture.color_range == 0
    converted, _ = Converter(32, 16, 8).convert(picture)
    assert color_tags(picture).full_range
    assert np.array_equal(planes_of(converted, 8)[0], planes_of(picture, 8)[0])


def test_a_picture_stored_bottom_up_is_not_turned_over():
    picture = av.VideoFrame(32, 16, "yuv420p")
    for plane in picture.planes:
        plane.update(np.repeat(np.arange(plane.height, dtype=np.uint8), plane.line_size))
    graph = av.filter.Graph()
    source = graph.add_buffer(width=32, height=16, format=picture.format, time_base=Fraction(1, 25))
    flip, sink = graph.add("vflip"), graph.add("buffersink")
    source.link_to(flip)
    flip.link_to(sink)
    graph.configure()
    graph.push(picture)
    turned = graph.pull()
    assert turned.planes[0].line_size < 0
    assert planes_of(turned, 8)[0][:, 0].tolist() == list(range(15, -1, -1))


@pytest.mark.parametrize(("color_range", "full"), [(0, True), (1, False), (2, True)])
def test_grey_keeps_every_value(tmp_path, color_range, full):
    luma = np.arange(32 * 48).reshape(32, 48).astype(np.uint8)
    path = tmp_path / "clip.mkv"
    write_picture(path, "gray", [luma], color_range=color_range)
    with VideoReader(path) as reader:
        (frame,) = reader
    assert np.array_equal(frame.y, luma)
    assert np.all(frame.u == 128)
    assert reader.format.color.full_range is full


def test_rgb_becomes_bt709_of_limited_range(tmp_path):
    red = np.tile(np.array([0, 0, 255, 0], np.uint8), (32, 48, 1))  # B, G, R, unused
    path = tmp_path / "clip.mkv"
    write_picture(path, "bgr0", [red])
    with VideoReader(path) as reader:
        (frame,) = reader
    assert [int(plane[4, 4]) for plane in frame.planes] == [63, 102, 240]
    assert reader.format.color.matrix == 1
    assert not reader.format.color.full_range


def test_uneven_time_stamps_are_kept(tmp_path):
    path = tmp_path / "clip.mkv"
    times = [0, 17, 90, 91, 400]
    encode_clip(path, "libx264", "yuv420p", pts=times, time_base=Fraction(1, 1000))
    with VideoReader(path) as reader:
        assert [frame.pts for frame in reader] == times
        assert reader.format.time_base == Fraction(1, 1000)
    assert reader.notices == []


def test_raw_h264_is_spaced_at_its_frame_rate(tmp_path):
    path = tmp_path / "clip.h264"
    encode_clip(path, "libx264", "yuv420p")
    with VideoReader(path) as reader:
        frames = list(reader)
    times = [frame.pts * reader.format.time_base for frame in frames]
    assert times == [Fraction(index, 25) for index in range(10)]
    assert reader.notices == [
        "source has no time stamps: frames are spaced at 25 frames per second"
    ]
    assert reader.truncated is None


def test_avi_with_b_frames_is_spaced_evenly(tmp_path):
    # AVI stores decoding times, and with B-frames those go back and forth.
    path = tmp_path / "clip.avi"
    encode_clip(path, "libx264", "yuv420p", options={"bf": "3", "b-adapt": "0"})
    with VideoReader(path) as reader:
        assert [frame.pts for frame in reader] == list(range(10))


def test_repeated_time_stamps_are_spread_out_and_reported(tmp_path):
    path = tmp_path / "clip.mkv"
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", 25, {"level": "3"}, width=32, height=32)
        for _ in range(4):
            picture = av.VideoFrame(32, 32, "yuv420p")
            for packet in stream.encode(picture):
                packet.pts = packet.dts = 0
                container.mux(packet)
    with VideoReader(path) as reader:
        assert [frame.pts for frame in reader] == [0, 40, 80, 120]
    (notice,) = reader.notices
    assert "repeat or go back" in notice


def test_a_change_of_size_is_scaled_to_the_first_one_and_reported(tmp_path):
    encode_clip(tmp_path / "a.h264", "libx264", "yuv420p", size=(64, 48), pts=range(3))
    encode_clip(tmp_path / "b.h264", "libx264", "yuv420p", size=(32, 32), pts=range(3))
    path = tmp_path / "both.h264"
    path.write_bytes((tmp_path / "a.h264").read_bytes() + (tmp_path / "b.h264").read_bytes())
    with VideoReader(path) as reader:
        frames = list(reader)
    assert [frame.y.shape for frame in frames] == [(48, 64)] * 6
    assert "source changes to 32x32: scaled to 64x48" in reader.notices


def test_limit_stops_early_without_calling_the_source_truncated(tmp_path):
    path = tmp_path / "clip.mkv"
    frames = clip_of(path)
    with VideoReader(path, limit=3) as reader:
        got = list(reader)
        assert reader.frame_count_hint == 3
    assert len(got) == 3
    assert all(same_samples(a, b) for a, b in zip(got, frames, strict=False))
    assert reader.truncated is None


@pytest.mark.parametrize("extension", ["mkv", "mp4", "y4m"])
def test_the_number_of_frames_and_bytes_is_known_beforehand(tmp_path, extension):
    path = tmp_path / f"clip.{extension}"
    clip_of(path)
    with VideoReader(path) as reader:
        assert reader.frame_count_hint == 10
        assert reader.source_bytes == path.stat().st_size


@pytest.mark.parametrize("extension", ["mkv", "y4m", "mp4"])
def test_a_truncated_source_gives_what_was_read_and_says_so(tmp_path, extension):
    path = tmp_path / f"clip.{extension}"
    if extension == "mp4":  # with its index first; otherwise nothing of it could be read
        index_first = {"movflags": "faststart"}
        encode_clip(path, "libx264", "yuv420p", options={"g": "1"}, container_options=index_first)
    else:
        clip_of(path)
    with VideoReader(path) as reader:
        whole = list(reader)
        assert reader.truncated is None
    cut(path, 0.55)
    with VideoReader(path) as reader:
        got = list(reader)
    assert reader.truncated is not None
    assert str(path) in reader.truncated
    assert "broke off" in reader.truncated
    assert 1 <= len(got) < 10
    assert same_samples(got[0], whole[0])


def test_a_video_that_ends_before_its_sound_is_whole(tmp_path):
    path = tmp_path / "clip.mp4"
    with av.open(path, "w") as container:
        video = container.add_stream("mpeg4", 25, width=32, height=32)
        audio = container.add_stream("aac", 8000, layout="mono")
        for _ in range(5):
            container.mux(video.encode(av.VideoFrame(32, 32, "yuv420p")))
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), "fltp", "mono")
        sound.sample_rate = 8000
        container.mux(audio.encode(sound))
        for stream in (video, audio):
            container.mux(stream.encode(None))
    with VideoReader(path) as reader:
        assert len(list(reader)) == 5
    assert reader.truncated is None


def test_damage_in_the_middle_does_not_stop_the_reading_and_is_reported(tmp_path):
    path = tmp_path / "clip.mp4"
    encode_clip(path, "libx264", "yuv420p", options={"bf": "0"})
    with av.open(path) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        position, size = packets[5].pos, packets[5].size
    data = bytearray(path.read_bytes())
    data[position : position + size] = b"\xff" * size
    path.write_bytes(data)
    with VideoReader(path) as reader:
        got = list(reader)
    assert len(got) >= 8
    assert reader.truncated is not None
    assert "damaged" in reader.truncated


@pytest.mark.parametrize("extension", ["y4m", "mkv"])
def test_standard_input_is_recognised_by_its_content(tmp_path, piped, extension):
    path = tmp_path / f"clip.{extension}"
    frames = clip_of(path, size=(35, 31))
    piped(path.read_bytes())
    with VideoReader("-") as reader:
        got = list(reader)
    assert all(same_samples(a, b) for a, b in zip(got, frames, strict=True))
    assert reader.source_bytes is None
    assert reader.truncated is None


def test_y4m_cut_short_on_standard_input_is_reported(tmp_path, piped):
    path = tmp_path / "clip.y4m"
    clip_of(path)
    cut(path, 0.95)
    piped(path.read_bytes())
    with VideoReader("-") as reader:
        assert len(list(reader)) == 9
    assert reader.truncated == "standard input broke off in the middle of a frame"


def test_a_pipe_of_an_mp4_with_its_index_at_the_end_is_refused_with_what_to_do(tmp_path, piped):
    path = tmp_path / "clip.mp4"
    encode_clip(path, "mpeg4", "yuv420p", size=(320, 240))
    assert path.stat().st_size > 1 << 16  # more than FFmpeg holds back
    piped(path.read_bytes())
    with pytest.raises(InputError, match=r"moov.*\+faststart"):
        list(VideoReader("-"))


def test_standard_input_redirected_from_a_file_may_have_its_index_at_the_end(tmp_path, monkeypatch):
    path = tmp_path / "clip.mp4"
    clip_of(path)
    with path.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with VideoReader("-") as reader:
            assert reader.source_bytes == path.stat().st_size
            assert len(list(reader)) == 10


def test_a_colon_in_the_name_is_no_protocol(tmp_path, monkeypatch):
    clip_of(tmp_path / "http:clip.y4m", count=1)
    monkeypatch.chdir(tmp_path)
    with VideoReader("http:clip.y4m") as reader:
        assert len(list(reader)) == 1


def test_a_numbered_sequence_of_pictures_is_a_video(tmp_path):
    path = tmp_path / "frame%03d.png"
    clip_of(path, count=3)
    with VideoReader(path) as reader:
        assert len(list(reader)) == 3


def write_sound(path: Path, *, cover: bool) -> None:
    with av.open(path, "w") as container:
        stream = container.add_stream("pcm_s16le" if path.suffix == ".wav" else "flac", 8000)
        stream.layout = "mono"
        if cover:
            picture = container.add_stream("png", 1, width=32, height=32)
            picture.pix_fmt = "rgb24"
            picture.disposition = av.stream.Disposition.attached_pic
            container.mux(picture.encode(av.VideoFrame(32, 32, "rgb24")))
            container.mux(picture.encode(None))
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))


def write_text(path: Path) -> None:
    path.write_text("It was a dark and stormy night.\n" * 100)


def write_only_the_start_of_an_mp4(path: Path) -> None:
    clip_of(path)
    cut(path, 0.5)


def write_an_mkv_without_pictures(path: Path) -> None:
    clip_of(path)
    with av.open(path) as container:
        position = next(container.demux(video=0)).pos
    path.write_bytes(path.read_bytes()[:position])


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("missing.mkv", lambda path: None, "does not exist"),
        ("folder.mkv", Path.mkdir, "is a folder"),
        ("empty.mkv", Path.touch, "not a video"),
        ("text.mkv", write_text, "not a video"),
        ("text.txt", write_text, "text file"),
        ("sound.wav", lambda path: write_sound(path, cover=False), "no video stream"),
        ("cover.flac", lambda path: write_sound(path, cover=True), "no video stream"),
        ("start.mp4", write_only_the_start_of_an_mp4, "cut off"),
        ("header.mkv", write_an_mkv_without_pictures, "no frame"),
        (
            "tiny.mkv",
            lambda path: encode_clip(path, "ffv1", "yuv420p", size=(15, 40), pts=[0]),
            "15x40; frames must be at least 16x16",
        ),
    ],
)
def test_what_is_no_video_is_refused_by_name_and_reason(tmp_path, name, make, reason):
    path = tmp_path / name
    make(path)
    with pytest.raises(InputError, match=reason) as refused:
        VideoReader(path)
    assert str(path) in str(refused.value)
