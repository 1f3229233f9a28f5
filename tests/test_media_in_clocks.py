"""Sources whose clock jumps, and streams that appear or change in the middle."""

from collections import Counter
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from media_clips import same_samples
from source_clips import encode_pictures, encode_sound, mux, video_with_sound

from neuralcodec.media import VideoReader
from neuralcodec.media.sources.source_options import SourceOptions
from neuralcodec.streams import StreamPacket
from neuralcodec.video import Frame

JUMPS = (
    "source has a clock that jumps: "
    "time stamps after each jump are shifted to continue the previous part"
)
FRAMES = 25  # of a piece: one second


def piece(path: Path, start: float = 0, **options: object) -> bytes:
    """A second of pictures and sound in MPEG-TS, its clock beginning at `start`."""
    offset = {"mpegts_copyts": "1", "output_ts_offset": str(start + 1)}
    video_with_sound(path, frames=FRAMES, container_options=offset, **options)
    return path.read_bytes()


def read(
    path: Path | str, **options: object
) -> tuple[list[Frame], dict[int, list[StreamPacket]], VideoReader]:
    frames: list[Frame] = []
    packets: dict[int, list[StreamPacket]] = {}
    with VideoReader(path, options=SourceOptions(**options)) as reader:
        taken: list[StreamPacket] = []
        for frame in reader:
            frames.append(frame)
            taken += reader.take_packets()
        for packet in [*taken, *reader.take_packets()]:
            packets.setdefault(packet.stream, []).append(packet)
    return frames, packets, reader


def times(frames: list[Frame], reader: VideoReader) -> list[Fraction]:
    return [frame.pts * reader.format.time_base for frame in frames]


