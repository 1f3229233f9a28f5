"""What a source says of its pictures is kept, or applied, or named in one sentence."""

import struct
import zlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from media_clips import encode_clip, same_samples, seeded_frames
from mp4_boxes import add_box, box
from source_clips import encode_pictures, mux

from neuralcodec.errors import InputError
from neuralcodec.media import VideoReader, open_writer
from neuralcodec.media.planes import to_picture
from neuralcodec.media.sources.source_options import SourceOptions
from neuralcodec.streams import FileTags
from neuralcodec.video import FieldOrder, VideoFormat

ODD = Path(__file__).parent / "odd_sources"
KEEP_FIELDS = SourceOptions(deinterlace=False)
TOP, BOTTOM = FieldOrder.TOP_FIRST, FieldOrder.BOTTOM_FIRST
AV_FIELD = {TOP: 2, BOTTOM: 3}
FORMAT = VideoFormat(64, 48, Fraction(1, 25), frame_rate=Fraction(25))


def make_source(path: Path, options: dict[str, str] | None = None, codec: str = "libx264") -> Path:
    with av.open(path, "w") as container:
        coding = {"preset": "ultrafast", **(options or {})}
        stream = container.add_stream(codec, 25, coding, width=64, height=48)
        mux(container, encode_pictures(stream, range(3)))
    return path


def notices_of(path: Path, options: SourceOptions | None = None) -> list[str]:
    with VideoReader(path, options=options) as reader:
        list(reader)
        return reader.notices


def interlaced_source(path: Path, order: FieldOrder) -> Path:
    graph = av.filter.Graph()
    source = graph.add("buffer", video_size="64x48", pix_fmt="yuv420p", time_base="1/25")
    marks = graph.add("setfield", mode="tff" if order == TOP else "bff")
    graph.link_nodes(source, marks, graph.add("buffersink")).configure()
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", 25, {"preset": "ultrafast"}, width=64, height=48)
        stream.codec_context.flags |= av.codec.context.Flags.interlaced_dct
        for frame in seeded_frames(FORMAT, range(3)):
            graph.push(to_picture(frame, FORMAT))
            container.mux(stream.encode(graph.vpull()))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("order", [TOP, BOTTOM])
def test_the_order_of_fields_is_read_where_they_are_to_be_kept(tmp_path, order):
    path = interlaced_source(tmp_path / "clip.mp4", order)
    with VideoReader(path, options=KEEP_FIELDS) as reader:
        assert reader.format.field_order == order
        assert reader.notices == []
    with VideoReader(path, options=SourceOptions()) as reader:
        assert reader.format.field_order == FieldOrder.PROGRESSIVE


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv", "y4m"])
@pytest.mark.parametrize("order", [TOP, BOTTOM])
def test_the_order_of_fields_comes_out(tmp_path, order, extension):
    fmt = replace(FORMAT, field_order=order)
    frames = seeded_frames(fmt, range(3))
    path = tmp_path / f"clip.{extension}"
    with open_writer(path, fmt) as writer:
        for frame in frames:
            writer.write(frame)
    assert writer.notices == []
    with VideoReader(path, options=KEEP_FIELDS) as reader:
        assert reader.format.field_order == order
        got = list(reader)
    assert [frame.pts * reader.format.time_base for frame in got] == [
        Fraction(n, 25) for n in range(3)
    ]
    if extension in ("mkv", "y4m"):
        assert all(same_samples(a, b) for a, b in zip(frames, got, strict=True))
    with av.open(path) as container:
        stream = container.streams.video[0]
        if extension == "mkv":  # of H.264 FFmpeg says "top first" whatever its pictures say
            assert stream.codec_context.field_order == AV_FIELD[order]
        assert all(picture.interlaced_frame for picture in container.decode(stream))


