"""Whatever is done to a media file, it is read or refused, and its frames are in order.

A small part of `scripts/fuzz_media.py`, which compares with FFmpeg's command line as well.
"""

import random
from itertools import pairwise
from pathlib import Path

import av
import pytest
from source_clips import encode_pictures, mux, video_with_sound

from neuralcodec.errors import NcodecError
from neuralcodec.media import VideoReader
from neuralcodec.media.sources.source_options import SourceOptions

FRAMES = 12
# Encoders of pictures and of sound that a container holds.
KINDS = {
    "ts": ("mpeg2video", "mp2"),
    "mpg": ("mpeg2video", "mp2"),
    "avi": ("mpeg4", "libmp3lame"),
    "flv": ("flv", "libmp3lame"),
    "mkv": ("mpeg4", "ac3"),
    "mp4": ("mpeg4", "aac"),
    "webm": ("libvpx", "libopus"),
    "gif": ("gif", ""),
}
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}


@pytest.fixture(scope="module")
def pieces(tmp_path_factory) -> dict[str, list[bytes]]:
    """Of each container: with sound and without."""
    folder = tmp_path_factory.mktemp("pieces")
    made: dict[str, list[bytes]] = {}
    for kind, (pictures, sound) in KINDS.items():
        silent, whole = folder / f"silent.{kind}", folder / f"whole.{kind}"
        with av.open(silent, "w") as container:
            video = container.add_stream(pictures, 25, width=48, height=32)
            pixel_format = "rgb8" if kind == "gif" else "yuv420p"
            video.pix_fmt = pixel_format
            mux(container, encode_pictures(video, range(FRAMES), pixel_format=pixel_format))
        made[kind] = [silent.read_bytes()]
        if sound:
            fragmented = FRAGMENTED if kind == "mp4" else None
            coding = {"video_codec": pictures, "container_options": fragmented}
            video_with_sound(whole, sound, frames=FRAMES, **coding)
            made[kind].append(whole.read_bytes())
    return made


def altered(rng: random.Random, pieces: list[bytes]) -> bytes:
    """Two pieces joined, with a piece cut off or out or bits flipped."""
    data = bytearray(b"".join(rng.choices(pieces, k=2)))
    start = rng.randrange(len(data) // 8, len(data))
    how = rng.choice(("whole", "beginning", "end", "middle", "bits"))
    if how == "beginning":
        del data[: rng.randrange(1, len(data) // 2)]
    elif how == "end":
        del data[start:]
    elif how == "middle":
        del data[start : start + rng.choice((1, 188, 1000))]
    elif how == "bits":
        for _ in range(5):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def read(path: Path) -> tuple[list[int], int]:
    """Times of the frames, and the number of packets beside them."""
    packets = 0
    times = []
    with VideoReader(path, options=SourceOptions()) as reader:
        for frame in reader:
            assert frame.y.shape == (reader.format.height, reader.format.width)
            times.append(frame.pts)
            packets += len(reader.take_packets())
        packets += len(reader.take_packets())
    return times, packets


@pytest.mark.parametrize("number", range(24))
def test_a_file_joined_and_cut_at_random_is_read_in_order_or_refused(tmp_path, pieces, number):
    rng = random.Random(number)
    kind = list(KINDS)[number % len(KINDS)]
    path = tmp_path / f"file.{kind}"
    path.write_bytes(altered(rng, pieces[kind]))
    try:
        times, packets = read(path)
    except NcodecError as error:
        assert str(path) in str(error)
        return
    assert 0 < len(times) <= 3 * FRAMES  # lost references make a decoder show a frame twice
    assert all(before < after for before, after in pairwise(times))
    assert packets <= 4 * FRAMES * 1920 // 384  # the smallest packets hold 384 samples
