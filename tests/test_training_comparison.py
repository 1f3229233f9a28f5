"""What `ncodec train` says of its model is what `encode` and `bench` give on frames far away."""

import functools
import json
import signal
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from codec_clips import CITY, tiny_model
from training_runs import SMALL

import neuralcodec
from neuralcodec.bench.job import gop_payload_bytes, perform
from neuralcodec.bench.peer_files import decode_file, encode_to_file
from neuralcodec.bench.peers import PEERS
from neuralcodec.bench.settings import CodecSetting
from neuralcodec.cli import main
from neuralcodec.errors import InputError
from neuralcodec.media import VideoReader, open_writer
from neuralcodec.metrics import PsnrMeter, RatePoint, bd_rate
from neuralcodec.model.model_file import model_bytes
from neuralcodec.training import comparison, set_aside
from neuralcodec.training.comparison import Comparison, Pace
from neuralcodec.training.footage import Footage, find_footage
from neuralcodec.training.interruption import StopRequest
from neuralcodec.training.own_footage import cache_footage
from neuralcodec.training.sampling import open_cache
from neuralcodec.training.schedule import Schedule
from neuralcodec.training.set_aside import Undivided, divide, ends_of
from neuralcodec.video import Frame, VideoFormat

SIDE = 64
COMPARED = 6  # frames
GAP = 16
X265 = CodecSetting("x265", "medium")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips, parts and steps that take milliseconds; all made in this process."""
    monkeypatch.setattr("neuralcodec.training.comparison.run_job", perform)
    monkeypatch.setattr("neuralcodec.training.trainer.load_in_background", iter)
    schedule = functools.partial(Schedule, phases=SMALL)
    schedule.from_plain = Schedule.from_plain  # type: ignore[attr-defined]
    monkeypatch.setattr("neuralcodec.training.beginning.Schedule", schedule)
    monkeypatch.setattr("neuralcodec.training.crops.SIDE", 32)
    for module in ("crops", "own_footage", "set_aside"):
        monkeypatch.setattr(f"neuralcodec.training.{module}.FRAMES", 2)
    monkeypatch.setattr("neuralcodec.training.frame_cache.SMALLEST_SIDE", 32)
    monkeypatch.setattr("neuralcodec.training.train_file.VALIDATIONS", 1)
    monkeypatch.setattr("neuralcodec.training.validation.QUALITIES", (8, 56))
    monkeypatch.setattr("neuralcodec.training.validation.SHOWN_QUALITY", 56)
    for module in ("set_aside", "comparison", "own_footage"):
        monkeypatch.setattr(f"neuralcodec.training.{module}.LEAST", COMPARED)
    monkeypatch.setattr(set_aside, "MOST", COMPARED)
    for module in ("set_aside", "own_footage"):
        monkeypatch.setattr(f"neuralcodec.training.{module}.GAP", GAP)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(model_bytes(tiny_model(), {}))
    return path


@pytest.fixture
def loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models: loading one takes longer than a small clip."""
    for name in ("encode.load_model", "decode.find_model"):
        module, function = name.split(".")
        known = getattr(__import__(f"neuralcodec.files.{module}", fromlist=[""]), function)
        monkeypatch.setattr(f"neuralcodec.files.{name}", functools.cache(known))


@pytest.fixture
def curves(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[np.ndarray]]:
    """Nothing is coded: the model at the beginning needs 44.1 % more bits than x265, a trained one
    30.8 %. Gives the luma that was to be coded, by codec and model."""
    factors = {"": 1.0, "tiny": 1.441, "new": 1.308}
    seen: dict[str, list[np.ndarray]] = {}

    def curve(source: Path, fmt: VideoFormat, setting: CodecSetting, model: str, *others: object):
        with VideoReader(source) as reader:
            seen[setting.name + Path(model).stem] = [frame.y for frame in reader]
        factor = factors[Path(model).stem]
        return [RatePoint(factor * 2.0**n, 30.0 + 4 * n) for n in range(5)]

    monkeypatch.setattr(comparison, "measured_curve", curve)
    monkeypatch.setattr(comparison, "_paces", lambda *arguments: [Pace(0, 1e-9)])
    return seen