def test_h264_of_a_height_that_fields_cannot_have_says_so(tmp_path):
    fmt = replace(FORMAT, height=50, field_order=TOP)
    with open_writer(tmp_path / "clip.mp4", fmt) as writer:
        for frame in seeded_frames(fmt, range(2)):
            writer.write(frame)
    (notice,) = writer.notices
    assert "64x50" in notice
    assert "interlaced" in notice


@pytest.mark.parametrize("name", ["clip.yuv", "clip%d.png"])
def test_formats_that_know_no_fields_say_so(tmp_path, name):
    fmt = replace(FORMAT, field_order=TOP)
    with open_writer(tmp_path / name, fmt) as writer:
        writer.write(seeded_frames(fmt, [0])[0])
    (notice,) = writer.notices
    assert "field" in notice


def test_scaling_to_another_height_ends_interlacing(tmp_path):
    path = interlaced_source(tmp_path / "clip.mp4", TOP)
    with VideoReader(path, options=replace(KEEP_FIELDS, scale=(64, 32))) as reader:
        assert reader.format.field_order == FieldOrder.PROGRESSIVE
        assert any("mixes its fields" in notice for notice in reader.notices)
    with VideoReader(path, options=replace(KEEP_FIELDS, scale=(32, 48))) as reader:
        assert reader.format.field_order == TOP


def test_pictures_are_cropped_as_matroska_says():
    path = ODD / "crop.mkv"  # by mkvmerge: left 8, top 4, right 16, bottom 12 of 64x48
    with av.open(path) as container:
        whole = [picture.to_ndarray() for picture in container.decode(video=0)]
    with VideoReader(path) as reader:
        frames = list(reader)
        fmt = reader.format
    assert (fmt.width, fmt.height) == (40, 32)
    assert fmt.width * fmt.sample_aspect_ratio / fmt.height == Fraction(4, 3)
    assert reader.notices == ["cropped as the source says: 64x48 to 40x32"]
    assert len(frames) == len(whole) == 10
    for frame, picture in zip(frames, whole, strict=True):
        assert np.array_equal(frame.y, picture[4:36, 8:48])


def test_a_clean_aperture_of_mp4_crops_too(tmp_path):
    path = make_source(tmp_path / "clip.mp4")
    # Width and height, and how far the middle of the part lies from that of the picture.
    numbers = struct.pack(">8i", 40, 1, 32, 1, -4, 1, -4, 1)
    add_box(path, "moov/trak/mdia/minf/stbl/stsd/avc1", box(b"clap", numbers))
    with av.open(path) as container:
        whole = [picture.to_ndarray() for picture in container.decode(video=0)]
    with VideoReader(path) as reader:
        for frame, picture in zip(reader, whole, strict=True):
            assert np.array_equal(frame.y, picture[4:36, 8:48])


def test_a_crop_that_leaves_too_little_is_an_error_that_says_the_size(tmp_path):
    path = make_source(tmp_path / "clip.mp4")
    numbers = struct.pack(">8i", 8, 1, 8, 1, 0, 1, 0, 1)
    add_box(path, "moov/trak/mdia/minf/stbl/stsd/avc1", box(b"clap", numbers))
    with pytest.raises(InputError, match="is 8x8; frames must be at least 16x16"):
        VideoReader(path)


def left_out(*names: str) -> list[str]:
    return [f"left out of what the source says of its pictures: {', '.join(names)}"]


def test_a_360_degree_projection_is_named(tmp_path):
    path = make_source(tmp_path / "clip.mp4")
    tags = b"".join(
        b"<GSpherical:%s>%s</GSpherical:%s>" % (name, value, name)
        for name, value in (
            (b"Spherical", b"true"),
            (b"Stitched", b"true"),
            (b"StitchingSoftware", b"x"),
            (b"ProjectionType", b"equirectangular"),
        )
    )
    xml = b'<?xml version="1.0"?><rdf:SphericalVideo>' + tags + b"</rdf:SphericalVideo>"
    uuid = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")
    add_box(path, "moov/trak", box(b"uuid", uuid + xml))
    assert notices_of(path) == left_out("360° projection")