@pytest.mark.parametrize("start", [0, 10, 12, 100, 95_442.2], ids=str)
def test_a_piece_with_another_clock_is_moved_to_the_end_of_the_first(tmp_path, start):
    # Back, forward beyond what is a gap, and over the end of what 33 bits count (95443.7 s).
    path = tmp_path / "joined.ts"
    path.write_bytes(piece(tmp_path / "a.ts", 10) + piece(tmp_path / "b.ts", start))
    frames, packets, reader = read(path)
    shown = times(frames, reader)
    steps = [b - a for a, b in pairwise(shown)]
    assert len(frames) == 2 * FRAMES
    if start == 12:  # a second later than it could be, which is a gap of the source itself
        assert Fraction(9, 10) < max(steps) < Fraction(11, 10)
        assert reader.notices == []
        return
    assert min(steps) >= Fraction(39, 1000) and max(steps) < Fraction(1, 10)
    unit = reader.streams[0].time_base
    sound = [packet.pts * unit for packet in packets[0]]
    # Both streams are moved by the same time, so they stay together.
    in_first, in_second = shown[0] - sound[0], shown[FRAMES] - sound[len(sound) // 2]
    assert abs(in_first - in_second) < Fraction(1, 1000)
    assert abs(shown[-1] - sound[-1]) < Fraction(1, 10)
    assert reader.notices == [JUMPS]
    assert reader.truncated is None
    assert reader.frame_count_hint < 1000


@pytest.mark.parametrize("extension", ["flv", "mkv", "mpg"])
def test_pieces_joined_in_other_formats_go_on_too(tmp_path, extension):
    # A second FLV is not read by FFmpeg, its clock is: packets of both in one file.
    path = tmp_path / f"joined.{extension}"
    codec = {"mpg": "mpeg2video"}.get(extension, "libx264")
    sound_codec = {"mpg": "mp2"}.get(extension, "aac")
    one = tmp_path / f"one.{extension}"
    options = {} if extension == "mpg" else {"bf": "0", "g": "12"}
    video_with_sound(one, sound_codec, video_codec=codec, options=options, frames=FRAMES)
    data = one.read_bytes()
    path.write_bytes(data + (data[13:] if extension == "flv" else data))
    frames, _, reader = read(path)
    steps = [b - a for a, b in pairwise(times(frames, reader))]
    assert len(frames) == 2 * FRAMES
    assert min(steps) > 0 and max(steps) < Fraction(15, 100)
    assert reader.notices == [JUMPS]


def test_a_gap_in_the_sound_alone_stays_a_gap(tmp_path):
    path = tmp_path / "clip.ts"
    with av.open(path, "w") as container:
        video = container.add_stream("libx264", 1, {"preset": "ultrafast"}, width=64, height=48)
        sound = container.add_stream("aac", 48000, layout="stereo")
        packets = encode_sound(sound, 1)
        for packet in packets[24:]:
            packet.pts += 20 * 48000
            packet.dts += 20 * 48000
        mux(container, encode_pictures(video, range(25), Fraction(1)), packets)
    _, found, reader = read(path)
    unit = reader.streams[0].time_base
    steps = [(b.pts - a.pts) * unit for a, b in pairwise(found[0])]
    assert Fraction(20) < max(steps) < Fraction(21)
    assert reader.notices == []


@pytest.mark.parametrize("start", [Fraction(1, 2), Fraction(3, 2)])
def test_a_start_counts_on_the_joined_clock(tmp_path, start):
    path = tmp_path / "joined.ts"
    path.write_bytes(piece(tmp_path / "a.ts", 10) + piece(tmp_path / "b.ts"))
    whole, _, reader = read(path, start=Fraction(0))
    unit = reader.format.time_base
    expected = [frame for frame in whole if frame.pts * unit >= start]
    frames, _, _ = read(path, start=start)
    assert len(frames) == len(expected) > 0
    assert all(same_samples(one, other) for one, other in zip(frames, expected, strict=True))


def test_a_gap_of_hours_is_not_filled_with_frames(tmp_path):
    path = tmp_path / "clip.mkv"
    hours = 7 * 3600 * 1000
    shown = [0, 40, 80, hours, hours + 40]
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", 25, width=32, height=32)
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        mux(container, encode_pictures(stream, shown, Fraction(1, 1000)))
    frames, _, reader = read(path, fps=Fraction(25))
    assert [frame.pts * 40 for frame in frames] == shown
    assert reader.notices == [
        "gaps of over 90000 frames, and many of over 1500, are not filled: "
        "one of 25200 seconds stays"
    ]


def big_piece(path: Path) -> bytes:
    """More than FFmpeg reads of a file to find its streams: noise that is hardly compressed."""
    rng = np.random.default_rng(1)
    with av.open(path, "w", format="mpegts") as container:
        video = container.add_stream("libx264", 25, {"preset": "ultrafast", "qp": "0"})
        video.width, video.height = 320, 240
        sound = container.add_stream("mp2", 48000, layout="stereo")
        packets = []
        for number in range(40):
            noise = rng.integers(0, 256, (360, 320), np.uint8)
            picture = av.VideoFrame.from_ndarray(noise, "yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, 25)
            packets += video.encode(picture)
        mux(container, packets + video.encode(None), encode_sound(sound, 1.6))
    assert path.stat().st_size > 6_000_000
    return path.read_bytes()


def small_piece(path: Path, sounds: int = 1, pid: int | None = None, codec: str = "h264") -> bytes:
    with av.open(path, "w", format="mpegts") as container:
        video = container.add_stream({"h264": "libx264"}.get(codec, codec), 25)
        video.width, video.height = 320, 240
        if pid is not None:
            video.id = pid
        mux(
            container,
            encode_pictures(video, range(FRAMES)),
            *(encode_sound(container.add_stream("mp2", 48000), 1) for _ in range(sounds)),
        )
    return path.read_bytes()


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return big_piece(tmp_path_factory.mktemp("big") / "big.ts")


def test_a_sound_track_that_begins_in_the_middle_is_left_out_with_a_notice(tmp_path, big, piped):
    piped(big + small_piece(tmp_path / "b.ts", sounds=2))
    frames, packets, reader = read("-")
    assert len(frames) == 40 + FRAMES
    assert list(packets) == [0]
    assert (
        "audio stream 0:2 (mp2) of standard input is left out: it begins in the middle"
        in reader.notices
    )
    assert reader.truncated is None


def test_video_that_moves_to_another_stream_is_not_whole(tmp_path, big, piped):
    piped(big + small_piece(tmp_path / "b.ts", pid=300))
    frames, _, reader = read("-")
    assert len(frames) == 40
    assert reader.truncated == (
        "the video of standard input goes on in another stream (0:2): that part is left out"
    )


def test_video_that_moves_is_not_whole_either_where_all_streams_are_known(tmp_path):
    path = tmp_path / "joined.ts"
    one, other = small_piece(tmp_path / "a.ts"), small_piece(tmp_path / "b.ts", pid=300)
    path.write_bytes(one + other)
    frames, _, reader = read(path)
    assert len(frames) == FRAMES
    assert reader.truncated == (
        f"the video of {path} goes on in another stream (0:2): that part is left out"
    )


def test_a_codec_that_changes_is_named(tmp_path):
    path = tmp_path / "joined.ts"
    one = small_piece(tmp_path / "a.ts")
    path.write_bytes(one + small_piece(tmp_path / "b.ts", codec="mpeg2video"))
    _, _, reader = read(path)
    assert reader.truncated == (
        f"the video of {path} changes its codec in the middle: the rest is left out"
    )


def dropped(path: Path, codec: str) -> None:
    """An AVI with B-frames in which 30 frames after the eleventh were dropped, with sound."""
    with av.open(path, "w") as container:
        video = container.add_stream(codec, 25, {"bf": "2", "g": "10"}, width=64, height=48)
        sound = container.add_stream("libmp3lame", 48000, layout="stereo")
        packets = encode_pictures(video, range(20))
        for number, packet in enumerate(packets):
            packet.dts = number + 30 * (number > 10)
            packet.pts = packet.dts
        heard = encode_sound(sound, 2)
        early = heard[0].dts  # AVI would move the pictures too
        for packet in heard:
            packet.pts -= early
            packet.dts -= early
        mux(container, packets, heard)


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_frames_that_an_avi_drops_leave_a_gap_of_their_length(tmp_path, codec):
    path = tmp_path / "clip.avi"
    dropped(path, codec)
    frames, packets, reader = read(path)
    shown = times(frames, reader)
    assert len(frames) == 20
    assert shown[10] == Fraction(10, 25)
    assert shown[11] == Fraction(164, 100)
    assert Counter(b - a for a, b in pairwise(shown))[Fraction(1, 25)] == 18
    sound = packets[0][-1]
    assert abs((sound.pts + sound.duration) * reader.streams[0].time_base - shown[-1]) < 0.15
    assert reader.notices == []


def telecined(path: Path) -> None:
    """A film whose frames are shown for three and for two fields in turn, without time stamps."""
    film = path.with_suffix(".film.m2v")
    with av.open(film, "w", format="mpeg2video") as container:
        rate = Fraction(30000, 1001)
        video = container.add_stream("mpeg2video", rate, {"bf": "0"}, width=64, height=48)
        mux(container, encode_pictures(video, range(24), 1 / rate))
    data = bytearray(film.read_bytes())
    number = at = 0
    while (at := data.find(b"\0\0\1\xb5", at) + 4) > 3:
        if data[at] >> 4 == 1:
            data[at + 1] &= ~8  # progressive_sequence
        elif data[at] >> 4 == 8:
            top, repeated = number % 4 < 2, number % 2 == 0
            data[at + 3] = data[at + 3] & ~0x82 | 0x80 * top | 0x02 * repeated
            number += 1
    packets = [data[i : i + 2000] for i in range(0, len(data), 2000)]
    pack = bytes.fromhex("000001ba 4400 0400 0401 000003f8")
    path.write_bytes(
        b"".join(
            pack + b"\0\0\1\xe0" + (len(p) + 3).to_bytes(2, "big") + b"\x80\0\0" + p
            for p in packets
        )
        + b"\0\0\1\xb9"
    )


def test_fields_shown_again_make_a_film_last_its_time(tmp_path):
    path = tmp_path / "film.mpg"
    telecined(path)
    frames, _, reader = read(path)
    shown = times(frames, reader)
    assert len(frames) == 24
    second = Fraction(1001, 1000)
    assert abs(shown[-1] + (shown[1] - shown[0]) - second) < Fraction(2, 100)
