"""Changes that VideoReader makes on request or to interlaced sources."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_clips import encode_clip, same_samples
from source_clips import encode_pictures, mux, video_with_sound

from neuralcodec.media import VideoReader
from neuralcodec.media.reading.picture_filters import PictureFilters
from neuralcodec.media.sources.source_options import SourceOptions


def interlaced(path: Path, *, count: int = 8, first: int = 0) -> None:
    """Fields of a bar that moves; those of frames before `first` are of one time."""
    with av.open(path, "w") as container:
        stream = container.add_stream(
            "libx264", 25, {"x264-params": "tff=1", "preset": "ultrafast"}
        )
        stream.width, stream.height = 64, 64
        if first:
            stream.options = {"preset": "ultrafast", "crf": "1"}
        for index in range(count):
            luma = np.full((64, 64), 40, np.uint8)
            luma[0::2, 4 * index : 4 * index + 8] = 200
            shown = 4 * index if index < first else 4 * index + 2
            luma[1::2, shown : shown + 8] = 200
            picture = av.VideoFrame.from_ndarray(
                np.concatenate([luma, np.full((32, 64), 128, np.uint8)]), "yuv420p"
            )
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def combing(luma: np.ndarray) -> float:
    """How much lines differ from the mean of their neighbours."""
    rows = luma.astype(float)
    return float(np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean())


def test_interlaced_frames_are_deinterlaced_in_number_and_time_as_they_are(tmp_path):
    path = tmp_path / "clip.mp4"
    interlaced(path)
    with VideoReader(path, options=SourceOptions(deinterlace=False)) as reader:
        combed = list(reader)
        assert reader.notices == []
    with VideoReader(path, options=SourceOptions()) as reader:
        frames = list(reader)
        (notice,) = reader.notices
    assert "deinterlaced" in notice
    assert [frame.pts for frame in frames] == [frame.pts for frame in combed]
    assert reader.format.time_base == Fraction(1, 12800)
    for frame, before in zip(frames[1:-1], combed[1:-1], strict=True):
        assert combing(frame.y) < combing(before.y) / 2


def test_progressive_frames_beside_interlaced_ones_are_not_touched(tmp_path):
    progressive, later = tmp_path / "a.h264", tmp_path / "b.h264"
    encode_clip(progressive, "libx264", "yuv420p", size=(64, 64))
    interlaced(later)
    path = tmp_path / "both.h264"
    path.write_bytes(progressive.read_bytes() + later.read_bytes() + progressive.read_bytes())
    with VideoReader(path, options=SourceOptions(deinterlace=False)) as reader:
        plain = list(reader)
    with VideoReader(path, options=SourceOptions()) as reader:
        frames = list(reader)
    assert [frame.pts for frame in frames] == [frame.pts for frame in plain]
    same = [same_samples(one, other) for one, other in zip(frames, plain, strict=True)]
    assert all(same[:10])
    assert not any(same[11:17])
    assert all(same[19:])
    assert len(same) == 28


def test_scaling_keeps_the_shape_of_the_picture(tmp_path):
    path = tmp_path / "clip.mkv"
    encode_clip(path, "ffv1", "yuv420p", size=(64, 48), pts=range(3))
    with VideoReader(path, options=SourceOptions(scale=(32, 48))) as reader:
        frames = list(reader)
        assert reader.notices == []
        assert (reader.format.width, reader.format.height) == (32, 48)
        assert reader.format.sample_aspect_ratio == 2
    assert [plane.shape for plane in frames[0].planes] == [(48, 32), (24, 16), (24, 16)]
    with VideoReader(path) as reader:
        whole = list(reader)
    for small, large in zip(frames, whole, strict=True):
        assert abs(small.y.mean() - large.y.mean()) < 2


def test_scaling_by_the_same_factor_keeps_square_or_unknown_pixels(tmp_path):
    path = tmp_path / "clip.mkv"
    encode_clip(path, "ffv1", "yuv420p", size=(64, 48), pts=range(2))
    with VideoReader(path) as reader:
        shape = reader.format.sample_aspect_ratio
    with VideoReader(path, options=SourceOptions(scale=(32, 24))) as reader:
        assert reader.format.sample_aspect_ratio == shape
        assert len(list(reader)) == 2


@pytest.mark.parametrize(("rate", "count"), [(50, 100), (Fraction(25, 2), 25), (30, 60)])
def test_frames_are_repeated_or_dropped_to_the_rate_asked_for(tmp_path, rate, count):
    path = tmp_path / "clip.mp4"
    video_with_sound(path)
    options = SourceOptions(fps=Fraction(rate))
    with VideoReader(path, options=options) as reader:
        assert reader.format.time_base == 1 / Fraction(rate)
        assert reader.format.frame_rate == rate
        assert reader.frame_count_hint == count
        frames = list(reader)
    assert [frame.pts for frame in frames] == list(range(count))
    with VideoReader(path) as reader:
        plain = list(reader)
    if rate == 50:
        assert all(same_samples(frames[2 * i], plain[i]) for i in range(50))
        assert all(same_samples(frames[2 * i + 1], plain[i]) for i in range(49))


def test_gaps_are_filled_as_the_fps_filter_does(tmp_path):
    path = tmp_path / "clip.mkv"
    with av.open(path, "w") as container:
        video = container.add_stream("ffv1", 25, {"level": "3"}, width=32, height=32)
        video.codec_context.time_base = Fraction(1, 1000)
        mux(container, encode_pictures(video, [0, 40, 201, 240], Fraction(1, 1000)))
    with VideoReader(path, options=SourceOptions(fps=Fraction(25))) as reader:
        frames = list(reader)
    assert [frame.pts for frame in frames] == [0, 1, 2, 3, 4, 5, 6]
    assert same_samples(frames[4], frames[1])
    assert not same_samples(frames[5], frames[4])


def test_start_rate_size_and_limit_work_together(tmp_path):
    path = tmp_path / "clip.mp4"
    video_with_sound(path)
    options = SourceOptions(start=Fraction(1), fps=Fraction(50), scale=(32, 24), limit=30)
    with VideoReader(path, options=options) as reader:
        frames = list(reader)
        packets = reader.take_packets()
        assert reader.frame_count_hint == 30
    assert [frame.pts for frame in frames] == list(range(30))
    assert frames[0].y.shape == (24, 32)
    last = max(packet.pts * reader.streams[0].time_base for packet in packets)
    assert Fraction(55, 100) < last < Fraction(6, 10)


def repeated(times: Sequence[int]) -> tuple[list[int], list[str]]:
    """Times of frames at 25 per second, from pictures at these seconds; and the notices."""
    unit = Fraction(1, 25)
    filters = PictureFilters(SourceOptions(fps=Fraction(25)), unit, Fraction(25))
    shown = []
    for time in times:
        picture = av.VideoFrame(16, 16, "gray")
        picture.pts, picture.duration, picture.time_base = 25 * time, 1, unit
        shown += [out.pts for out in filters.push(picture)]
    return shown + [out.pts for out in filters.flush(None)], filters.notices


@pytest.mark.parametrize("count", [4, 9])
def test_of_many_long_gaps_only_as_many_are_filled_as_pictures_allow(count):
    shown, notices = repeated([number * 59 * 60 for number in range(count)])
    assert len(shown) == 59 * 60 * 25 + count - 1  # that before the second picture is filled
    assert notices == [
        "gaps of over 90000 frames, and many of over 1500, are not filled: "
        "one of 3540 seconds stays"
    ]


def test_pictures_without_gaps_do_not_add_up_to_a_gap_of_a_day():
    shown, _ = repeated([*range(100), 24 * 3600])
    assert len(shown) == 99 * 25 + 2


def test_slides_of_a_minute_each_are_shown_throughout_however_many_they_are():
    shown, notices = repeated([number * 60 for number in range(75)])
    assert shown == list(range(74 * 1500 + 1))
    assert notices == []
