"""Sample formats that VideoReader meets, and headerless video."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_clips import encode_clip, seeded_frames

from neuralcodec.errors import UsageError
from neuralcodec.media import VideoReader
from neuralcodec.media.sources.source_options import RawInput, SourceOptions
from neuralcodec.video import VideoFormat


@pytest.mark.parametrize(
    ("codec", "pixel_format", "target"),
    [
        ("ffv1", "yuv422p", "yuv420p"),
        ("ffv1", "yuv411p", "yuv420p"),
        ("ffv1", "yuv440p", "yuv420p"),
        ("ffv1", "yuv422p10le", "yuv420p10le"),
        ("ffv1", "yuv444p12le", "yuv420p10le"),
        ("ffv1", "yuva444p", "yuv420p"),
        ("ffv1", "gray10le", "yuv420p10le"),
        ("ffv1", "ya8", "yuv420p"),
        ("utvideo", "gbrp", "yuv420p"),
        ("ffv1", "gbrp10le", "yuv420p10le"),
        ("png", "rgba", "yuv420p"),
        ("png", "rgb48be", "yuv420p10le"),
        ("png", "pal8", "yuv420p"),
        ("libx264", "yuvj422p", "yuv420p"),
        ("rawvideo", "nv12", "yuv420p"),
        ("rawvideo", "yuyv422", "yuv420p"),
    ],
)
def test_every_format_becomes_420_with_one_notice(tmp_path, codec, pixel_format, target):
    path = (
        tmp_path / f"clip.{ {'rawvideo': 'nut', 'png': 'mov', 'utvideo': 'avi'}.get(codec, 'mkv') }"
    )
    if pixel_format == "pal8":
        _write_palette(path)
    else:
        encode_clip(path, codec, pixel_format, size=(36, 32), pts=range(2))
    with VideoReader(path) as reader:
        frames = list(reader)
        (notice,) = reader.notices
    assert notice.startswith(f"source is {pixel_format}: converted to {target}")
    assert ("transparency" in notice) == (pixel_format in ("rgba", "yuva444p", "ya8"))
    assert [plane.shape for plane in frames[0].planes] == [(32, 36), (16, 18), (16, 18)]
    assert frames[0].y.dtype == (np.uint16 if target.endswith("10le") else np.uint8)
    assert reader.format.color.full_range == (pixel_format in ("yuvj422p", "gray10le", "ya8"))


def _write_palette(path: Path) -> None:
    with av.open(path, "w") as container:
        stream = container.add_stream("png", 25, width=36, height=32)
        stream.pix_fmt = "pal8"
        for time in range(2):
            picture = av.VideoFrame(36, 32, "pal8")
            picture.planes[0].update(bytes(picture.planes[0].buffer_size))
            picture.planes[1].update(bytes([0, 0, 255, 255]) * 256)
            picture.pts = time
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le", "nv12", "p010le"])
@pytest.mark.parametrize("is_piped", [False, True])
def test_headerless_video_is_read_as_it_is_described(tmp_path, piped, pixel_format, is_piped):
    depth = 10 if "10" in pixel_format else 8
    fmt = VideoFormat(36, 32, Fraction(1, 30), depth)
    written = seeded_frames(fmt, range(4))
    path = tmp_path / "clip.yuv"
    path.write_bytes(b"".join(_stored(frame.planes, pixel_format) for frame in written))
    raw = RawInput(pixel_format, 36, 32, Fraction(30000, 1001))
    source: str | Path = path
    if is_piped:
        source = "-"
        piped(path.read_bytes())
    with VideoReader(source, options=SourceOptions(raw=raw)) as reader:
        assert reader.format.bit_depth == depth
        assert reader.format.frame_rate == Fraction(30000, 1001)
        frames = list(reader)
    assert reader.truncated is None
    times = [frame.pts * reader.format.time_base for frame in frames]
    assert times == [Fraction(1001 * index, 30000) for index in range(4)]
    for frame, before in zip(frames, written, strict=True):
        for ours, theirs in zip(frame.planes, before.planes, strict=True):
            assert np.array_equal(ours, theirs)


def _stored(planes: tuple[np.ndarray, ...], pixel_format: str) -> bytes:
    y, u, v = planes
    if pixel_format in ("nv12", "p010le"):
        both = np.stack([u, v], axis=-1)
        # P010 keeps its ten bits at the top.
        return b"".join((plane << (6 if y.itemsize == 2 else 0)).tobytes() for plane in (y, both))
    return b"".join(plane.tobytes() for plane in planes)


def test_headerless_video_cut_short_is_reported(tmp_path):
    path = tmp_path / "clip.yuv"
    path.write_bytes(bytes(36 * 32 * 3 // 2 * 3 + 100))
    raw = RawInput("yuv420p", 36, 32, Fraction(25))
    with VideoReader(path, options=SourceOptions(raw=raw)) as reader:
        assert len(list(reader)) == 3
    assert reader.truncated == f"{path} broke off in the middle of a frame"


def test_headerless_video_starts_where_asked_for(tmp_path):
    path = tmp_path / "clip.yuv"
    path.write_bytes(b"".join(bytes([value]) * (36 * 32 * 3 // 2) for value in range(50)))
    raw = RawInput("yuv420p", 36, 32, Fraction(25))
    with VideoReader(path, options=SourceOptions(raw=raw, start=Fraction(1))) as reader:
        frames = list(reader)
    assert [int(frame.y[0, 0]) for frame in frames] == list(range(25, 50))
    assert [frame.pts for frame in frames] == list(range(25))


@pytest.mark.parametrize(
    ("pixel_format", "width", "rate"), [("yuv42", 36, 25), ("yuv420p", 0, 25), ("yuv420p", 36, 0)]
)
def test_a_description_that_cannot_be_is_refused(pixel_format, width, rate):
    with pytest.raises(UsageError):
        RawInput(pixel_format, width, 32, Fraction(rate))
