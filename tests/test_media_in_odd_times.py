"""Sources that give some pictures a wrong time or none, as where pieces of them were joined."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
from source_clips import encode_pictures, encode_sound, mux, video_with_sound

from neuralcodec.media import VideoReader
from neuralcodec.media.sources.source_options import SourceOptions

JUMPS = (
    "source has a clock that jumps: time stamps after each jump are shifted to continue the "
    "previous part"
)
FRAMES = 25
FRAME = Fraction(1, 25)
MILLISECOND = Fraction(1, 1000)


def read(path: Path) -> tuple[list[Fraction], list[Fraction], list[str]]:
    """When pictures are shown and packets of the first sound heard, in seconds; the notices."""
    shown, packets = [], []
    with VideoReader(path, options=SourceOptions()) as reader:
        for frame in reader:
            shown.append(frame.pts * reader.format.time_base)
            packets += reader.take_packets()
        packets += reader.take_packets()
        unit = reader.streams[0].time_base if reader.streams else Fraction(0)
        heard = [packet.pts * unit for packet in packets if packet.stream == 0]
    return shown, heard, reader.notices


def steps(times: list[Fraction]) -> list[Fraction]:
    return [after - before for before, after in pairwise(times)]


def test_a_picture_with_the_time_of_the_next_piece_stays_in_its_own(tmp_path):
    # Without a PTS of its own, FFmpeg gives it the one that it meets next in the file.
    one, other, path = (tmp_path / f"{name}.mpg" for name in ("a", "b", "joined"))
    for piece, start in ((one, "0"), (other, "100")):
        video_with_sound(
            piece,
            "mp2",
            video_codec="mpeg2video",
            options={"bf": "2", "g": "12"},
            container_options={"output_ts_offset": start},
            frames=FRAMES,
        )
    path.write_bytes(one.read_bytes() + other.read_bytes())
    shown, heard, notices = read(path)
    assert len(shown) == 2 * FRAMES
    assert max(steps(shown)) < 4 * FRAME
    assert abs(shown[-1] - heard[-1]) < 4 * FRAME
    assert notices[0] == JUMPS


def test_avi_without_b_frames_shows_each_picture_with_the_sound_beside_it(tmp_path):
    path = tmp_path / "clip.avi"
    video_with_sound(path, "pcm_s16le", options={"bf": "0"}, frames=FRAMES)
    shown, heard, notices = read(path)
    assert shown == [number * FRAME for number in range(FRAMES)]
    assert abs(heard[0]) < FRAME
    assert notices == []


def before_zero(path: Path, whole: Path, early: Fraction) -> None:
    """A Matroska file whose first pictures are to be shown before time zero."""
    options = {"live": "1", "avoid_negative_ts": "disabled", "output_ts_offset": str(-float(early))}
    with av.open(whole) as source, av.open(path, "w", options=options) as container:
        stream = container.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                container.mux(packet)


def test_first_pictures_without_a_time_are_placed_before_the_first_that_has_one(tmp_path):
    whole, path = tmp_path / "whole.mkv", tmp_path / "clip.mkv"
    video_with_sound(whole, frames=FRAMES)
    before_zero(path, whole, Fraction(3, 10))
    with av.open(path) as container:  # Matroska's times before zero are none to FFmpeg
        stated = [picture.pts for picture in container.decode(video=0)]
    assert None in stated and stated[-1] is not None
    shown, _, notices = read(path)
    assert shown[-1] == stated[-1] * MILLISECOND
    assert steps(shown) == [FRAME] * (FRAMES - 1)
    assert notices == []


def test_a_faster_piece_that_begins_too_early_catches_up_with_its_own_times(tmp_path):
    path = tmp_path / "joined.mkv"
    data, last = b"", []
    for rate, start in ((12, 0), (50, 830)):  # the first ends with a picture at 916
        last = [start + 1000 * number // rate for number in range(rate)]
        piece = tmp_path / "piece.mkv"
        with av.open(piece, "w") as container:
            video = container.add_stream("mpeg4", rate, width=64, height=48)
            video.time_base = video.codec_context.time_base = MILLISECOND
            mux(container, encode_pictures(video, last, MILLISECOND))
        data += piece.read_bytes()
    path.write_bytes(data)
    shown, _, notices = read(path)
    assert min(steps(shown)) > 0
    late = [time for time in shown if time > Fraction(12, 10)]
    assert late == [time * MILLISECOND for time in last if time > 1200]
    assert JUMPS not in notices


def test_a_clock_that_jumps_after_the_last_picture_is_noticed_too(tmp_path):
    one, other, path = (tmp_path / f"{name}.mkv" for name in ("a", "b", "joined"))
    # Whose decoder has no threads: every picture is there before the next packet is read.
    video_with_sound(one, "mp2", video_codec="msmpeg4", frames=50)
    with av.open(other, "w") as container:
        container.add_stream("msmpeg4", 25, width=64, height=48)
        sound = container.add_stream("mp2", 48000, layout="stereo")
        mux(container, encode_sound(sound, 1))
    path.write_bytes(one.read_bytes() + other.read_bytes())
    shown, heard, notices = read(path)
    assert len(shown) == 50
    assert min(steps(heard)) > 0 and heard[-1] > shown[-1] + Fraction(9, 10)
    assert notices == [JUMPS]


def test_display_times_that_are_decoding_times_are_no_jumps_of_the_clock(tmp_path):
    # From such FFmpeg makes decoding times that go back, by more the slower the pictures are.
    path = tmp_path / "clip.mkv"
    with av.open(path, "w") as container:
        coding = {"bf": "2", "g": "12"}
        video = container.add_stream("mpeg4", 12, coding, width=64, height=48)
        sound = container.add_stream("mp2", 48000, layout="stereo")
        packets = encode_pictures(video, range(FRAMES), Fraction(1, 12))
        for packet in packets:
            packet.pts = packet.dts
        mux(container, packets, encode_sound(sound, FRAMES / 12))
    with av.open(path) as container:
        decoded = [packet.dts for packet in container.demux(video=0) if packet.size]
    assert any(after < before - 100 for before, after in pairwise(decoded))
    shown, heard, notices = read(path)
    assert JUMPS not in notices
    assert abs(shown[-1] - heard[-1]) < Fraction(2, 12)
