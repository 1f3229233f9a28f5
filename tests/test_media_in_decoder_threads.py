"""Pictures that are still in the decoder's threads when the reading ends, early or not."""

import multiprocessing
from pathlib import Path

import av
import pytest
from source_clips import encode_pictures, mux

from neuralcodec.errors import InputError
from neuralcodec.media import VideoReader
from neuralcodec.media.sources.source_options import SourceOptions

FRAMES = 30


def video(path: Path, codec: str = "libx264", **options: str) -> None:
    coding = {"preset": "ultrafast", "x265-params": "log-level=none", **options}
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, 25, coding, width=96, height=64)
        mux(container, encode_pictures(stream, range(FRAMES)))


def places(path: Path) -> list[int]:
    """Where each packet begins in the file, in the order of decoding."""
    with av.open(path) as container:
        return [packet.pos for packet in container.demux(video=0) if packet.size]


@pytest.mark.parametrize("packets", [1, 2, 3])
def test_a_cut_in_a_packet_costs_that_picture_alone(tmp_path, packets):
    path = tmp_path / "cut.flv"
    video(path, bf="2", **{"b-adapt": "0"})
    at = places(path)[-packets]
    path.write_bytes(path.read_bytes()[: at + 20])
    with VideoReader(path, options=SourceOptions()) as reader:
        frames = sum(1 for _ in reader)
    assert frames == FRAMES - packets
    assert reader.truncated == f"{path} broke off in the middle of a packet"


def test_an_error_in_one_of_the_last_pictures_hides_none_of_the_others(tmp_path):
    path = tmp_path / "damaged.mkv"
    video(path, "libvpx-vp9", g="1", **{"cpu-used": "8", "deadline": "realtime"})
    data = bytearray(path.read_bytes())
    data[places(path)[-2] + 16] = 0  # not the frame marker of VP9
    path.write_bytes(data)
    with VideoReader(path, options=SourceOptions()) as reader:
        times = [frame.pts for frame in reader]
    assert times == [40 * number for number in range(FRAMES) if number != FRAMES - 2]
    assert reader.truncated == f"{path} is damaged (frames lost: 1, decoded with errors: 0)"


def halves(path: Path, whole: Path) -> None:
    """A copy with the first half of every packet."""
    with av.open(whole) as source, av.open(path, "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                half = av.Packet(bytes(packet)[: packet.size // 2])
                half.pts, half.dts, half.time_base = packet.pts, packet.dts, packet.time_base
                half.is_keyframe, half.stream = packet.is_keyframe, stream
                container.mux(half)


@pytest.mark.parametrize("codec", ["libx264", "libvpx-vp9"])
def test_a_source_none_of_whose_pictures_can_be_decoded_is_refused(tmp_path, codec):
    path = tmp_path / "zeros.mkv"  # of VP9 no pixel format is ever known
    video(path, codec)
    data = path.read_bytes()
    with av.open(path) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    for packet in packets:
        data = data.replace(packet, bytes(len(packet)))
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"no frame of .* could be decoded"):
        VideoReader(path)


def refuse_many_times(path: Path) -> None:
    for _ in range(100):
        with pytest.raises(InputError, match="could be decoded"):
            VideoReader(path)


def test_a_source_that_is_given_up_is_closed_whatever_its_threads_do(tmp_path):
    # They may wait for Python's lock, which is held where a decoder is freed.
    whole, path = tmp_path / "whole.mkv", tmp_path / "halves.mkv"
    video(whole, "libx265", g="5", bf="0")
    halves(path, whole)
    process = multiprocessing.get_context("fork").Process(target=refuse_many_times, args=(path,))
    process.start()
    process.join(20)
    process.kill()
    process.join()
    assert process.exitcode == 0
