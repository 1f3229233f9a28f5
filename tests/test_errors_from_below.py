"""The disk, the memory and the machine fail: one clear line, and nothing half-written."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from codec_clips import CPU, city_frames, cropped

import neuralcodec
from neuralcodec.atomic_file import signals_held
from neuralcodec.cli import main
from neuralcodec.decoder.frame_decoder import FrameDecoder
from neuralcodec.encoder.encoder import Encoder
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.encoder.frame_encoder import FrameEncoder
from neuralcodec.errors import DeviceError, OutputError
from neuralcodec.media import open_writer
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.video import Frame, VideoFormat

posix = pytest.mark.skipif(os.name != "posix", reason="as in POSIX")
GPU_OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
CPU_OUT_OF_MEMORY = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

NOISY: dict[str, Any] = {"gop": 2, "quality": 63, "device": "cpu"}


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount here")
    if done.returncode:
        pytest.skip("no permission to mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Y4M of 10 frames of 64x48 that nothing predicts."""
    fmt = VideoFormat(64, 48, Fraction(1, 25), frame_rate=Fraction(25))
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("noise") / "noise.y4m"
    with open_writer(path, fmt) as writer:
        for number in range(10):
            planes = [rng.integers(0, 256, size, np.uint8) for size in [(48, 64), *[(24, 32)] * 2]]
            writer.write(Frame(*planes, number))
    return path


@pytest.fixture(scope="module")
def coded_noise(noise: Path) -> Path:
    """In GOPs of two frames, 40 kB."""
    path = noise.with_name("noise.nlc")
    neuralcodec.encode(noise, path, **NOISY)
    return path


@pytest.mark.parametrize("name", ["o.nlc", "o.y4m", "o.mkv", "f%d.png"])
def test_a_disk_that_fills_up_is_told_and_left_empty(
    name: str, full_disk: Path, noise: Path, coded_noise: Path
):
    verb = ["encode", str(noise)] if name == "o.nlc" else ["decode", str(coded_noise)]
    options = ["-q", "63"] if name == "o.nlc" else []
    result = CliRunner().invoke(main, [*verb, str(full_disk / name), *options])
    assert "No space left on device; free some space" in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.exit_code == 1
    assert not list(full_disk.iterdir())


def test_a_disk_that_fills_up_keeps_what_is_complete_where_it_is_resumable(
    full_disk: Path, noise: Path, coded_noise: Path
):
    out = full_disk / "o.nlc"
    with pytest.raises(OutputError, match="No space left"):
        neuralcodec.encode(noise, out, resumable=True, **NOISY)
    assert (full_disk / "o.nlc.part").stat().st_size > 0
    subprocess.run(["mount", "-o", "remount,size=1m", str(full_disk)], check=True)
    done = neuralcodec.encode(noise, out, resumable=True, **NOISY)
    assert any("went on" in notice for notice in done.notices)
    assert out.read_bytes() == coded_noise.read_bytes()


LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))"


@posix
@pytest.mark.parametrize("case", ["file size limit", "no standard output"])
def test_what_the_system_does_not_allow_is_told_in_one_line(case: str, noise: Path, tmp_path: Path):
    start, out = LIMITED, str(tmp_path / "o.nlc")
    if case == "no standard output":
        start, out = "import os", "-"
    program = f"{start}; from neuralcodec.cli import main; main()"
    command = [sys.executable, "-P", "-c", program, "encode", str(noise), out, "-q", "63"]
    if case == "no standard output":
        command = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    what = "File too large; free some" if case == "file size limit" else "standard output: it is"
    assert what in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def short_of_memory(
    monkeypatch: pytest.MonkeyPatch, most: int, error: Exception, verb: str
) -> None:
    """Networks of more than so many frames at once fail."""
    owner, method = (FrameEncoder if verb == "encode" else FrameDecoder), f"_{verb}"
    original = getattr(owner, method)

    def limited(self: Any, tasks: list[Any]) -> Any:
        if len(tasks) > most:
            raise error
        return original(self, tasks)

    monkeypatch.setattr(owner, method, limited)


