"""`ncodec info` and `ncodec models`: tables, the plot, and what is said of files and models."""

import builtins
import hashlib
import json
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from codec_clips import tiny_model, untagged

import neuralcodec.model.installed as installed
from neuralcodec.cli import main
from neuralcodec.container import (
    ContainerReader,
    ContainerWriter,
    FrameRecord,
    GopRecord,
    GopStats,
    StreamHeader,
)
from neuralcodec.files.info import read_info
from neuralcodec.model.model_file import model_bytes
from neuralcodec.references import chain

FAULT, USAGE = 1, 2


def ncodec(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def write_container(path: Path, frames: int, gop: int, with_psnr: bool = True) -> Path:
    """A file whose payloads mean nothing: `info` never decodes them."""
    rng = np.random.default_rng(frames)
    with path.open("wb") as file:
        writer = ContainerWriter(file, StreamHeader(untagged(320, 240), gop, "fast", bytes(32)))
        for first in range(0, frames, gop):
            numbers = range(first, min(first + gop, frames))
            records = tuple(
                FrameRecord(n, 40 if n == first else 32, bytes(10 + n % 5), chain(n - first))
                for n in numbers
            )
            psnr = tuple(tuple(rng.uniform(30, 40, 3)) for _ in numbers)
            writer.write_gop(GopRecord(first, 0, records), GopStats(first, psnr))
        writer.finish()
    if not with_psnr:
        path.write_bytes(without_statistics(path.read_bytes()))
    return path


def without_statistics(data: bytes) -> bytes:
    """Every `stat` chunk as one of a type that readers skip."""
    result, at = bytearray(data[:12]), 12
    while at < len(data):
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        body = data[at:end].replace(b"stat", b"more", 1)
        result += body + zlib.crc32(body).to_bytes(4, "little")
        at = end + 4
    return bytes(result)


@pytest.fixture
def weights(tmp_path, monkeypatch) -> Path:
    """A folder of installed models that may be altered; 'tiny' is in it."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setattr(installed, "weights_folder", lambda: folder)
    record = {"steps": 12, "data": ["a", "b\x1b[2J"], "held_out": 3, "hours": float("nan")}
    data = model_bytes(tiny_model(), record)
    (folder / "tiny.safetensors").write_bytes(data)
    (folder / "index.json").write_text(json.dumps({"tiny": hashlib.sha256(data).hexdigest()}))
    return folder


def test_the_frame_table_says_what_each_frame_is_and_takes(small_coded):
    rows = ncodec("info", small_coded, "--frames").stdout.splitlines()[-12:]
    info = read_info(small_coded, frames=True)
    assert info.frame_table is not None
    qualities = {}
    with small_coded.open("rb") as file:
        for gop, _ in ContainerReader(file, "small").gops():
            qualities |= {gop.first_frame + f.place.shown: f.q for f in gop.frames}
    for number, (row, frame) in enumerate(zip(rows, info.frame_table, strict=True)):
        cells = row.split()
        assert cells[0] == str(number) == str(frame.number)
        types = {True: "B", False: "P"}[max(frame.references, default=0) > number]
        assert cells[2] == frame.type == (types if number % 4 else "I")
        assert int(cells[3]) == frame.level
        assert cells[4] == (",".join(map(str, frame.references)) or "-")
        assert all(n // 4 == number // 4 for n in frame.references)
        assert (int(cells[5]), float(cells[6])) == (number, number / 25)
        assert int(cells[7]) == frame.bits
        assert int(cells[8]) == frame.quality == qualities[number]
        assert float(cells[12]) == pytest.approx(frame.psnr_yuv, abs=0.00501)
    yuv = [frame.psnr_yuv for frame in info.frame_table]
    assert np.mean(yuv) == pytest.approx(info.psnr_yuv)


def test_the_gop_table_adds_up_to_the_frames_of_the_frame_table(small_coded):
    info = read_info(small_coded, gops=True, frames=True)
    assert info.gop_table is not None and info.frame_table is not None
    for gop in info.gop_table:
        own = [frame for frame in info.frame_table if frame.gop == gop.number]
        assert (gop.first_frame, gop.frames) == (own[0].number, len(own))
        assert gop.bits == sum(frame.bits for frame in own)
        assert gop.intra_bits == own[0].bits
        assert gop.time == own[0].time
        assert gop.psnr_y == pytest.approx(np.mean([frame.psnr_y for frame in own]))
    rows = ncodec("info", small_coded, "--gops").stdout.splitlines()[-len(info.gop_table) :]
    assert [int(row.split()[4]) for row in rows] == [gop.bits for gop in info.gop_table]


def test_a_file_without_psnr_has_dashes_for_it(tmp_path):
    coded = write_container(tmp_path / "a.nlc", 3, 2, with_psnr=False)
    result = ncodec("info", coded, "--frames", "--gops")
    assert result.exit_code == 0
    assert "PSNR     " not in result.stdout
    assert result.stdout.splitlines()[-1].split()[-4:] == ["-"] * 4


@pytest.mark.parametrize(
    ("frames", "gop", "with_psnr"), [(1, 1, True), (10, 4, False), (9000, 96, True)]
)
def test_a_plot_is_a_picture_whatever_the_number_of_frames(tmp_path, frames, gop, with_psnr):
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    coded = write_container(tmp_path / "$a_b.nlc", frames, gop, with_psnr)
    result = ncodec("info", coded, "--plot", tmp_path / "p.png", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["frame_table"] is None  # was not asked for
    assert sorted(p.name for p in tmp_path.iterdir()) == ["$a_b.nlc", "p.png"]
    picture = imread(tmp_path / "p.png")
    assert picture.shape[:2] == (780, 1430)
    blue = (picture[..., 2] > 0.5) & (picture[..., 0] < 0.3)
    assert (blue.mean() > 0.05) == (frames > 1)  # the area of the inter frames' bars


def test_a_plot_is_refused_before_anything_is_read(tmp_path, small_coded, monkeypatch):
    taken = tmp_path / "taken.png"
    taken.write_bytes(b"old")
    assert "-y" in ncodec("info", "missing.nlc", "--plot", taken).stderr
    assert taken.read_bytes() == b"old"
    result = ncodec("info", small_coded, "--plot", tmp_path / "p.jpg")
    assert result.exit_code == USAGE
    assert ".png" in result.stderr

    def without_matplotlib(name: str, *rest: object) -> object:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return original(name, *rest)  # type: ignore[arg-type]

    original = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    result = ncodec("info", small_coded, "--plot", tmp_path / "p.png")
    assert result.exit_code == FAULT
    assert "pip install 'neuralcodec[bench]'" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["taken.png"]


def test_models_lists_what_is_installed_and_how_it_was_trained():
    words = ncodec("models").stdout
    found = json.loads(ncodec("models", "--json").stdout)["models"]
    model = next(m for m in found if Path(m["file"]).stem == "fast")
    file = Path(model["file"])
    assert model["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert model["bytes"] == file.stat().st_size
    for part in ("fast", model["sha256"][:16], f"{len(model['data'])} clips", "steps"):
        assert part in words
    for other in found:  # each by the name that --model takes
        name = Path(other["file"]).stem
        assert f"\n{name} " in words
        assert other["sha256"] in ncodec("models", name).stdout
    full = ncodec("models", "fast").stdout
    assert model["sha256"] in full
    assert all(clip in full for clip in model["data"] + model["held_out"])


def test_parameters_are_those_of_the_networks(weights):
    (model,) = json.loads(ncodec("models", "--json").stdout)["models"]
    assert model["parameters"] == sum(p.numel() for p in tiny_model().parameters())


def test_a_training_record_of_nonsense_does_no_harm(weights):
    text = ncodec("models", weights / "tiny.safetensors").stdout
    assert "\x1b" not in text
    assert "b?[2J" in text
    assert "2 clips, 12 steps" in text


def test_models_shows_the_sound_ones_beside_a_broken_one(weights):
    (weights / "broken.safetensors").write_bytes(b"garbage")
    index = json.loads((weights / "index.json").read_text())
    (weights / "index.json").write_text(json.dumps({**index, "broken": "00" * 32}))
    result = ncodec("models")
    assert result.exit_code == FAULT
    assert "tiny" in result.stdout
    assert "broken.safetensors: not a model file" in result.stdout
    figures = json.loads(ncodec("models", "--json").stdout)
    assert ([m["name"] for m in figures["models"]], len(figures["damage"])) == (["tiny"], 1)


def test_a_model_that_is_not_there_is_told_with_those_that_are(weights):
    result = ncodec("models", "slow")
    assert result.exit_code == FAULT
    assert "there is: tiny" in result.stderr


def test_a_broken_installed_model_does_not_keep_others_from_decoding(
    weights, small_coded, tmp_path
):
    source = Path(__file__).parent.parent / "neuralcodec/model/weights/fast.safetensors"
    (weights / "aaa.safetensors").write_bytes(b"garbage")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    (weights / "index.json").write_text(json.dumps({"aaa": "00" * 32, "fast": digest}))
    shutil.copy(source, weights / "fast.safetensors")
    assert ncodec("decode", small_coded, tmp_path / "o.yuv").exit_code == 0
    (weights / "fast.safetensors").write_bytes(source.read_bytes()[:-1])
    result = ncodec("decode", small_coded, tmp_path / "p.yuv")
    assert result.exit_code == FAULT
    assert "the installed model 'fast' is damaged" in result.stderr