def test_dolby_vision_is_named(tmp_path):
    path = make_source(tmp_path / "clip.mp4", {"x265-params": "log-level=none"}, "libx265")
    record = bytes([1, 0]) + struct.pack(">H", (8 << 9) | (4 << 3) | 5) + bytes([0x10]) + bytes(19)
    for entry in ("hev1", "hvc1"):
        if entry.encode() in path.read_bytes():
            break
    add_box(path, f"moov/trak/mdia/minf/stbl/stsd/{entry}", box(b"dvvC", record))
    assert notices_of(path) == left_out("Dolby Vision")


def test_stereo_is_named(tmp_path):
    path = make_source(tmp_path / "clip.mp4", {"x264-params": "frame-packing=3"})
    assert notices_of(path) == left_out("stereo 3D")


def test_stereo_by_a_tag_is_kept_in_mkv_and_named_for_mp4(tmp_path):
    tags = FileTags(video_metadata=(("stereo_mode", "left_right"),))
    found = {}
    for extension in ("mkv", "mp4"):
        path = tmp_path / f"clip.{extension}"
        with open_writer(path, FORMAT, tags=tags) as writer:
            for frame in seeded_frames(FORMAT, range(2)):
                writer.write(frame)
        found[extension] = writer.notices
    assert found["mkv"] == []
    assert found["mp4"] == [
        "mp4 cannot hold that the pictures are stereo 3D (left_right): left out"
    ]
    with VideoReader(tmp_path / "clip.mkv") as reader:
        assert reader.notices == []
        assert ("stereo_mode", "left_right") in reader.tags.video_metadata


def test_captions_and_the_active_format_are_named_in_one_sentence(tmp_path):
    path = make_source(tmp_path / "clip.h264", {"x264-params": "bframes=0"})
    data = path.read_bytes()
    messages = b""
    # ATSC A/53: two caption bytes; and an active format description.
    for content in (b"GA94\x03\xc1\xff\xfc\x94\x20\xff", b"DTG1\x41\xf8"):
        message = b"\xb5\x00\x31" + content
        messages += b"\0\0\0\1\x06\x04" + bytes([len(message)]) + message + b"\x80"
    at = data.index(b"\0\0\1\x65")
    path.write_bytes(data[:at] + messages + data[at:])
    assert notices_of(path)[0] in left_out(
        "closed captions in the pictures", "active format description"
    )


def test_an_icc_profile_is_named(tmp_path):
    path = tmp_path / "photo.png"
    encode_clip(path, "png", "rgb24", pts=[0], container_options={"update": "1"})
    data = path.read_bytes()
    profile = bytearray(132)
    profile[0:4], profile[36:40] = (132).to_bytes(4, "big"), b"acsp"
    content = b"iCCP" + b"profile\0\0" + zlib.compress(bytes(profile))
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    path.write_bytes(data[:33] + chunk + data[33:])
    assert left_out("ICC profile")[0] in notices_of(path)


def test_transparency_that_lies_in_a_second_stream_of_pictures_is_named_and_untagged(tmp_path):
    path = tmp_path / "clip.webm"
    with av.open(path, "w") as container:
        stream = container.add_stream("libvpx-vp9", 25, width=64, height=48)
        stream.pix_fmt = "yuva420p"
        stream.metadata["alpha_mode"] = "1"
        reformatter = VideoReformatter()
        for number in range(2):
            picture = av.VideoFrame.from_ndarray(
                np.full((48, 64, 4), 90 * number, np.uint8), "rgba"
            )
            picture = reformatter.reformat(picture, format="yuva420p")
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    with VideoReader(path, options=SourceOptions()) as reader:
        assert reader.notices == left_out("transparency")
        assert "alpha_mode" not in {key.lower() for key, _ in reader.tags.video_metadata}
        assert reader.format.display_matrix is None


def test_a_source_that_says_nothing_special_gets_no_notice(tmp_path):
    assert notices_of(make_source(tmp_path / "clip.mp4"), SourceOptions()) == []
