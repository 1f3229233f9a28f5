"""Time stamps of VideoReader, and the part of the time that it is asked for."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from media_clips import same_samples
from source_clips import encode_pictures, mux, video_with_sound

from neuralcodec.errors import InputError, UsageError
from neuralcodec.media import VideoReader
from neuralcodec.media.sources.source import open_source
from neuralcodec.media.sources.source_options import SourceOptions
from neuralcodec.streams import StreamPacket
from neuralcodec.video import Frame

ALL = SourceOptions()


def decoded_pts(path: Path) -> list[int]:
    with av.open(path) as container:
        return [picture.pts for picture in container.decode(video=0)]


def read(path: Path, **options: object) -> tuple[list[Frame], list[StreamPacket], VideoReader]:
    frames, packets = [], []
    with VideoReader(path, options=SourceOptions(**options)) as reader:
        for frame in reader:
            frames.append(frame)
            packets += reader.take_packets()
        packets += reader.take_packets()
    return frames, packets, reader


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv", "flv", "ts"])
def test_b_frames_come_in_order_with_the_times_of_the_source(tmp_path, extension):
    path = tmp_path / f"clip.{extension}"
    video_with_sound(path)
    frames, _, reader = read(path)
    assert [frame.pts for frame in frames] == decoded_pts(path)
    assert len(frames) == 50
    assert reader.notices == []


def test_mpegts_keeps_its_late_start(tmp_path):
    path = tmp_path / "clip.ts"
    video_with_sound(path, container_options={"mpegts_copyts": "1", "output_ts_offset": "1.4"})
    frames, packets, reader = read(path)
    times = [frame.pts * reader.format.time_base for frame in frames]
    assert [frame.pts for frame in frames] == decoded_pts(path)
    assert times[0] >= Fraction(14, 10)
    assert packets[0].pts * reader.streams[0].time_base >= Fraction(13, 10)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts"])
def test_uneven_times_are_exact(tmp_path, name):
    path = tmp_path / name
    times = [40, 57, 130, 131, 440, 441, 442, 900, 1000, 1001]
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", 25, {"bf": "2", "preset": "ultrafast"})
        stream.width, stream.height, stream.time_base = 64, 48, Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        mux(container, encode_pictures(stream, times, Fraction(1, 1000)))
    frames, _, reader = read(path)
    assert [frame.pts for frame in frames] == decoded_pts(path)
    unit = reader.format.time_base * 1000
    steps = [(frame.pts - frames[0].pts) * unit for frame in frames]
    assert steps == [time - times[0] for time in times]


def test_an_edit_list_hides_the_same_frames_as_for_ffmpeg(tmp_path):
    # Frames before time zero are what an MP4 cut without coding anew begins with.
    whole, path = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    video_with_sound(whole)
    with av.open(whole) as source, av.open(path, "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.size:
                packet.pts -= 5 * 512
                packet.dts -= 5 * 512
                packet.stream = stream
                container.mux(packet)
    frames, _, _ = read(path)
    pts = [frame.pts for frame in frames]
    assert pts == decoded_pts(path)
    assert len(pts) < 50  # so frames were hidden indeed
    assert pts[0] == 0


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts", "clip.avi", "clip.flv"])
@pytest.mark.parametrize("start", [Fraction(0), Fraction(1, 2), Fraction(143, 100)])
def test_the_start_is_exact_and_becomes_zero(tmp_path, name, start):
    path = tmp_path / name
    video_with_sound(path, "libmp3lame" if name.endswith("avi") else "aac")
    whole, _, reader = read(path)
    unit = reader.format.time_base
    with av.open(path) as container:
        zero = Fraction(container.start_time, 1_000_000)
    # The container rounds its start time to microseconds.
    kept = [frame for frame in whole if frame.pts * unit >= zero + start - Fraction(1, 10**6)]
    frames, packets, part = read(path, start=start)
    assert len(frames) == len(kept)
    assert all(same_samples(one, other) for one, other in zip(frames, kept, strict=True))
    shift = kept[0].pts - frames[0].pts
    assert [frame.pts + shift for frame in frames] == [frame.pts for frame in kept]
    assert abs(shift * unit - zero - start) <= unit / 2 + Fraction(1, 10**6)
    assert 0 <= frames[0].pts * unit < Fraction(1, 20)
    sound = part.streams[0].time_base
    assert (0 if start else -Fraction(1, 20)) <= packets[0].pts * sound < Fraction(1, 10)
    assert part.truncated is None


def test_a_start_on_a_frame_gives_time_zero(tmp_path):
    path = tmp_path / "clip.mkv"
    video_with_sound(path)
    frames, packets, _ = read(path, start=Fraction(6, 10))
    assert frames[0].pts == 0
    assert len(frames) == 35
    whole = read(path)[1]
    late = [packet for packet in whole if packet.pts >= 600]
    assert [packet.data for packet in packets] == [packet.data for packet in late]
    assert [packet.pts for packet in packets] == [packet.pts - 600 for packet in late]


def test_a_start_on_a_frame_is_exact_though_the_start_time_is_rounded(tmp_path):
    # The clock of MPEG-TS begins at a time that is no whole number of microseconds.
    path = tmp_path / "clip.ts"
    video_with_sound(path)
    whole, packets, reader = read(path)
    beginning = min(packets[0].pts, whole[0].pts)  # both count 90000 ticks a second
    assert (beginning * 10**6) % 90000 != 0
    assert reader.streams[0].time_base == reader.format.time_base == Fraction(1, 90000)
    frames, _, _ = read(path, start=Fraction(whole[10].pts - beginning, 90000))
    assert frames[0].pts == 0
    assert same_samples(frames[0], whole[10])


@pytest.mark.parametrize("start", [Fraction(1, 100), Fraction(1, 2), Fraction(3, 2)])
def test_a_start_far_from_the_only_keyframe_of_an_mpegts_is_exact(tmp_path, start):
    # Seeking lands after it, as MPEG-TS has no index.
    path = tmp_path / "clip.ts"
    video_with_sound(path, options={"g": "1000"})
    whole, whole_packets, reader = read(path, start=Fraction(0))
    unit, sound = reader.format.time_base, reader.streams[0].time_base
    frames, packets, _ = read(path, start=start)
    expected = [frame for frame in whole if frame.pts * unit >= start]
    assert len(frames) == len(expected)
    assert all(same_samples(one, other) for one, other in zip(frames, expected, strict=True))
    late = [packet.data for packet in whole_packets if packet.pts * sound >= start]
    assert [packet.data for packet in packets] == late


def test_a_start_at_zero_keeps_what_the_first_sound_is_decoded_from(tmp_path):
    path = tmp_path / "clip.mp4"
    video_with_sound(path, frames=10)
    whole = read(path)[1]
    assert whole[0].pts == -1024
    assert read(path, start=Fraction(0))[1] == whole


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts"])
def test_start_and_duration_cut_frames_and_sound_alike(tmp_path, name):
    path = tmp_path / name
    video_with_sound(path)
    whole_frames, whole_packets, reader = read(path, start=Fraction(0))
    unit, sound = reader.format.time_base, reader.streams[0].time_base
    frames, packets, part = read(path, start=Fraction(1, 2), duration=Fraction(1))
    expected = [f for f in whole_frames if Fraction(1, 2) <= f.pts * unit < Fraction(3, 2)]
    assert len(frames) == len(expected) == 25
    assert all(same_samples(one, other) for one, other in zip(frames, expected, strict=True))
    inside = [p for p in whole_packets if Fraction(1, 2) <= p.pts * sound < Fraction(3, 2)]
    assert [packet.data for packet in packets] == [packet.data for packet in inside]
    assert part.truncated is None
    assert abs(part.frame_count_hint - 25) <= 1


def test_duration_alone_keeps_the_times_as_they_are(tmp_path):
    path = tmp_path / "clip.ts"
    video_with_sound(path)
    whole, _, _ = read(path)
    frames, _, _ = read(path, duration=Fraction(1))
    assert [frame.pts for frame in frames] == [frame.pts for frame in whole[: len(frames)]]
    assert len(frames) in (24, 25)  # the sound begins a frame before the pictures


def test_a_limit_ends_the_sound_with_the_pictures(tmp_path, monkeypatch):
    def opened(*arguments):
        source = open_source(*arguments)
        source.streams.video.codec_context.thread_count = 1  # so nothing is read ahead
        return source

    monkeypatch.setattr("neuralcodec.media.reading.reader.open_source", opened)
    path = tmp_path / "clip.mp4"
    video_with_sound(path)
    frames, packets, reader = read(path, limit=25)
    assert len(frames) == 25
    sound = reader.streams[0].time_base
    ends = [(packet.pts + packet.duration) * sound for packet in packets]
    assert Fraction(1) <= max(ends) < Fraction(11, 10)


def test_chapters_move_and_end_with_the_window(tmp_path):
    path = tmp_path / "clip.mkv"
    with av.open(path, "w") as container:
        video = container.add_stream("mpeg4", 25, width=32, height=32)
        container.set_chapters(
            [
                {"id": n, "start": 500 * n, "end": 500 * n + 500, "time_base": Fraction(1, 1000),
                 "metadata": {"title": str(n)}}
                for n in range(4)
            ]
        )  # fmt: skip
        mux(container, encode_pictures(video))
    _, _, reader = read(path, start=Fraction(7, 10), duration=Fraction(1))
    spans = [
        (dict(c.metadata)["title"], c.start * c.time_base * 1000, c.end * c.time_base * 1000)
        for c in reader.tags.chapters
    ]
    assert spans == [("1", 0, 300), ("2", 300, 800), ("3", 800, 1000)]


@pytest.mark.parametrize("name", ["clip.h264", "clip.avi"])
def test_sources_without_presentation_times_are_cut_by_their_frame_rate(tmp_path, name):
    path = tmp_path / name
    with av.open(path, "w") as container:
        video = container.add_stream("libx264", 25, {"bf": "2", "b-adapt": "0", "g": "10"})
        video.width, video.height = 64, 48
        mux(container, encode_pictures(video))
    whole, _, _ = read(path)
    frames, _, _ = read(path, start=Fraction(1), duration=Fraction(2, 5))
    assert len(frames) == 10
    assert all(same_samples(a, b) for a, b in zip(frames, whole[25:35], strict=True))
    assert frames[0].pts == 0


@pytest.mark.parametrize("extension", ["y4m", "mkv"])
def test_a_pipe_is_read_up_to_the_start(tmp_path, piped, extension):
    path = tmp_path / f"clip.{extension}"
    with av.open(path, "w") as container:
        codec = "wrapped_avframe" if extension == "y4m" else "ffv1"
        video = container.add_stream(codec, 25, width=32, height=32)
        mux(container, encode_pictures(video))
    whole, _, _ = read(path)
    piped(path.read_bytes())
    frames, _, _ = read("-", start=Fraction(1))
    assert len(frames) == 25
    assert frames[0].pts == 0
    assert all(same_samples(a, b) for a, b in zip(frames, whole[25:], strict=True))


def test_a_start_after_the_end_is_an_error(tmp_path):
    path = tmp_path / "clip.mkv"
    video_with_sound(path)
    with pytest.raises(InputError, match="no frame in the time asked for"):
        VideoReader(path, options=SourceOptions(start=Fraction(100)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"start": Fraction(-1)},
        {"start": Fraction(10**21)},
        {"duration": Fraction(0)},
        {"limit": 0},
        {"scale": (8, 100)},
        {"fps": Fraction(0)},
    ],
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError):
        SourceOptions(**wrong)


def matroska(path: Path, blocks: Sequence[tuple[int, int]]) -> None:
    """Pictures, each at its time and of its duration in milliseconds, as large as 64 bits hold."""
    with av.open(path, "w") as container:
        video = container.add_stream("mpeg4", 25, width=32, height=32)
        packets = encode_pictures(video, range(len(blocks)))
        mux(container, packets)
    data = path.read_bytes()
    data = data[: data.index(b"\x1f\x43\xb6\x75")]
    segment = data.index(b"\x18\x53\x80\x67") + 4
    clusters = b""
    for packet, (time, duration) in zip(packets, blocks, strict=True):
        picture = b"\x81\0\0\x80" + bytes(packet)
        block = element(b"\xa1", picture) + element(b"\x9b", duration.to_bytes(8, "big"))
        cluster = element(b"\xe7", time.to_bytes(8, "big")) + element(b"\xa0", block)
        clusters += element(b"\x1f\x43\xb6\x75", cluster)
    path.write_bytes(data[:segment] + b"\x01" + 7 * b"\xff" + data[segment + 8 :] + clusters)


def element(kind: bytes, content: bytes) -> bytes:
    return kind + (len(content) | 1 << 56).to_bytes(8, "big") + content


@pytest.mark.parametrize("duration", [40, 2**62, 2**63 - 1], ids=str)
@pytest.mark.parametrize("time", [2**62 - 1, 2**62, 2**63 - 1], ids=str)
def test_times_next_to_the_largest_number_do_not_overflow(tmp_path, time, duration):
    path = tmp_path / "clip.mkv"
    usual, odd = [(40 * number, 40) for number in range(4)], (time, duration)
    for blocks in ([odd, *usual], [*usual, odd, *usual], [odd, usual[0], odd, *usual]):
        matroska(path, blocks)
        frames, *_ = read(path)
        assert len(frames) == len(blocks)
        assert all(a.pts < b.pts for a, b in pairwise(frames))