def city() -> tuple[VideoFormat, list[Frame]]:
    """The bundled clip, a square of it in which things move, its frames numbered from 0."""
    with VideoReader(CITY) as reader:
        frames = list(reader)
    fmt = VideoFormat(SIDE, SIDE, Fraction(1, 25), 8, Fraction(25))
    y, uv = slice(96, 96 + SIDE), slice(48, 48 + SIDE // 2)
    cuts = [(frame.y[y, y], frame.u[uv, uv], frame.v[uv, uv]) for frame in frames]
    return fmt, [Frame(*map(np.ascontiguousarray, cut), n) for n, cut in enumerate(cuts)]


def write(path: Path, fmt: VideoFormat, frames: Sequence[Frame]) -> Path:
    """Lossless."""
    with open_writer(path, fmt) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def numbered(path: Path, pts: Sequence[int]) -> Path:
    """A clip whose frames show their own number, 4 times as luma."""
    fmt = VideoFormat(32, 32, Fraction(1, 25), 8, Fraction(25))
    grey = np.full((16, 16), 128, np.uint8)
    frames = [Frame(np.full((32, 32), 4 * n, np.uint8), grey, grey, t) for n, t in enumerate(pts)]
    return write(path, fmt, frames)


def test_the_figure_is_that_of_real_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loaded_once: None
):
    """Those that `encode` writes with no option but the quality, and the bench's x265."""
    monkeypatch.setattr(comparison, "PROBES", (1, 1, 2))
    monkeypatch.setattr(comparison, "POINTS", 4)
    fmt, frames = city()
    clip = Footage("own", write(tmp_path / "own.mkv", fmt, frames))
    parts = [clip.part("own", len(frames) - COMPARED, COMPARED, len(frames))]
    compared = Comparison(parts, "fast", tmp_path, "cpu", 300.0, StopRequest())
    assert 0 < compared.seconds < 300
    found = compared.worth("fast", tell=pytest.fail).over_x265

    ends = [replace(frame, pts=n) for n, frame in enumerate(frames[-COMPARED:])]
    source = write(tmp_path / "end.mkv", fmt, ends)

    def point(count: int, shown: Iterable[Frame]) -> RatePoint:
        meter = PsnrMeter()
        for before, after in zip(ends, shown, strict=True):
            meter.add(before, after)
        return RatePoint(count, meter.mean.yuv)

    ours, theirs = [], []
    for quality, crf in ((63, 14), (42, 24), (21, 34), (0, 44)):
        coded, decoded = tmp_path / f"{quality}.nlc", tmp_path / f"{quality}.y4m"
        neuralcodec.encode(source, coded, quality=quality, model="fast", device="cpu")
        neuralcodec.decode(coded, decoded, device="cpu")
        with VideoReader(decoded) as reader:
            ours.append(point(gop_payload_bytes(coded), reader))
        coded = tmp_path / "x265.mkv"
        done = encode_to_file(ends, fmt, coded, X265, quality=crf, gop=96)
        theirs.append(point(done.payload_bytes, decode_file(coded, X265, 8)))
    # x265 writes some bytes more or fewer from one time to the next where its threads share cores.
    assert found == pytest.approx(bd_rate(theirs, ours), abs=0.1)


@pytest.mark.usefixtures("plain_rounding")
def test_before_and_after_are_measured_on_the_same_frames_and_told(
    weights: Path, tmp_path: Path, curves: dict[str, list[np.ndarray]]
):
    fmt, frames = city()
    clip, out = write(tmp_path / "own.mkv", fmt, frames), tmp_path / "new.safetensors"
    arguments = ["train", str(clip), "-o", str(out), "--model", str(weights), "--steps", "2"]
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    told = [line for line in result.stderr.splitlines() if "%" in line]
    assert told[0] == "ncodec: tiny needs 44.1 % more bits than x265 medium at equal PSNR"
    assert told[1:] == [
        "ncodec: it needs 30.8 % more bits than x265 medium at equal PSNR, on the last 6 frames of "
        "own; before training: 44.1 % more; training saved 9.2 %"
    ]
    found = json.loads(result.stdout)
    assert found["compared"] == "the last 6 frames of own"
    assert found["bd_rate_x265_before"] == pytest.approx(44.1)
    assert found["bd_rate_x265"] == pytest.approx(30.8)
    assert found["saved_bits"] == pytest.approx(100 * (1.308 / 1.441 - 1))
    assert sorted(curves) == ["ncodecnew", "ncodectiny", "x265"]
    for shown in curves.values():
        assert np.array_equal(shown, [frame.y for frame in frames[-COMPARED:]])


