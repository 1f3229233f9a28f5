"""Videos through encoder and decoder and back, by the Python API."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from codec_clips import (
    CITY,
    CPU,
    city_frames,
    coded_gops,
    cropped,
    ten_bit,
    untagged,
    write_nlc,
)
from media_clips import encode_clip, same_samples, seeded_frames

import neuralcodec
from neuralcodec.codec.tensors import to_frames, to_tensors
from neuralcodec.container import ContainerReader, GopRecord
from neuralcodec.decoder.decoder import Decoder, DecoderSettings
from neuralcodec.decoder.frame_decoder import DecodeTask, FrameDecoder
from neuralcodec.encoder.frame_encoder import EncodedFrame, FrameEncoder, FrameTask
from neuralcodec.encoder.structure.mini_gops import LOW_DELAY, P_FRAMES, Structure
from neuralcodec.errors import DamagedFile
from neuralcodec.media import VideoReader, open_writer
from neuralcodec.metrics import PsnrMeter, frame_psnr
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.video import Frame, VideoFormat


def decoded(
    installed: InstalledModel,
    fmt: VideoFormat,
    gops: Sequence[GopRecord],
    *,
    batch: int = 1,
    precision: torch.dtype = torch.float32,
) -> list[Frame]:
    decoder = Decoder(installed, fmt, DecoderSettings(batch, CPU, precision), "clip.nlc")
    return list(decoder.frames(gops))


def write_y4m(path: Path, fmt: VideoFormat, frames: Sequence[Frame]) -> Path:
    with open_writer(path, fmt) as writer:
        for frame in frames:
            writer.write(frame)
    return path


@pytest.fixture(scope="module")
def clip() -> tuple[VideoFormat, list[Frame]]:
    """Seven frames, so that GOPs of 2, 3 and 4 leave a shorter one at the end."""
    return cropped(*city_frames(7), 112, 64)


def test_recorded_psnr_is_what_a_decoder_measures_and_rises_with_quality_as_the_size_does(
    tmp_path: Path,
):
    found = []
    for quality in (8, 32, 56):
        video = tmp_path / f"{quality}.nlc"
        made = neuralcodec.encode(CITY, video, quality=quality, frames=3, device="cpu")
        shown = neuralcodec.decode(video, tmp_path / f"{quality}.y4m", reference=CITY, device="cpu")
        assert made.frames == shown.frames == 3
        assert made.bytes == video.stat().st_size
        assert shown.recorded is not None and shown.measured is not None
        for plane in ("psnr_y", "psnr_u", "psnr_v", "psnr_yuv"):
            measured = getattr(shown.measured, plane)
            assert getattr(shown.recorded, plane) == pytest.approx(measured, abs=0.05)
            assert getattr(made, plane) == pytest.approx(measured, abs=0.05)
        assert shown.notices == []
        found.append((made.bpp, made.psnr_yuv, made.psnr_y))
    for low, high in itertools.pairwise(found):
        assert all(a < b for a, b in zip(low, high, strict=True))


@pytest.mark.parametrize(
    ("width", "height", "bit_depth"), [(16, 16, 8), (17, 19, 8), (35, 31, 8), (17, 19, 10)]
)
def test_any_size_and_depth_comes_back_as_it_was(
    tmp_path: Path, width: int, height: int, bit_depth: int
):
    fmt = untagged(width, height, bit_depth)
    frames = seeded_frames(fmt, range(3))
    source = write_y4m(tmp_path / "a.y4m", fmt, frames)
    made = neuralcodec.encode(source, tmp_path / "a.nlc", quality=60, device="cpu")
    shown = neuralcodec.decode(tmp_path / "a.nlc", tmp_path / "b.y4m", device="cpu")
    assert (made.width, made.height, made.frames) == (width, height, 3)
    with VideoReader(tmp_path / "b.y4m") as reader:
        assert reader.format.bit_depth == bit_depth
        found = list(reader)
    meter = PsnrMeter()
    for original, frame in zip(frames, found, strict=True):
        for one, other in zip(original.planes, frame.planes, strict=True):
            assert one.shape == other.shape and one.dtype == other.dtype
        meter.add(original, frame)
        # nearer to the source than grey is: no other plane, scale or place
        grey = Frame(*(np.full_like(p, p.mean()) for p in original.planes), frame.pts)
        near, far = frame_psnr(original, frame), frame_psnr(original, grey)
        assert near.y > far.y + 6 and near.u > far.u + 1 and near.v > far.v + 1
    assert shown.recorded is not None
    assert shown.recorded.psnr_yuv == pytest.approx(meter.mean.yuv, abs=0.05)


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_pictures_become_tensors_and_come_back_unchanged(bit_depth: int):
    fmt = untagged(35, 31, bit_depth)
    frames = seeded_frames(fmt, (3, 7))
    y, uv = to_tensors(frames, fmt, CPU)
    assert y.shape == (2, 1, 32, 48) and uv.shape == (2, 2, 16, 24)
    step = 0.4 / (2**bit_depth - 1)  # less than what changes a sample
    for off in (-step, 0, step):
        for frame, found in zip(frames, to_frames(y + off, uv + off, fmt, (3, 7)), strict=True):
            assert same_samples(frame, found) and frame.pts == found.pts


def test_ten_bit_pictures_are_coded_as_those_of_eight(installed_model: InstalledModel):
    fmt, frames = cropped(*city_frames(2), 64, 48)
    (eight,) = coded_gops(installed_model, fmt, frames)
    deep, wide = ten_bit(fmt, frames)
    (ten,) = coded_gops(installed_model, deep, wide)
    for one, other in zip(eight.stats.psnr, ten.stats.psnr, strict=True):
        assert one == pytest.approx(other, abs=1.0)  # a wrong scale would cost many dB
    assert decoded(installed_model, deep, [ten.record])[1].y.max() > 255


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("gop", [1, 2, 3, 4, 100])
@pytest.mark.parametrize("structure", [P_FRAMES, LOW_DELAY, Structure(4)], ids=str)
def test_every_frame_comes_back_in_order_with_its_pts(
    batch: int,
    gop: int,
    structure: Structure,
    clip: tuple[VideoFormat, list[Frame]],
    installed_model: InstalledModel,
):
    fmt, frames = clip
    gops = coded_gops(installed_model, fmt, frames, gop=gop, structure=structure)
    lengths = [len(g.record.frames) for g in gops]
    starts = range(0, len(frames), gop)
    assert lengths == [min(gop, len(frames) - start) for start in starts]
    assert [g.record.first_frame for g in gops] == [gop * i for i in range(len(gops))]
    shown = decoded(installed_model, fmt, [g.record for g in gops], batch=batch)
    assert [f.pts for f in shown] == [f.pts for f in frames]
    for number, (source, frame) in enumerate(zip(frames, shown, strict=True)):
        errors = [frame_psnr(other, frame).y for other in frames]
        assert int(np.argmax(errors)) == number
        assert frame_psnr(source, frame).y > 20


def test_the_time_stamps_of_a_source_survive_even_where_they_are_irregular(tmp_path: Path):
    source = tmp_path / "a.mkv"
    encode_clip(source, "ffv1", "yuv420p", size=(32, 16), pts=[0, 1, 5, 6, 20, 22, 23])
    with VideoReader(source) as reader:
        expected = [frame.pts * reader.format.time_base for frame in reader]
    assert len(set(np.diff([float(t) for t in expected]).round(4))) > 1
    neuralcodec.encode(source, tmp_path / "a.nlc", gop=3, device="cpu")
    with neuralcodec.open(tmp_path / "a.nlc", device="cpu") as video:
        assert [frame.pts * video.format.time_base for frame in video] == expected


def test_a_gop_is_decoded_alone_as_within_its_file(
    clip: tuple[VideoFormat, list[Frame]], installed_model: InstalledModel
):
    fmt, frames = clip
    gops = [g.record for g in coded_gops(installed_model, fmt, frames, gop=3)]
    whole = decoded(installed_model, fmt, gops)
    for gop in reversed(gops):
        alone = decoded(installed_model, fmt, [gop])
        start = gop.first_frame
        assert len(alone) == len(gop.frames)
        for one, other in zip(alone, whole[start : start + len(alone)], strict=True):
            assert same_samples(one, other) and one.pts == other.pts


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("structure", [P_FRAMES, LOW_DELAY, Structure(4, is_fixed=True)], ids=str)
def test_the_encoder_shows_what_the_decoder_shows_bit_for_bit(
    precision: torch.dtype,
    batch: int,
    structure: Structure,
    clip: tuple[VideoFormat, list[Frame]],
    installed_model: InstalledModel,
    monkeypatch: pytest.MonkeyPatch,
):
    fmt, frames = clip
    promised: dict[int, Frame] = {}
    original = FrameEncoder.encode

    def spy(self: FrameEncoder, tasks: Sequence[FrameTask]) -> list[EncodedFrame]:
        coded = original(self, tasks)
        promised.update({one.shown.pts: one.shown for one in coded})
        return coded

    monkeypatch.setattr(FrameEncoder, "encode", spy)
    gops = coded_gops(installed_model, fmt, frames, gop=5, precision=precision, structure=structure)
    records = [g.record for g in gops]
    shown = decoded(installed_model, fmt, records, batch=batch, precision=precision)
    assert len(shown) == len(promised) == len(frames)
    for frame in shown:
        assert same_samples(frame, promised[frame.pts])


def test_decoding_in_bfloat16_differs_little_from_float32(
    clip: tuple[VideoFormat, list[Frame]], installed_model: InstalledModel
):
    fmt, frames = clip
    gops = [g.record for g in coded_gops(installed_model, fmt, frames, quality=40)]
    exact = decoded(installed_model, fmt, gops)
    rough = decoded(installed_model, fmt, gops, precision=torch.bfloat16)
    for source, one, other in zip(frames, exact, rough, strict=True):
        assert frame_psnr(one, other).yuv > 40
        gap = frame_psnr(source, one).yuv - frame_psnr(source, other).yuv
        assert abs(gap) < 0.5


@pytest.fixture(scope="module")
def video(
    clip: tuple[VideoFormat, list[Frame]],
    installed_model: InstalledModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """GOPs of 3, 3 and 1 frames."""
    fmt, frames = clip
    gops = coded_gops(installed_model, fmt, frames, gop=3)
    return write_nlc(tmp_path_factory.mktemp("video") / "a.nlc", installed_model, fmt, gops)


def test_random_access_gives_what_iteration_gives(
    video: Path, clip: tuple[VideoFormat, list[Frame]]
):
    with neuralcodec.open(video, device="cpu") as file:
        assert len(file) == len(clip[1]) == 7
        in_order = list(file)
        assert [f.pts for f in in_order] == [f.pts for f in clip[1]]
        for number in (4, 5, 3, 3, 0, 6, 2, -1, -7):
            found, expected = file[number], in_order[number]
            assert found.pts == expected.pts
            for plane in "yuv":
                assert torch.equal(getattr(found, plane), getattr(expected, plane))
        assert in_order[0].y.shape == (64, 112) and in_order[0].v.shape == (32, 56)
        for outside in (7, -8):
            with pytest.raises(IndexError):
                file[outside]


def test_going_on_from_the_frame_before_decodes_nothing_twice(
    video: Path, monkeypatch: pytest.MonkeyPatch
):
    decoded = []
    original = FrameDecoder.decode

    def spy(self: FrameDecoder, tasks: Sequence[DecodeTask]) -> object:
        decoded.extend(task.pts for task in tasks)
        return original(self, tasks)

    monkeypatch.setattr(FrameDecoder, "decode", spy)
    with neuralcodec.open(video, device="cpu") as file:
        in_order = [frame.pts for frame in file]
        assert decoded == in_order and len(in_order) == 7
        assert file[4].pts == file[4].pts  # from the start of its GOP, each time
    assert decoded[7:].count(in_order[3]) == 2


def test_keep_going_leaves_out_exactly_the_damaged_gop(
    video: Path, clip: tuple[VideoFormat, list[Frame]], tmp_path: Path
):
    with video.open("rb") as file:
        entries = ContainerReader(file, "a.nlc").index()
    data = bytearray(video.read_bytes())
    data[(entries[1].offset + entries[2].offset) // 2] ^= 0x10
    damaged, shown = tmp_path / "a.nlc", tmp_path / "a.mkv"
    damaged.write_bytes(data)
    with pytest.raises(DamagedFile, match="GOP 1"):
        neuralcodec.decode(damaged, shown, device="cpu")
    assert not shown.exists()
    done = neuralcodec.decode(damaged, shown, device="cpu", keep_going=True, conceal="drop")
    assert done.frames == 4 and len(done.damage) == 1 and "GOP 1" in done.damage[0]
    whole = tmp_path / "b.mkv"
    neuralcodec.decode(video, whole, device="cpu")
    with VideoReader(shown) as left, VideoReader(whole) as all_frames:
        expected = [f for i, f in enumerate(all_frames) if i not in (3, 4, 5)]
        for one, other in zip(left, expected, strict=True):
            assert same_samples(one, other)