@pytest.mark.parametrize("error", [GPU_OUT_OF_MEMORY, CPU_OUT_OF_MEMORY, MemoryError()], ids=repr)
def test_a_batch_too_large_for_the_memory_is_coded_in_turns_with_a_notice(
    error: Exception, installed_model: InstalledModel, monkeypatch: pytest.MonkeyPatch
):
    fmt, frames = cropped(*city_frames(10), 48, 32)
    settings = EncoderSettings(32, 5, CPU, torch.float32)  # with 2 frames at once

    def coded() -> tuple[list[Any], list[str]]:
        encoder = Encoder(installed_model, fmt, settings)
        return list(encoder.gops(iter(frames))), encoder.notices

    whole, notices = coded()
    assert not notices
    short_of_memory(monkeypatch, 1, error, "encode")
    in_turns, notices = coded()
    assert len(notices) == 1
    assert "out of memory on cpu: 1 frame at once instead of" in notices[0]
    assert [g.record.first_frame for g in in_turns] == [g.record.first_frame for g in whole]
    for one, other in zip(in_turns, whole, strict=True):
        assert np.allclose(one.stats.psnr, other.stats.psnr, atol=0.3)


def test_decoding_falls_back_as_well_and_shows_the_same(
    small_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    coded = tmp_path / "a.nlc"
    neuralcodec.encode(small_source, coded, gop=4, device="cpu")
    options: dict[str, Any] = {"device": "cpu", "precision": "float32"}
    neuralcodec.decode(coded, tmp_path / "alone.y4m", **options)
    short_of_memory(monkeypatch, 2, GPU_OUT_OF_MEMORY, "decode")
    done = neuralcodec.decode(coded, tmp_path / "turns.y4m", batch=3, **options)
    assert any("2 frames at once instead of 3" in notice for notice in done.notices)
    alone = (tmp_path / "alone.y4m").read_bytes()
    in_turns = (tmp_path / "turns.y4m").read_bytes()
    assert len(in_turns) == len(alone)
    pairs = zip(in_turns, alone, strict=True)
    assert max(abs(one - other) for one, other in pairs) <= 1


@pytest.mark.parametrize("verb", ["encode", "decode"])
def test_too_little_memory_for_one_frame_is_one_clear_line(
    verb: str,
    small_source: Path,
    small_coded: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    short_of_memory(monkeypatch, 0, GPU_OUT_OF_MEMORY, verb)
    source = small_source if verb == "encode" else small_coded
    out = tmp_path / ("o.nlc" if verb == "encode" else "o.y4m")
    result = CliRunner().invoke(main, [verb, str(source), str(out)])
    assert result.exit_code == DeviceError.exit_code
    assert "does not suffice for a frame of 48x32" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_too_little_memory_anywhere_else_is_one_clear_line(
    small_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Encoder, "__init__", fail)
    result = CliRunner().invoke(main, ["encode", str(small_source), str(tmp_path / "o.nlc")])
    assert result.exit_code == 1
    assert result.stderr == "ncodec: out of memory: free some, or use a smaller picture\n"
    assert not list(tmp_path.iterdir())


@posix
def test_a_signal_while_pictures_get_their_names_waits_until_all_have_one(
    small_coded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    original = Path.replace

    def replace(self: Path, target: Path) -> Path:
        os.kill(os.getpid(), signal.SIGTERM)
        assert not came
        return original(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    try:
        neuralcodec.decode(small_coded, tmp_path / "f%d.png", device="cpu")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert set(came) == {signal.SIGTERM}
    assert len(list(tmp_path.iterdir())) == 12


@posix
def test_signals_are_held_and_then_come_through():
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        with signals_held():
            os.kill(os.getpid(), signal.SIGINT)
            assert not came
        assert came == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)
