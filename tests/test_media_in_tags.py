"""Tags of the picture that VideoReader finds: colour, HDR, shape, chroma location."""

from fractions import Fraction
from pathlib import Path

import av
import pytest
from media_clips import encode_clip
from source_clips import encode_pictures, mux

from neuralcodec.media import VideoReader
from neuralcodec.media.sources.hdr_tags import content_light, mastering_display
from neuralcodec.media.sources.side_data import side_data_of
from neuralcodec.video import ColorTags, ContentLight, MasteringDisplay, VideoFormat

HDR10 = {
    "x265-params": "hdr10=1:repeat-headers=1:log-level=none:chromaloc=2:colorprim=bt2020:"
    "transfer=smpte2084:colormatrix=bt2020nc:max-cll=1000,400:"
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
}
TOP_LEFT = 3  # AVChromaLocation


def format_of(path: Path) -> VideoFormat:
    with VideoReader(path) as reader:
        return reader.format


def coded(path: Path, codec: str, pixel_format: str, options: dict[str, str], **tags: int) -> None:
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, 25, options, width=64, height=64)
        stream.pix_fmt = pixel_format
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        mux(container, encode_pictures(stream, range(3), pixel_format=pixel_format))


@pytest.mark.parametrize("extension", ["mkv", "mp4", "ts"])
def test_hdr10_comes_whole(tmp_path, extension):
    path = tmp_path / f"clip.{extension}"
    coded(path, "libx265", "yuv420p10le", HDR10)
    fmt = format_of(path)
    assert fmt.color == ColorTags(9, 16, 9, full_range=False, chroma_location=TOP_LEFT)
    assert fmt.mastering_display == MasteringDisplay(
        ((34000, 16000), (13250, 34500), (7500, 3000)), (15635, 16450), (1, 10000000)
    )
    assert fmt.content_light == ContentLight(1000, 400)


def test_content_light_that_the_container_alone_knows_comes_too(tmp_path):
    path = tmp_path / "clip.mp4"
    coded(path, "libx264", "yuv420p", {"preset": "ultrafast"})
    data = bytearray(path.read_bytes())
    at = data.find(b"btrt") - 4  # a box of 20 bytes, in place of which come two
    light = (12).to_bytes(4, "big") + b"clli" + (900).to_bytes(2, "big") + (300).to_bytes(2, "big")
    data[at : at + 20] = light + (8).to_bytes(4, "big") + b"free"
    path.write_bytes(data)
    assert format_of(path).content_light == ContentLight(900, 300)


def test_hlg_is_a_tag(tmp_path):
    path = tmp_path / "clip.mp4"
    coded(
        path, "libx265", "yuv420p10le", {"x265-params": "log-level=none"},
        color_primaries=9, color_trc=18, colorspace=9,
    )  # fmt: skip
    fmt = format_of(path)
    assert (fmt.color.primaries, fmt.color.transfer, fmt.color.matrix) == (9, 18, 9)
    assert fmt.mastering_display is None
    assert fmt.content_light is None


@pytest.mark.parametrize(("coded_as", "location"), [(0, 1), (1, 2), (2, 3), (3, 4)])
@pytest.mark.parametrize("extension", ["mkv", "mp4"])
def test_the_chroma_location_is_that_of_the_stream(tmp_path, extension, coded_as, location):
    path = tmp_path / f"clip.{extension}"
    options = {"x264-params": f"chromaloc={coded_as}", "preset": "ultrafast"}
    coded(path, "libx264", "yuv420p", options)
    assert format_of(path).color.chroma_location == location


def test_y4m_says_where_its_chroma_lies(tmp_path):
    path = tmp_path / "clip.y4m"
    coded(path, "wrapped_avframe", "yuv420p", {})
    data = path.read_bytes()
    for name, location in ((b"C420mpeg2", 1), (b"C420jpeg", 2), (b"C420paldv", 3)):
        head, _, rest = data.partition(b"\n")
        words = [word for word in head.split() if not word.startswith((b"C", b"X"))]
        path.write_bytes(b" ".join([*words, name]) + b"\n" + rest)
        assert format_of(path).color.chroma_location == location


def test_what_is_converted_to_420_has_no_known_chroma_location(tmp_path):
    path = tmp_path / "clip.mkv"
    coded(path, "libx264", "yuv444p", {"preset": "ultrafast"})
    assert format_of(path).color.chroma_location == 0


def test_the_shape_of_the_container_precedes_that_of_the_codec(tmp_path):
    plain, path = tmp_path / "plain.mp4", tmp_path / "clip.mp4"
    with av.open(plain, "w") as container:
        stream = container.add_stream("libx264", 25, {"preset": "ultrafast"}, width=64, height=64)
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        mux(container, encode_pictures(stream, range(3)))
    assert format_of(plain).sample_aspect_ratio == Fraction(4, 3)
    data = plain.read_bytes()
    at = data.find(b"pasp")
    assert at > 0
    path.write_bytes(
        data[: at + 4] + (8).to_bytes(4, "big") + (5).to_bytes(4, "big") + data[at + 12 :]
    )
    assert format_of(path).sample_aspect_ratio == Fraction(8, 5)


def test_colour_tags_are_those_of_the_stream(tmp_path):
    path = tmp_path / "clip.mkv"
    coded(
        path, "libx264", "yuv420p", {"preset": "ultrafast"},
        color_primaries=1, color_trc=13, colorspace=6, color_range=2,
    )  # fmt: skip
    color = format_of(path).color
    assert (color.primaries, color.transfer, color.matrix, color.full_range) == (1, 13, 6, True)


def test_a_picture_without_hdr_tags_has_none():
    side_data = side_data_of(av.VideoFrame(32, 32, "yuv420p"))
    assert mastering_display(side_data) is None
    assert content_light(side_data) is None


def test_a_stream_that_says_nothing_of_its_chroma_is_unspecified(tmp_path):
    path = tmp_path / "clip.mkv"
    encode_clip(path, "ffv1", "yuv420p", pts=range(2))
    assert format_of(path).color.chroma_location == 0
