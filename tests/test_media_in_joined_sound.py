"""Sound that begins or changes where pieces of a source were joined."""

import av
import pytest
from source_clips import encode_pictures, encode_sound, mux, video_with_sound

from neuralcodec.media import VideoReader
from neuralcodec.media.sources.source_options import SourceOptions


@pytest.mark.parametrize(
    ("codec", "name"), [("mp2", "mp2"), ("ac3", "ac3"), ("libmp3lame", "mp3"), ("aac", "aac")]
)
def test_sound_of_a_later_piece_is_known_by_its_codec_and_carried(tmp_path, codec, name):
    silent, with_sound, joined = (tmp_path / f"{name}.ts" for name in ("a", "b", "joined"))
    with av.open(silent, "w") as container:
        video = container.add_stream("mpeg4", 25, width=64, height=48)
        mux(container, encode_pictures(video, range(40)))
    video_with_sound(with_sound, codec, video_codec="mpeg4", frames=10)
    joined.write_bytes(silent.read_bytes() + with_sound.read_bytes())
    with VideoReader(joined, options=SourceOptions()) as reader:
        frames = sum(1 for _ in reader)
        packets = reader.take_packets()
    assert frames == 50
    assert [stream.codec for stream in reader.streams] == [name]
    with av.open(with_sound) as container:
        sent = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    assert [packet.data for packet in packets] == sent


def test_sound_that_changes_its_sample_rate_is_carried(tmp_path):
    one, other, joined = (tmp_path / f"{name}.mpg" for name in ("a", "b", "joined"))
    for path, rate in ((one, 48000), (other, 44100)):
        with av.open(path, "w") as container:
            video = container.add_stream("mpeg2video", 25, width=64, height=48)
            sound = container.add_stream("mp2", rate, layout="stereo")
            mux(container, encode_pictures(video, range(10)), encode_sound(sound, 0.4))
    joined.write_bytes(one.read_bytes() + other.read_bytes())
    with VideoReader(joined, options=SourceOptions()) as reader:
        frames = sum(1 for _ in reader)
        packets = reader.take_packets()
    assert frames == 20
    assert [stream.codec for stream in reader.streams] == ["mp2"]
    with av.open(joined) as container:
        heard = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    assert [packet.data for packet in packets] == heard


def test_a_source_that_cannot_be_opened_again_is_read_as_it_was_first(tmp_path, monkeypatch):
    silent, with_sound, joined = (tmp_path / f"{name}.ts" for name in ("a", "b", "joined"))
    with av.open(silent, "w") as container:
        video = container.add_stream("mpeg4", 25, width=64, height=48)
        mux(container, encode_pictures(video, range(40)))
    video_with_sound(with_sound, video_codec="mpeg4", frames=10)
    joined.write_bytes(silent.read_bytes() + with_sound.read_bytes())
    opening, refused = av.open, []

    def open_once(*arguments: object, **settings: dict[str, str]) -> object:
        if "scan_all_pmts" in settings.get("options", {}):
            refused.append(arguments)
            raise OSError("it is gone")
        return opening(*arguments, **settings)

    monkeypatch.setattr(av, "open", open_once)
    with VideoReader(joined, options=SourceOptions()) as reader:
        assert sum(1 for _ in reader) == 50
    assert refused
