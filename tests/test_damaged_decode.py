"""Damaged files through decode, check and repair: every undamaged GOP, at its time, and no more."""

import io
import json
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from carried_clips import RATE, pcm_stream
from click.testing import CliRunner
from codec_clips import CPU, installed_from, random_symbols, tiny_model
from gop_placements import pyramids
from hypothesis import given, settings
from hypothesis import strategies as st

import neuralcodec
from neuralcodec.cli import main
from neuralcodec.codec.gop_symbols import GopSymbolEncoder, build_coder
from neuralcodec.container import (
    ContainerReader,
    ContainerWriter,
    Extras,
    FrameRecord,
    GopRecord,
    GopStats,
    IndexEntry,
    StreamHeader,
)
from neuralcodec.container.layout import Malformed
from neuralcodec.container.payloads import parse_gop
from neuralcodec.decoder.conceal import FREE_STAND_INS, Conceal, Concealer, ShownFrame, black_frame
from neuralcodec.decoder.decoder import Decoder, DecoderSettings
from neuralcodec.errors import DamagedFile, InputError, NcodecError, UsageError
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.origin import Origin
from neuralcodec.references import chain
from neuralcodec.streams import FileTags, StreamPacket
from neuralcodec.video import ColorTags, Frame, VideoFormat

FORMAT = VideoFormat(16, 16, Fraction(1, 100), frame_rate=Fraction(25))
GOPS = (2, 3, 1, 2)  # frames in each
STEP = 4  # PTS from frame to frame
SOUND = replace(pcm_stream(0, 2), time_base=Fraction(1, RATE))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> InstalledModel:
    return installed_from(tiny_model(), tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def model_file(model: InstalledModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    installed_from(tiny_model(), folder)
    return folder / "tiny.safetensors"


@pytest.fixture(scope="module")
def whole(model: InstalledModel) -> bytes:
    """A file of eight frames with sound."""
    rng = np.random.default_rng(1)
    coder = build_coder(model)
    file = io.BytesIO()
    header = StreamHeader(FORMAT, 4, model.name, model.sha256)
    extras = Extras(FileTags((("title", "Film"),)), (SOUND,))
    writer = ContainerWriter(file, header, extras)
    first = 0
    for count in GOPS:
        encoder = GopSymbolEncoder(model, coder, 1, 1)
        places = pyramids(count, 2)
        symbols = random_symbols(rng, 1, 1, model.model.config, places)
        frames = tuple(
            FrameRecord(STEP * (first + place.shown), 30, encoder.encode(one, 30, place), place)
            for one, place in zip(symbols, places, strict=True)
        )
        writer.write_packets([StreamPacket(0, 1920 * first, None, 1920, True, rng.bytes(16))])
        stats = GopStats(first, ((30.0, 31.0, 32.0),) * count)
        writer.write_gop(GopRecord(first, encoder.checksum, frames), stats)
        first += count
    writer.finish()
    return file.getvalue()


@pytest.fixture(scope="module")
def index(whole: bytes) -> list[IndexEntry]:
    return ContainerReader(io.BytesIO(whole), "whole").index()


def decoded(model: InstalledModel, data: bytes) -> list[Frame]:
    reader = ContainerReader(io.BytesIO(data), "film.nlc")
    settings = DecoderSettings(1, CPU, torch.float32, keep_going=True)
    decoder = Decoder(model, reader.header.format, settings, "film.nlc")
    return list(decoder.frames(gop for gop, _ in reader.gops(keep_going=True)))


@pytest.fixture(scope="module")
def shown(model: InstalledModel, whole: bytes) -> list[Frame]:
    return decoded(model, whole)


@pytest.fixture
def damaged(whole: bytes, index: list[IndexEntry], tmp_path: Path) -> Path:
    """GOP 1, frames 2 to 4, is damaged."""
    return with_flip(whole, index[1].offset + 40, tmp_path / "damaged.nlc")


def with_flip(whole: bytes, at: int, path: Path) -> Path:
    data = bytearray(whole)
    data[at] ^= 1
    path.write_bytes(data)
    return path


def frames_of(path: Path) -> list[tuple[float, bytes]]:
    """(seconds, samples) of each."""
    with av.open(str(path)) as container:
        return [(f.time, f.to_ndarray().tobytes()) for f in container.decode(video=0)]


def samples(frame: Frame) -> bytes:
    return b"".join(plane.tobytes() for plane in frame.planes)


def test_damage_is_named_with_frames_and_time(
    damaged: Path, model_file: Path, index: list[IndexEntry], tmp_path: Path
):
    with pytest.raises(DamagedFile) as raised:
        neuralcodec.decode(damaged, tmp_path / "a.mkv", model=model_file)
    start = index[1].offset
    assert f"GOP 1 is damaged (GOPS chunk, bytes {start} to " in str(raised.value)
    assert "frames 2 to 4, 0.080 s to 0.200 s)" in str(raised.value)
    assert not (tmp_path / "a.mkv").exists()


def test_a_cut_file_says_up_to_where_it_is_whole(
    whole: bytes, index: list[IndexEntry], model_file: Path, tmp_path: Path
):
    path = tmp_path / "a.nlc"
    path.write_bytes(whole[: index[2].offset])
    with pytest.raises(DamagedFile, match=r"all frames from 5 on, from 0.200 s on.*before it is w"):
        neuralcodec.decode(path, tmp_path / "a.mkv", model=model_file)
    done = neuralcodec.decode(path, tmp_path / "a.mkv", model=model_file, keep_going=True)
    assert (done.frames, done.concealed, len(done.damage)) == (5, 0, 1)


def test_symbols_that_are_not_those_coded_are_named_by_gop_bytes_and_time(
    whole: bytes, index: list[IndexEntry], model_file: Path, tmp_path: Path
):
    data = forged_checksum(whole, index[1].offset)
    (tmp_path / "a.nlc").write_bytes(data)
    done = neuralcodec.decode(
        tmp_path / "a.nlc", tmp_path / "a.mkv", model=model_file, keep_going=True
    )
    assert len(done.damage) == 1
    assert f"GOP 1 is damaged (GOPS chunk, bytes {index[1].offset} to " in done.damage[0]
    assert "frames 2 to 4, 0.080 s to 0.200 s" in done.damage[0]
    assert (done.frames, done.concealed) == (8, 3)


def forged_checksum(whole: bytes, at: int) -> bytes:
    """The GOP at an offset with another checksum of symbols, and a CRC-32 that holds."""
    (length,) = struct.unpack_from("<I", whole, at + 4)
    chunk = bytearray(whole[at : at + 8 + length])
    chunk[8 + 20] ^= 1
    crc = struct.pack("<I", zlib.crc32(chunk))
    return whole[:at] + bytes(chunk) + crc + whole[at + 12 + length :]


@pytest.mark.parametrize("how", list(Conceal))
def test_lost_frames_are_held_black_or_dropped_and_the_others_keep_their_time(
    how: Conceal, damaged: Path, model_file: Path, shown: list[Frame], tmp_path: Path
):
    out = tmp_path / "a.mkv"
    done = neuralcodec.decode(
        damaged, out, model=model_file, keep_going=True, conceal=how, precision="float32"
    )
    found = frames_of(out)
    good = [(f.pts / 100, samples(f)) for i, f in enumerate(shown) if i not in (2, 3, 4)]
    stand_in = samples(shown[1] if how == Conceal.HOLD else black_frame(FORMAT))
    lost = [] if how == Conceal.DROP else [(n * 0.04, stand_in) for n in (2, 3, 4)]
    assert (done.frames, done.concealed) == (len(found), len(lost))
    assert [time for time, _ in found] == pytest.approx(sorted(t for t, _ in good + lost))
    by_time = {round(time, 3): picture for time, picture in found}
    for time, picture in good + lost:
        assert by_time[round(time, 3)] == picture
    with av.open(str(out)) as container:
        sound = [p.pts * p.time_base for p in container.demux(audio=0) if p.size]
    assert sound == [Fraction(n, 25) for n in (0, 2, 5, 6)]


@pytest.mark.parametrize(("gop", "numbers"), [(0, (0, 1)), (3, (6, 7))])
def test_lost_ends_are_filled_at_the_nominal_rate(
    gop: int,
    numbers: tuple[int, ...],
    whole: bytes,
    index: list[IndexEntry],
    model_file: Path,
    tmp_path: Path,
):
    path = with_flip(whole, index[gop].offset + 40, tmp_path / "bad.nlc")
    done = neuralcodec.decode(path, tmp_path / "a.mkv", model=model_file, keep_going=True)
    times = [time for time, _ in frames_of(tmp_path / "a.mkv")]
    assert times == pytest.approx([0.04 * n for n in range(8)])
    assert done.concealed == len(numbers)
    assert f"frames {numbers[0]} to {numbers[-1]}, " in done.damage[0]


def test_a_file_with_a_smashed_beginning_is_checked_and_decoded_from_the_command_line(
    whole: bytes, model_file: Path, shown: list[Frame], tmp_path: Path
):
    path, out = tmp_path / "a.nlc", tmp_path / "a.mkv"
    path.write_bytes(b"overwritten by something" * 4 + whole[96:])
    code, text = run("decode", path, out, "-m", model_file)
    assert code == 1
    assert "the file is damaged (bytes 0 to " in text and "--keep-going" in text
    for source, data in ((path, None), ("-", path.read_bytes())):
        code, text = run("decode", source, out, "-m", model_file, "--keep-going", "-y", data=data)
        assert code == 1, text
        assert len(frames_of(out)) == len(shown)
    code, text = run("check", path, "-m", model_file, "--json")
    (checked,) = json.loads(text.splitlines()[-1])["files"]
    assert (code, checked["gops"], len(checked["damage"])) == (1, len(GOPS), 1)


def test_stand_ins_count_among_the_frames_asked_for(
    damaged: Path, model_file: Path, tmp_path: Path
):
    part = neuralcodec.PartOptions(frames=4)
    done = neuralcodec.decode(
        damaged, tmp_path / "a.y4m", model=model_file, keep_going=True, part=part
    )
    assert (done.frames, done.concealed) == (4, 2)


def test_an_unknown_way_to_conceal_is_refused(damaged: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="hold, black, drop"):
        neuralcodec.decode(damaged, tmp_path / "a.y4m", conceal="guess")


def test_a_forged_number_of_lost_frames_does_not_fill_the_disk():
    grey = black_frame(FORMAT)
    frames = [ShownFrame(n, replace(grey, pts=4 * n), None) for n in (0, 1 << 40, (1 << 40) + 3)]
    filled = list(Concealer(Conceal.HOLD, FORMAT, 0).fill(frames))
    assert [f.number for f in filled] == [0, 1 << 40, *((1 << 40) + n for n in (1, 2, 3))]
    concealer = Concealer(Conceal.HOLD, FORMAT, 0)
    assert len(list(concealer.fill(frames[:1]))) == 1
    assert list(concealer.fill_end(FREE_STAND_INS * 100)) == []


def test_no_two_frames_get_the_same_time_even_where_there_is_no_room_for_the_lost():
    grey = black_frame(FORMAT)
    frames = [ShownFrame(0, grey, None), ShownFrame(9, replace(grey, pts=3), None)]
    times = [f.frame.pts for f in Concealer(Conceal.BLACK, FORMAT, 0).fill(frames)]
    assert times == [0, 1, 2, 3]


@pytest.mark.parametrize(("full_range", "luma"), [(False, 64), (True, 0)])
def test_black_is_black_in_the_range_of_the_video(full_range: bool, luma: int):
    fmt = replace(FORMAT, bit_depth=10, color=ColorTags(full_range=full_range))
    frame = black_frame(fmt)
    assert [(p.dtype, p.min(), p.max()) for p in frame.planes] == [
        (np.uint16, luma, luma),
        (np.uint16, 512, 512),
        (np.uint16, 512, 512),
    ]


def flips(data: bytes, at: int, amount: int) -> bytes:
    return data[:at] + bytes([data[at] ^ (amount % 255 + 1)]) + data[at + 1 :]


def zeros(data: bytes, at: int, amount: int) -> bytes:
    end = min(at + amount, len(data))
    return data[:at] + bytes(end - at) + data[end:]


def cut(data: bytes, at: int, amount: int) -> bytes:
    return data[:at]


def cut_out(data: bytes, at: int, amount: int) -> bytes:
    return data[:at] + data[at + amount :]


def header_end(whole: bytes) -> int:
    return 24 + struct.unpack_from("<I", whole, 16)[0]


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([flips, zeros, cut, cut_out]), st.integers(0, 1 << 16), st.integers(1, 400))
def test_every_undamaged_gop_is_decoded_bit_for_bit(
    model: InstalledModel,
    whole: bytes,
    index: list[IndexEntry],
    shown: list[Frame],
    mutate: Callable[[bytes, int, int], bytes],
    at: int,
    amount: int,
):
    data = mutate(whole, at % len(whole), amount)
    copy = whole[whole.index(b"head") :][: header_end(whole) - 8]
    if not data.startswith(whole[: header_end(whole)]) and copy not in data:
        with suppress(DamagedFile):
            decoded(model, data)
        return
    by_time = {frame.pts: samples(frame) for frame in decoded(model, data)}
    for entry in index:
        (length,) = struct.unpack_from("<I", whole, entry.offset + 4)
        if whole[entry.offset : entry.offset + 12 + length] in data:
            for n in range(entry.first_frame, entry.first_frame + entry.frame_count):
                assert by_time.pop(STEP * n) == samples(shown[n])
    assert not by_time


def test_frames_that_wait_for_their_turn_in_a_batch_are_bounded_by_memory_not_by_the_file(
    model: InstalledModel,
):
    large = VideoFormat(8192, 8192, Fraction(1, 25))
    settings = DecoderSettings(4, CPU, torch.float32)
    frames = tuple(FrameRecord(t, 30, b"", chain(t)) for t in range(12))
    gops = [GopRecord(n, 0, frames) for n in range(0, 60, 12)]
    batches = list(Decoder(model, large, settings, "film.nlc")._batches(iter(gops)))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    small = Decoder(model, FORMAT, settings, "film.nlc")
    assert [len(batch) for batch in small._batches(iter(gops))] == [4, 1]


CORPUS = Path(__file__).parent / "fuzz_corpus"


@pytest.mark.parametrize("target", ["container", "decode", "gop"])
def test_what_fuzzing_found_worth_keeping_raises_nothing_but_what_it_should(
    target: str, model: InstalledModel
):
    paths = sorted((CORPUS / target).iterdir())
    assert paths
    for path in paths:
        if target == "gop":
            with suppress(Malformed):
                parse_gop(path.read_bytes())
        elif target == "container":
            with suppress(DamagedFile):
                reader = ContainerReader(io.BytesIO(path.read_bytes()), path.name)
                assert all(str(damage) for damage in reader.damage)
                list(reader.contents(keep_going=True))
                reader.index()
        else:
            with suppress(DamagedFile):
                decoded(model, path.read_bytes())


def run(*arguments: object, data: bytes | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(main, [*map(str, arguments)], input=data)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_check_finds_a_whole_file_whole_from_a_pipe_too(
    whole: bytes, model_file: Path, tmp_path: Path
):
    path = tmp_path / "a.nlc"
    path.write_bytes(whole)
    code, text = run("check", path, "-m", model_file, "--quiet")
    assert (code, text) == (0, "")
    code, text = run("check", "-", "-m", model_file, data=whole)
    assert code == 0
    assert "standard input: whole; " in text and "4 GOPs, 8 frames, 4 packets" in text


def test_check_names_every_damage_of_every_file_and_goes_on(
    whole: bytes, index: list[IndexEntry], damaged: Path, model_file: Path, tmp_path: Path
):
    good, wrong, junk = (tmp_path / f"{name}.nlc" for name in ("good", "wrong", "junk"))
    good.write_bytes(whole)
    wrong.write_bytes(forged_checksum(whole, index[2].offset))
    junk.write_bytes(b"no video")
    missing = tmp_path / "missing.nlc"
    code, text = run("check", damaged, good, wrong, junk, missing, "-m", model_file, "--json")
    assert code == 1
    files = json.loads(text.splitlines()[-1])["files"]
    assert [len(file["damage"]) for file in files] == [1, 0, 1, 1, 1]
    assert [file["gops"] for file in files] == [3, 4, 3, 0, 0]
    found = files[0]["damage"][0]
    assert (found["chunk"], found["gop"], found["start"]) == ("GOPS", 1, index[1].offset)
    assert (found["first_frame"], found["end_frame"]) == (2, 5)
    assert (found["start_time"], found["end_time"]) == (0.08, 0.2)
    assert "its symbols do not have the checksum" in files[2]["damage"][0]["message"]


def test_check_without_the_model_checks_crcs_and_says_so(
    whole: bytes, damaged: Path, tmp_path: Path
):
    path = tmp_path / "a.nlc"
    path.write_bytes(whole)
    report = neuralcodec.check(path)
    assert not report.symbols_checked and not report.damage
    assert "only CRCs are checked" in report.notices[0] and "'tiny'" in report.notices[0]
    assert len(neuralcodec.check(damaged).damage) == 1


def test_check_runs_no_network_of_pictures(
    whole: bytes, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from neuralcodec.decoder.frame_decoder import FrameDecoder

    def refuse(*arguments: object) -> None:
        raise AssertionError("a picture was computed")

    monkeypatch.setattr(FrameDecoder, "__init__", refuse)
    path = tmp_path / "a.nlc"
    path.write_bytes(whole)
    assert neuralcodec.check(path, model=model_file).symbols_checked


@pytest.mark.parametrize("how", ["damaged", "cut", "wrong symbols", "no index", "no header"])
def test_repair_keeps_all_that_is_whole_and_the_result_is_whole(
    how: str,
    whole: bytes,
    index: list[IndexEntry],
    shown: list[Frame],
    model: InstalledModel,
    model_file: Path,
    tmp_path: Path,
):
    second = index[1].offset
    data, lost = {
        "damaged": (flips(whole, second + 40, 1), {2, 3, 4}),
        "cut": (whole[: index[3].offset + 20], {6, 7}),
        "wrong symbols": (forged_checksum(whole, second), {2, 3, 4}),
        "no index": (whole[: whole.rindex(b"INDX")], set()),
        "no header": (zeros(whole, 0, header_end(whole)), set()),
    }[how]
    bad, good = tmp_path / "bad.nlc", tmp_path / "good.nlc"
    bad.write_bytes(data)
    code, text = run("repair", bad, good, "-m", model_file)
    assert code == 0
    assert "lost: " in text and f"kept {8 - len(lost)} frames" in text
    assert neuralcodec.check(good, model=model_file).damage == []
    repaired = good.read_bytes()
    expected = [(f.pts, samples(f)) for n, f in enumerate(shown) if n not in lost]
    assert [(f.pts, samples(f)) for f in decoded(model, repaired)] == expected
    reader = ContainerReader(io.BytesIO(repaired), "good.nlc")
    before = ContainerReader(io.BytesIO(whole), "whole.nlc")
    renumbered = replace(before.extras, origin=Origin(is_renumbered=True))
    assert (reader.header, reader.extras) == (before.header, renumbered)
    assert neuralcodec.check(good).packets == 4


def test_repair_leaves_no_output_where_nothing_is_whole(
    whole: bytes, index: list[IndexEntry], tmp_path: Path
):
    bad = tmp_path / "bad.nlc"
    bad.write_bytes(whole[: index[0].offset])
    with pytest.raises(DamagedFile, match="not one whole GOP"):
        neuralcodec.repair(bad, tmp_path / "good.nlc")
    assert [p.name for p in tmp_path.iterdir()] == ["bad.nlc"]


def test_repair_refuses_to_write_over_its_input_or_another_file(damaged: Path, tmp_path: Path):
    (tmp_path / "other.nlc").write_bytes(b"")
    for target in (damaged, tmp_path / "other.nlc"):
        with pytest.raises(NcodecError):
            neuralcodec.repair(damaged, target)


def test_a_small_file_cannot_state_large_pictures_unasked(
    whole: bytes, model_file: Path, tmp_path: Path
):
    reader = ContainerReader(io.BytesIO(whole), "whole")
    path = tmp_path / "forged.nlc"
    with path.open("wb") as file:
        header = replace(reader.header, format=replace(FORMAT, width=4096, height=2304))
        writer = ContainerWriter(file, header)
        for gop, stats in reader.gops():
            writer.write_gop(gop, stats)
        writer.finish()
    verbs = (
        lambda: neuralcodec.decode(path, tmp_path / "a.y4m", model=model_file),
        lambda: neuralcodec.open(path, model=model_file),
    )
    for verb in verbs:
        with pytest.raises(InputError, match=r"4096x2304.*--max-pixels 9437184"):
            verb()
    assert not list(tmp_path.glob("a.*"))


@pytest.mark.parametrize("parameters", [b"", b"RIFF" + bytes(60), SOUND.parameters[:20]])
def test_a_stream_with_forged_parameters_is_left_out_and_told(
    whole: bytes, model_file: Path, tmp_path: Path, parameters: bytes
):
    reader = ContainerReader(io.BytesIO(whole), "whole")
    path = tmp_path / "forged.nlc"
    with path.open("wb") as file:
        sound = replace(SOUND, parameters=parameters)
        writer = ContainerWriter(file, reader.header, Extras(streams=(sound,)))
        for gop, stats in reader.gops():
            writer.write_gop(gop, stats)
        writer.finish()
    with pytest.raises(DamagedFile, match=r"forged\.nlc: .*stream 0.*--keep-going"):
        neuralcodec.decode(path, tmp_path / "a.mkv", model=model_file)
    done = neuralcodec.decode(path, tmp_path / "a.mkv", model=model_file, keep_going=True)
    assert (done.frames, done.streams, len(done.damage)) == (sum(GOPS), 0, 1)
    assert "stream 0" in done.damage[0]
    assert not neuralcodec.decode(path, tmp_path / "a.y4m", model=model_file).damage


def test_pictures_larger_than_allowed_are_refused_before_anything_is_decoded(
    whole: bytes, model_file: Path, tmp_path: Path
):
    path = tmp_path / "a.nlc"
    path.write_bytes(whole)
    with pytest.raises(InputError, match=r"16x16.*--max-pixels 256"):
        neuralcodec.decode(path, tmp_path / "b.mkv", model=model_file, max_pixels=255)


def test_a_whole_file_is_whole_to_check_and_repair_however_large_its_pictures(
    whole: bytes, model_file: Path, tmp_path: Path
):
    path = tmp_path / "a.nlc"
    path.write_bytes(whole)
    for limit, is_checked in ((256, True), (255, False)):
        report = neuralcodec.check(path, model=model_file, max_pixels=limit)
        assert (report.damage, report.symbols_checked) == ([], is_checked)
        assert bool(report.notices) != is_checked
        repaired = tmp_path / f"{limit}.nlc"
        done = neuralcodec.repair(path, repaired, model=model_file, max_pixels=limit)
        assert (done.damage, done.symbols_checked) == ([], is_checked)