@pytest.mark.parametrize(
    "pts",
    [range(60), [*range(30), *range(30, 90, 2)], [*range(0, 60, 2), *range(60, 90)]],
    ids=["steady", "slower", "faster"],
)
def test_what_is_compared_is_far_from_what_is_trained_on_and_chosen_by(
    tmp_path: Path, pts: Sequence[int]
):
    clip, cache = numbered(tmp_path / "clip.mkv", pts), tmp_path / "cache"
    footage = cache_footage(clip, cache, longest=5)
    shown = {c.name: [int(f[0, 0]) // 4 for f in c.frames] for c in open_cache(cache)}
    trained, checked = shown["clip"], shown["clip@end"]
    (part,) = footage.compared
    compared = [int(frame.y[0, 0]) // 4 for frame, _ in part.read()]
    assert compared and len(trained) >= 20
    times = [time / Fraction(25) for time in pts]
    assert times[min(compared)] - times[max(trained)] >= GAP / part.rate
    assert max(trained) < min(checked) <= max(checked) < min(compared)
    assert footage.held_out == ("clip@end",)


def test_of_clips_set_aside_the_end_is_compared_which_no_weights_are_chosen_by(tmp_path: Path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in "abc":
        numbered(folder / f"{name}.mkv", range(20))
    footage = cache_footage(folder, tmp_path / "cache", ["b"], longest=5)
    assert footage.held_out == ("b",)
    (part,) = footage.compared
    assert part.footage.name == "b"
    assert [int(f.y[0, 0]) // 4 for f, _ in part.read()] == list(range(14, 20))
    assert ends_of(find_footage([numbered(tmp_path / "short.mkv", range(COMPARED + 1))])) == []


def test_a_clip_too_short_to_keep_some_away_gives_no_figure_and_says_so(
    weights: Path, tmp_path: Path
):
    fmt, frames = city()
    clip, out = write(tmp_path / "own.mkv", fmt, frames[:24]), tmp_path / "my new.safetensors"
    arguments = ["train", str(clip), "-o", str(out), "--model", str(weights), "--steps", "2"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stderr.splitlines() if "x265" in line]
    assert len(lines) == 1
    assert f"no comparison with x265: {clip} has fewer than 44 frames" in lines[0]
    assert lines[0].endswith(f"ncodec bench CLIP --codecs ncodec,x265:medium --model '{out}'")
    assert "%" not in result.stderr


def test_validations_make_no_claim_about_x265(
    weights: Path, tmp_path: Path, curves: dict[str, list[np.ndarray]]
):
    fmt, frames = city()
    clip, out = write(tmp_path / "own.mkv", fmt, frames), tmp_path / "new.safetensors"
    result = CliRunner().invoke(
        main, ["train", str(clip), "-o", str(out), "--model", str(weights), "--steps", "1"]
    )
    validations = [line for line in result.stderr.splitlines() if "score" in line]
    assert validations and not [line for line in validations if "x265" in line or "%" in line]
    assert "x265" not in (tmp_path / "new.training" / "log.jsonl").read_text()


@pytest.mark.usefixtures("plain_rounding")
def test_without_x265_the_model_is_compared_with_the_one_before(
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    curves: dict[str, list[np.ndarray]],
):
    monkeypatch.setitem(PEERS, "x265", replace(PEERS["x265"], encoder="libx265-missing"))
    fmt, frames = city()
    clip, out = write(tmp_path / "own.mkv", fmt, frames), tmp_path / "new.safetensors"
    arguments = ["train", clip, "-o", out, "--model", weights, "--steps", 2, "--json"]
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    found = json.loads(result.stdout)
    assert found["bd_rate_x265"] is None
    assert found["saved_bits"] == pytest.approx(100 * (1.308 / 1.441 - 1))
    told = "it needs 9.2 % fewer bits than the weights it began with at equal PSNR, on the last 6"
    assert told in result.stderr


def test_the_time_of_a_comparison_is_bounded(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """At a second for a whole frame and quality: 5 seconds a frame."""
    paces = [Pace(0, 1 / 32**2)]
    monkeypatch.setattr(comparison, "_paces", lambda *arguments: paces)
    monkeypatch.setattr(set_aside, "MOST", 3 * COMPARED)
    monkeypatch.setattr("neuralcodec.training.comparison.FEWER", COMPARED)
    clips = find_footage([numbered(tmp_path / f"{n}.mkv", range(30)) for n in "ab"])
    parts = ends_of(clips)

    def lengths(allowed: float) -> list[int]:
        allowed += 0.4  # what the comparison takes until it knows
        found = Comparison(parts, str(weights), tmp_path, "cpu", allowed, StopRequest())
        assert found.seconds_left <= allowed
        assert all(part.start + part.length == 30 for part in found.parts)
        return [part.length for part in found.parts]

    assert lengths(5 * 36) == [18, 18]
    assert lengths(5 * 35) == [12, 12]
    assert lengths(5 * 12) == [6, 6]
    assert lengths(5 * 11) == [6]
    with pytest.raises(InputError, match="6 frames of a would take 30 seconds, more than 29"):
        lengths(29)
    paces.append(Pace(1, 1 / 32**2))  # of x265, with a second before each file
    assert lengths(5 * (36 + 36 + 2)) == [18, 18]
    assert lengths(5 * 36) == [6, 6]


def test_where_a_few_frames_take_too_long_no_more_are_coded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    coded: list[int] = []
    monkeypatch.setattr(comparison, "_measured_point", lambda *arguments: coded.append(1))
    parts = ends_of(find_footage([numbered(tmp_path / "a.mkv", range(30))]))
    with pytest.raises(InputError, match="a few frames of a took"):
        Comparison(parts, "fast", tmp_path, "cpu", 1e-6, StopRequest())
    assert len(coded) == 1


@pytest.fixture
def interrupted_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ctrl-C comes in the place of the second file of the model that is put in here."""
    names: list[str] = []
    seen: list[str] = []

    def point(source: Path, fmt: VideoFormat, setting: CodecSetting, model: str, *others: object):
        assert source.exists()
        assert seen.count(names[0]) < 2, "nothing more is coded after Ctrl-C"
        seen.append(Path(model).stem)
        if seen.count(names[0]) == 2:
            signal.raise_signal(signal.SIGINT)
        return RatePoint(2.0 ** len(seen), 30.0 + len(seen))

    monkeypatch.setattr(comparison, "_measured_point", point)
    monkeypatch.setattr(comparison, "_paces", lambda *arguments: [Pace(0, 1e-9)])
    return names


def test_ctrl_c_in_the_comparison_before_ends_the_command_and_leaves_nothing_big(
    weights: Path, tmp_path: Path, interrupted_at: list[str]
):
    fmt, frames = city()
    clip, out = write(tmp_path / "own.mkv", fmt, frames), tmp_path / "new.safetensors"
    arguments = ["train", str(clip), "-o", str(out), "--model", str(weights), "--steps", "2"]
    interrupted_at.append("tiny")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 130
    told = result.stderr.splitlines()[-1]
    assert told == "ncodec: interrupted before the training; the same command begins again"
    assert not out.exists()
    assert not list((tmp_path / "new.training").rglob("*.y4m"))


@pytest.mark.usefixtures("plain_rounding")
def test_ctrl_c_in_the_comparison_after_leaves_it_out(
    weights: Path, tmp_path: Path, interrupted_at: list[str]
):
    fmt, frames = city()
    clip, out = write(tmp_path / "own.mkv", fmt, frames), tmp_path / "new.safetensors"
    old = tmp_path / "new.training" / "comparison"
    old.mkdir(parents=True)
    (old / "source.y4m").write_text("of a process that was killed")
    arguments = ["train", str(clip), "-o", str(out), "--model", str(weights), "--steps", "2"]
    interrupted_at.append("new")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0
    assert "no comparison with x265: it was interrupted" in result.stderr
    assert "ended because all steps are done" in result.stderr
    assert "no output" not in result.stderr
    assert out.exists()
    assert not old.exists()


def test_the_end_of_a_clip_is_found_where_its_header_promises_more(tmp_path: Path):
    clip = Footage("clip", numbered(tmp_path / "clip.mkv", range(40)))
    for promised in (40, 45, 150):
        object.__setattr__(clip, "_promised", lambda n=promised: (n, Fraction(25)))
        assert clip.count() == 40


@pytest.mark.parametrize("count", [287, 288, 600, 5000])
def test_half_of_a_single_clip_at_least_is_trained_on(count: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    monkeypatch.setattr(Footage, "count", lambda self: count)
    clip = Footage("clip", Path("clip.mkv"))
    if count < 288:
        with pytest.raises(Undivided, match=r"clip\.mkv has fewer than 288 frames"):
            divide(clip, longest=20)
        return
    division = divide(clip, longest=20)
    assert division.trained >= count / 2
    assert division.count - division.compared - division.trained == 96
    assert 48 <= division.compared <= 96


def test_why_a_single_clip_is_not_divided_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    clip = Footage("clip", Path("clip.mkv"))
    monkeypatch.setattr(Footage, "count", lambda self: None)
    with pytest.raises(Undivided, match=r"how many frames clip\.mkv has cannot be told"):
        divide(clip, longest=20)
    monkeypatch.setattr(Footage, "count", lambda self: 300)
    with pytest.raises(Undivided, match="fewer than the 200 it needs"):
        divide(clip, longest=200)
