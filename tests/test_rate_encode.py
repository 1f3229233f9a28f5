"""Rate control of whole encodes: real frames, real bits, real files."""

import hashlib
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from codec_clips import city_frames, cropped

import neuralcodec
from neuralcodec.codec.gop_symbols import GopSymbolEncoder
from neuralcodec.encoder.frame_encoder import FrameEncoder
from neuralcodec.errors import UsageError
from neuralcodec.media import open_writer
from neuralcodec.rate.target import RateKind, RateTarget
from neuralcodec.video import Frame, VideoFormat

FRAMES, GOP = 32, 12


def write_source(path: Path, fmt: VideoFormat, frames: Sequence[Frame]) -> Path:
    with open_writer(path, fmt) as writer:
        for frame in frames:
            writer.write(frame)
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Motion, four still frames, then another scene."""
    fmt, frames = cropped(*city_frames(14), 48, 32)
    other = [Frame(255 - f.y[:, ::-1], f.u[:, ::-1], f.v[:, ::-1], f.pts) for f in frames]
    shown = frames + [frames[-1]] * 4 + other
    numbered = [replace(f, pts=n) for n, f in enumerate(shown)]
    return write_source(tmp_path_factory.mktemp("rate") / "source.y4m", fmt, numbered)


def encoded(source: Path, kind: RateKind, value: float) -> neuralcodec.EncodeSummary:
    target = source.with_name(f"{kind.value}.nlc")
    rate = RateTarget(kind, value)
    return neuralcodec.encode(source, target, rate=rate, preset="fast", gop=GOP, overwrite=True)


@pytest.mark.parametrize(("kind", "value"), [(RateKind.SIZE, 6_000.0), (RateKind.PSNR, 34.0)])
def test_a_file_meets_its_target(source: Path, kind: RateKind, value: float):
    done = encoded(source, kind, value)
    assert done.frames == FRAMES
    assert done.rate is not None
    if kind is RateKind.PSNR:
        assert done.rate.achieved == pytest.approx(done.psnr_yuv)
        assert done.rate.achieved == pytest.approx(value, abs=0.1)
    else:  # little over a second: too short for the 2 percent of longer clips
        assert done.rate.achieved == pytest.approx(value, rel=0.08)
    if kind is RateKind.SIZE:
        assert done.rate.achieved == done.bytes == source.with_name("size.nlc").stat().st_size


def test_a_size_out_of_reach_is_told_with_the_nearest(source: Path):
    done = encoded(source, RateKind.SIZE, 1000.0)
    assert done.rate is not None
    assert not done.rate.met
    nearest = done.rate.target.text(float(done.bytes))
    assert done.rate.notice == f"1000 bytes is out of reach: {nearest} is the nearest"
    assert done.rate.notice in done.notices


def test_a_pipe_cannot_be_given_a_size(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with source.open() as file:
        monkeypatch.setattr("sys.stdin", file)
        with pytest.raises(UsageError, match="read twice"):
            neuralcodec.encode("-", tmp_path / "a.nlc", rate=RateTarget(RateKind.SIZE, 1e4))


def test_the_bytes_do_not_depend_on_which_thread_is_faster(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def digest() -> str:
        rate = RateTarget(RateKind.BITRATE, 80e3)
        path = tmp_path / "timing.nlc"
        neuralcodec.encode(source, path, rate=rate, gop=GOP, frames=10, overwrite=True)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    usual = digest()
    for owner in (FrameEncoder, GopSymbolEncoder):
        with monkeypatch.context() as patch:
            healthy = owner.encode

            def slow(self, *arguments, healthy=healthy):
                time.sleep(0.03)
                return healthy(self, *arguments)

            patch.setattr(owner, "encode", slow)
            assert digest() == usual


def test_a_failure_ends_the_encode_while_its_source_stalls(source: Path, tmp_path: Path):
    fifo = tmp_path / "source.y4m"
    os.mkfifo(fifo)
    go_on = threading.Event()

    def feed() -> None:
        with fifo.open("wb") as file:
            file.write(source.read_bytes())  # and no end
            file.flush()
            go_on.wait(30)

    def fail(state: neuralcodec.ProgressState) -> None:
        raise KeyboardInterrupt

    feeder = threading.Thread(target=feed)
    feeder.start()
    start = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            neuralcodec.encode(fifo, tmp_path / "a.nlc", progress=fail)
        assert time.monotonic() - start < 15
        assert not (tmp_path / "a.nlc").exists()
    finally:
        go_on.set()
        feeder.join()
