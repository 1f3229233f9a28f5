"""GOPs whose frames are shown in another order than that of coding, through everything that reads.

They are made of random symbols and random weights: what is in the pictures does not matter here.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from codec_clips import CPU, installed_from, random_symbols, tiny_model
from gop_placements import chain_of, pyramids

import neuralcodec
from neuralcodec.cli import main
from neuralcodec.codec import turns
from neuralcodec.codec.gop_symbols import GopSymbolEncoder, build_coder
from neuralcodec.container import (
    ContainerReader,
    ContainerWriter,
    FrameRecord,
    GopRecord,
    GopStats,
    StreamHeader,
)
from neuralcodec.decoder.decoder import Decoder, DecoderSettings, NumberedFrame
from neuralcodec.decoder.frame_decoder import DecodeTask, FrameDecoder
from neuralcodec.encoder.encoder import Encoder
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.encoder.structure.mini_gops import Structure
from neuralcodec.errors import DamagedFile
from neuralcodec.files.info import read_info
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.model.video_model import VideoModel
from neuralcodec.references import Placement, independent_runs, needed_for
from neuralcodec.video import Frame, VideoFormat

FORMAT = VideoFormat(32, 16, Fraction(1, 100), frame_rate=Fraction(25))
STRUCTURES = pyramids(17, 8), pyramids(17, 16, depth_first=True), pyramids(6, 4), chain_of(3)
STARTS = (0, 17, 34, 40)
FRAMES = 43
STEP = 4  # PTS from frame to frame


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    installed_from(tiny_model(), folder)
    return folder / "tiny.safetensors"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> InstalledModel:
    return installed_from(tiny_model(), tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def gops(model: InstalledModel) -> list[GopRecord]:
    rng, coder, found = np.random.default_rng(1), build_coder(model), []
    for first, places in zip(STARTS, STRUCTURES, strict=True):
        encoder = GopSymbolEncoder(model, coder, 1, 2)
        symbols = random_symbols(rng, 1, 2, model.model.config, places)
        frames = []
        for one, place in zip(symbols, places, strict=True):
            q = 40 - 3 * place.level
            payload = encoder.encode(one, q, place)
            frames.append(FrameRecord(STEP * (first + place.shown), q, payload, place))
        found.append(GopRecord(first, encoder.checksum, tuple(frames)))
    return found


@pytest.fixture(scope="module")
def whole(model: InstalledModel, gops: list[GopRecord]) -> bytes:
    file = io.BytesIO()
    writer = ContainerWriter(file, StreamHeader(FORMAT, 17, model.name, model.sha256))
    for gop in gops:
        psnr = tuple((30.0 + frame.place.shown, 31.0, 32.0) for frame in gop.shown)
        writer.write_gop(gop, GopStats(gop.first_frame, psnr))
    writer.finish()
    return file.getvalue()


@pytest.fixture(scope="module")
def shown(model: InstalledModel, gops: list[GopRecord]) -> list[Frame]:
    """All frames, decoded one by one and in the order of coding."""
    result: dict[int, Frame] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turns, "MOST_AT_ONCE", 1)
        for numbered in decoded(model, gops):
            result[numbered.number] = numbered.frame
    return [result[n] for n in range(FRAMES)]


@pytest.fixture
def path(whole: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "film.nlc"
    path.write_bytes(whole)
    return path


def decoded(
    model: InstalledModel, gops: Sequence[GopRecord], batch: int = 1
) -> list[NumberedFrame[Frame]]:
    settings = DecoderSettings(batch, CPU, torch.float32)
    return list(Decoder(model, FORMAT, settings, "film.nlc").numbered_frames(gops))


def same(one: Frame, other: Frame) -> bool:
    """Up to rounding."""
    planes = zip(one.planes, other.planes, strict=True)
    return one.pts == other.pts and all(
        int(np.abs(a.astype(int) - b).max()) <= 1 for a, b in planes
    )


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """PTS of the frames that go through the networks together."""
    seen: list[list[int]] = []
    original = FrameDecoder.decode

    def spy(self: FrameDecoder, tasks: Sequence[DecodeTask]) -> object:
        seen.append([task.pts for task in tasks])
        return original(self, tasks)

    monkeypatch.setattr(FrameDecoder, "decode", spy)
    return seen


def test_the_pictures_of_a_pyramid_differ_from_those_of_a_chain(shown: list[Frame]):
    """Else the other tests would prove nothing."""
    for one, other in pairwise(shown):
        assert np.abs(one.y.astype(int) - other.y).max() > 8


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_frames_come_in_the_order_of_showing_for_any_batch(
    model: InstalledModel, gops: list[GopRecord], shown: list[Frame], batch: int
):
    found = decoded(model, gops, batch)
    assert [frame.number for frame in found] == list(range(FRAMES))
    assert all(same(frame.frame, shown[frame.number]) for frame in found)


def test_frames_of_a_level_go_through_the_networks_together(
    model: InstalledModel, gops: list[GopRecord], tasks: list[list[int]]
):
    decoded(model, gops[:1])
    numbers = [[pts // STEP for pts in run] for run in tasks]
    assert numbers[:5] == [[0], [8], [4], [2, 6], [1, 3, 5, 7, 16]]
    assert [len(run) for run in numbers] == [1, 1, 1, 2, 5, 1, 2, 4]


def test_large_pictures_go_through_the_networks_one_by_one(
    model: InstalledModel,
    gops: list[GopRecord],
    tasks: list[list[int]],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(turns, "SAMPLES_AT_ONCE", 2 * 32 * 16)
    decoded(model, gops[:1])
    assert [len(run) for run in tasks] == [1, 1, 1, 2, 2, 2, 1, 1, 2, 2, 2]


def test_large_pictures_are_coded_few_at_a_time(
    model: InstalledModel, shown: list[Frame], monkeypatch: pytest.MonkeyPatch
):
    seen: list[int] = []
    original = VideoModel.code_inter

    def spy(self: VideoModel, y: torch.Tensor, *others: Any) -> object:
        seen.append(len(y))
        return original(self, y, *others)

    monkeypatch.setattr(VideoModel, "code_inter", spy)
    structure = Structure(8, is_fixed=True)
    settings = EncoderSettings(32, 9, CPU, torch.float32, structure=structure)
    for most, batches in ((1 << 20, [1, 1, 2, 4]), (2 * 32 * 16, [1, 1, 2, 2, 2])):
        monkeypatch.setattr(turns, "SAMPLES_AT_ONCE", most)
        seen.clear()
        Encoder(model, FORMAT, settings).results(iter(shown[:9]))
        assert seen == batches


def test_a_run_ends_at_the_first_frame_that_needs_one_of_it():
    a, b, c = (Placement(n, slots=(0, 0), stored=None) for n in (1, 2, 3))
    reads_b = Placement(4, slots=(1, 0), stored=None)
    writes = replace(b, stored=1)
    assert independent_runs([Placement(0), a, b, c], 9) == [range(1), range(1, 4)]
    runs = independent_runs([Placement(0), a, writes, c, reads_b], 9)
    assert runs == [range(1), range(1, 4), range(4, 5)]
    # What one of a run overwrites, those after it no longer mean.
    over = replace(b, stored=0)
    assert independent_runs([Placement(0), a, over, c], 9) == [range(1), range(1, 3), range(3, 4)]


def test_only_what_a_frame_needs_is_parsed_and_decoded(
    model: InstalledModel, gops: list[GopRecord], shown: list[Frame], tasks: list[list[int]]
):
    for gop in gops:
        for number in range(len(gop.frames)):
            tasks.clear()
            [found] = decoded(model, [gop.only(range(number, number + 1))])
            assert found.number == gop.first_frame + number
            assert same(found.frame, shown[found.number])
            read = sum(map(len, tasks))
            assert read == len(needed_for([f.place for f in gop.frames], {number}))
            assert read <= 7


def test_the_last_frame_of_a_long_gop_needs_a_seventh_of_it():
    assert len(needed_for(pyramids(96, 8), {95})) <= 15
    assert len(needed_for(pyramids(97, 8), {93})) <= 1 + 12 + 3


@pytest.mark.parametrize(("first", "end"), [(0, 3), (3, 5), (15, 17), (7, 9), (1, 17)])
def test_any_stretch_of_a_gop_is_what_it_is_in_the_whole(
    model: InstalledModel, gops: list[GopRecord], shown: list[Frame], first: int, end: int
):
    for gop in gops[:2]:
        found = decoded(model, [gop.only(range(first, end))])
        assert [f.number - gop.first_frame for f in found] == list(range(first, end))
        assert all(same(f.frame, shown[f.number]) for f in found)


def test_a_part_of_the_time_is_decoded_without_the_rest(
    path: Path, model_file: Path, shown: list[Frame], tasks: list[list[int]], tmp_path: Path
):
    part = neuralcodec.PartOptions(start=Fraction(13, 25), frames=6)
    done = neuralcodec.decode(
        path, tmp_path / "a.y4m", model=model_file, part=part, device="cpu", precision="float32"
    )
    assert done.frames == 6
    assert done.recorded is not None
    # Frames 13 to 16 of the first GOP, 0 and 1 of the second
    assert done.recorded.psnr_y == pytest.approx(np.mean([43, 44, 45, 46, 30, 31]), abs=0.01)
    numbers = {pts // STEP for run in tasks for pts in run}
    assert numbers == {0, 8, 16, 12, 14, 13, 15} | {17 + n for n in (0, 16, 8, 4, 2, 1)}
    with neuralcodec.media.VideoReader(tmp_path / "a.y4m") as reader:
        pictures = list(reader)
    for number, picture in enumerate(pictures, 13):
        assert same(replace(picture, pts=shown[number].pts), shown[number])


def test_random_access_gives_each_frame_and_goes_on_where_that_is_less(
    path: Path, model_file: Path, shown: list[Frame], tasks: list[list[int]]
):
    def is_right(file: neuralcodec.VideoFile, number: int) -> bool:
        found = file[number]
        frame = Frame(*(plane.numpy() for plane in found[:3]), found.pts)
        return same(frame, shown[number])

    with neuralcodec.open(path, device="cpu", model=model_file) as file:
        assert len(file) == FRAMES
        assert [frame.pts for frame in file] == [frame.pts for frame in shown]
        assert sum(map(len, tasks)) == FRAMES  # nothing twice
        for number in (16, 0, 1, 2, 9, 3, 20, 33, 18, 42, 34, 35, 16, 17, -1):
            assert is_right(file, number % FRAMES)
        clip = file.clip(5, 9)
        assert clip.pts.tolist() == [frame.pts for frame in shown[5:14]]
    with neuralcodec.open(path, device="cpu", model=model_file) as file:
        tasks.clear()
        assert is_right(file, 16)
        assert {pts // STEP for run in tasks for pts in run} == {0, 8, 16}


def test_a_damaged_payload_costs_its_gop_and_is_told(
    model: InstalledModel, gops: list[GopRecord], path: Path, model_file: Path, tmp_path: Path
):
    """With a CRC-32 that holds: the symbols of the fourth frame coded, number 2, do not parse."""
    frames = list(gops[0].frames)
    frames[3] = replace(frames[3], payload=b"nonsense")
    forged = [replace(gops[0], frames=tuple(frames)), *gops[1:]]
    file = io.BytesIO()
    writer = ContainerWriter(file, StreamHeader(FORMAT, 17, model.name, model.sha256))
    for gop in forged:
        writer.write_gop(gop, None)
    writer.finish()
    path.write_bytes(file.getvalue())
    settings = DecoderSettings(1, CPU, torch.float32)
    found = []
    with pytest.raises(DamagedFile, match=r"frames 0 to 16, 0.000 s to 0.680 s\): frame 2: "):
        for frame in Decoder(model, FORMAT, settings, "film.nlc").numbered_frames(forged):
            found.append(frame.number)
    assert found == [0]  # 8 and 4 are coded before it and shown after it
    done = neuralcodec.decode(
        path, tmp_path / "a.mkv", model=model_file, keep_going=True, device="cpu"
    )
    assert (done.frames, done.concealed, len(done.damage)) == (FRAMES, 17, 1)
    # What does not need the damaged frame can still be fetched.
    with neuralcodec.open(path, device="cpu", model=model_file) as file:
        assert file[16].pts == 16 * STEP
        with pytest.raises(DamagedFile, match=r"frames 1 to 16, 0.040 s to 0.680 s\): frame 2: "):
            file[1]


def test_a_cut_file_gives_whole_gops_and_check_and_repair_know_them(
    whole: bytes, path: Path, model_file: Path, shown: list[Frame], tmp_path: Path
):
    def run(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(main, [*map(str, arguments)])
        return result.exit_code, result.output

    assert run("check", path, "-m", model_file)[0] == 0
    index = ContainerReader(io.BytesIO(whole), "film.nlc").index()
    data = bytearray(whole)
    data[index[1].offset + 60] ^= 1
    path.write_bytes(data[: index[3].offset + 20])
    code, text = run("check", path, "-m", model_file, "--json")
    (checked,) = json.loads(text.splitlines()[-1])["files"]
    assert (code, checked["gops"], checked["frames"]) == (1, 2, 17 + 6)
    assert checked["damage"][0]["first_frame"] == 17
    assert checked["damage"][0]["end_frame"] == 34
    assert checked["damage"][0]["end_time"] == pytest.approx(34 / 25)
    fixed = tmp_path / "fixed.nlc"
    assert run("repair", path, fixed, "-m", model_file)[0] == 0
    assert run("check", fixed, "-m", model_file)[0] == 0
    with neuralcodec.open(fixed, device="cpu", model=model_file) as file:
        kept = [*range(17), *range(34, 40)]
        assert [frame.pts for frame in file] == [shown[n].pts for n in kept]


def test_info_tells_type_level_and_references(path: Path):
    info = read_info(path, frames=True, gops=True)
    assert info.frame_table is not None and info.gop_table is not None
    assert [frame.number for frame in info.frame_table] == list(range(FRAMES))
    assert [frame.pts for frame in info.frame_table] == [STEP * n for n in range(FRAMES)]
    rows = [(frame.type, frame.level, frame.references) for frame in info.frame_table]
    assert rows[:3] == [("I", 0, []), ("B", 3, [0, 2]), ("B", 2, [0, 4])]
    assert rows[8] == ("P", 0, [0])
    assert rows[16] == ("P", 0, [8, 0])
    assert rows[17 + 8] == ("B", 1, [17, 33])
    assert rows[40:] == [("I", 0, []), ("P", 0, [40]), ("P", 0, [41])]
    assert [frame.psnr_y for frame in info.frame_table[:17]] == [30.0 + n for n in range(17)]
    assert [frame.quality for frame in info.frame_table[:9]] == [40, 31, 34, 31, 37, 31, 34, 31, 40]
    assert [gop.time for gop in info.gop_table] == [first / 25 for first in STARTS]
    result = CliRunner().invoke(main, ["info", str(path), "--frames"])
    row = result.output.splitlines()[-FRAMES:][16].split()
    assert row[2:5] == ["P", "0", "8,0"]


def test_a_plot_has_all_types_of_frames(path: Path, tmp_path: Path):
    pytest.importorskip("matplotlib")
    result = CliRunner().invoke(main, ["info", str(path), "--plot", str(tmp_path / "a.png")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "a.png").stat().st_size > 10_000
