"""`encode`, stopped at any moment: no output, or with `resumable` one from which it goes on."""

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import forked
import pytest
from carried_clips import make_source
from click.testing import CliRunner
from codec_clips import city_frames, cropped

import neuralcodec
from neuralcodec.cli import main
from neuralcodec.errors import InputError, OutputError, UsageError
from neuralcodec.media import open_writer
from neuralcodec.progress import ProgressState
from neuralcodec.video import Frame, VideoFormat

KILLS = 6
PATIENCE = 60  # seconds; far more than any of this takes
OPTIONS: dict[str, Any] = {"gop": 4, "device": "cpu", "precision": "float32"}


class Stop(Exception):
    pass


def stop_after(frames: int) -> Any:
    def progress(state: ProgressState) -> None:
        if state.frames >= frames and not state.label:
            raise Stop

    return progress


def part_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.part")


def journal_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.part.jsonl")


def marks_of(out: Path) -> list[dict[str, int]]:
    """The places noted so far where coding can go on."""
    if not journal_of(out).exists():
        return []
    return [json.loads(line) for line in journal_of(out).read_bytes().split(b"\n")[1:-1]]


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 frames of 64x48, with sound and subtitles."""
    path = tmp_path_factory.mktemp("resume") / "source.mkv"
    make_source(path, ["flac"], ["srt"], extras=True)
    return path


@pytest.fixture(scope="module")
def whole(source: Path) -> bytes:
    """The file of a run that nothing stops."""
    path = source.with_name("whole.nlc")
    neuralcodec.encode(source, path, **OPTIONS)
    return path.read_bytes()


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 frames: motion, another scene, the first one again."""
    fmt, frames = cropped(*city_frames(7), 48, 32)
    fmt = VideoFormat(48, 32, Fraction(1, 25), frame_rate=Fraction(25))
    other = [Frame(255 - f.y[:, ::-1], f.u[:, ::-1], f.v[:, ::-1], 0) for f in frames]
    path = tmp_path_factory.mktemp("scenes") / "scenes.y4m"
    with open_writer(path, fmt) as writer:
        for number, frame in enumerate([*frames, *other[1:], *frames]):
            writer.write(replace(frame, pts=number))
    return path


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "out.nlc"


def test_killed_at_any_moment_it_goes_on_and_ends_with_the_same_file(
    source: Path, whole: bytes, out: Path
):
    rng = random.Random(5)
    counts = [0]
    for kill in range(KILLS):
        before = len(marks_of(out))
        with forked.running(forked.encode, source, out, resumable=True, **OPTIONS) as run:
            if kill % 2:  # after another GOP; else anywhere from the start
                wait_for(lambda: len(marks_of(out)) > before or not run.is_alive())  # noqa: B023
            time.sleep(rng.uniform(0, 0.15 if kill % 2 else 0.6))
        if run.exitcode == 0:  # it was faster
            assert out.read_bytes() == whole
            out.unlink()
            continue
        assert not out.exists()
        assert {p.name for p in out.parent.iterdir()} <= {part_of(out).name, journal_of(out).name}
        marks = marks_of(out)
        assert len(marks) >= before  # nothing that was complete is lost
        counts.append(len(marks))
    assert max(counts) > 0
    neuralcodec.encode(source, out, resumable=True, **OPTIONS)
    assert out.read_bytes() == whole
    assert list(out.parent.iterdir()) == [out]


def test_killed_without_resumable_it_leaves_no_output_and_the_next_run_tidies_up(
    source: Path, whole: bytes, out: Path
):
    with forked.running(forked.encode, source, out, **OPTIONS):
        wait_for(lambda: list(out.parent.iterdir()))
    left = list(out.parent.iterdir())
    assert len(left) == 1
    assert left[0].name.startswith(".out.nlc.")
    (out.parent / ".other.nlc.01234567.part").touch()
    neuralcodec.encode(source, out, **OPTIONS)
    assert out.read_bytes() == whole
    assert not left[0].exists()
    assert (out.parent / ".other.nlc.01234567.part").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"gop": 96},
        {"gop": 3, "bframes": 1, "precision": "bfloat16"},
        {"gop": 6, "low_delay": True},
        {"gop": 6, "scenecut": False, "preset": "slow"},
    ],
    ids=str,
)
def test_with_any_options_the_file_is_that_of_a_run_that_nothing_stops(
    options: dict[str, Any], scenes: Path, out: Path
):
    settings = {**OPTIONS, **options}
    alone = out.with_name("alone.nlc")
    neuralcodec.encode(scenes, alone, **settings)
    for frames in (9, 17):
        with pytest.raises(Stop):
            neuralcodec.encode(scenes, out, resumable=True, progress=stop_after(frames), **settings)
    skipped = marks_of(out)[-1]["frames"]
    done = neuralcodec.encode(scenes, out, resumable=True, **settings)
    assert out.read_bytes() == alone.read_bytes()
    assert any(f"went on after frame {skipped} of" in notice for notice in done.notices)
    assert done.frames == 20


def test_of_a_part_of_the_source_as_well(source: Path, out: Path):
    options = {**OPTIONS, "source": neuralcodec.SourceOptions(start=Fraction(1, 5), limit=25)}
    alone = out.with_name("alone.nlc")
    neuralcodec.encode(source, alone, **options)
    with pytest.raises(Stop):
        neuralcodec.encode(source, out, resumable=True, progress=stop_after(15), **options)
    assert marks_of(out)
    neuralcodec.encode(source, out, resumable=True, **options)
    assert out.read_bytes() == alone.read_bytes()


def test_stopped_before_the_first_gop_is_complete_it_leaves_nothing(source: Path, out: Path):
    with pytest.raises(Stop):
        neuralcodec.encode(source, out, resumable=True, progress=stop_after(1), **OPTIONS)
    assert not list(out.parent.iterdir())


@pytest.fixture
def stopped(source: Path, out: Path) -> Path:
    """The output of a run that was stopped half-way."""
    with pytest.raises(Stop):
        neuralcodec.encode(source, out, resumable=True, progress=stop_after(20), **OPTIONS)
    assert not out.exists()
    return out


def test_what_is_complete_can_be_decoded_meanwhile(stopped: Path):
    shown = stopped.with_name("shown.y4m")
    done = neuralcodec.decode(part_of(stopped), shown, keep_going=True)
    assert done.frames >= marks_of(stopped)[-1]["frames"]


def test_a_half_written_line_of_the_journal_costs_one_gop(
    source: Path, whole: bytes, stopped: Path
):
    journal_of(stopped).write_bytes(journal_of(stopped).read_bytes()[:-5])
    neuralcodec.encode(source, stopped, resumable=True, **OPTIONS)
    assert stopped.read_bytes() == whole


@pytest.mark.parametrize(
    ("change", "named"), [({"quality": 40}, "quality"), ({"gop": 8}, "gop"), ({}, "source")]
)
def test_begun_under_other_conditions_it_is_refused_and_yes_begins_anew(
    change: dict[str, Any], named: str, source: Path, stopped: Path
):
    if not change:
        other = stopped.with_name("source.mkv")
        other.write_bytes(source.read_bytes()[:-1] + b"?")
        source = other
    options = {**OPTIONS, **change, "resumable": True}
    before = part_of(stopped).read_bytes()
    with pytest.raises(OutputError, match=f"begun with another {named}; give -y"):
        neuralcodec.encode(source, stopped, **options)
    assert part_of(stopped).read_bytes() == before
    done = neuralcodec.encode(source, stopped, overwrite=True, **options)
    assert any("began anew" in notice for notice in done.notices)
    alone = stopped.with_name("alone.nlc")
    neuralcodec.encode(source, alone, **{**OPTIONS, **change})
    assert stopped.read_bytes() == alone.read_bytes()


@pytest.mark.parametrize("damage", ["cut", "flipped", "no GOP"])
def test_a_damaged_part_is_refused_and_yes_begins_anew(
    damage: str, source: Path, whole: bytes, stopped: Path
):
    data = bytearray(part_of(stopped).read_bytes())
    size = marks_of(stopped)[-1]["bytes"]
    if damage == "cut":
        del data[size - 1 :]
    elif damage == "flipped":
        data[size // 2] ^= 1
    else:
        data[:] = bytes(len(data))
    part_of(stopped).write_bytes(data)
    with pytest.raises(OutputError, match=r"damaged .* give -y to begin anew"):
        neuralcodec.encode(source, stopped, resumable=True, **OPTIONS)
    neuralcodec.encode(source, stopped, resumable=True, overwrite=True, **OPTIONS)
    assert stopped.read_bytes() == whole


def test_a_file_that_somebody_else_put_there_is_not_taken_for_ours(
    source: Path, whole: bytes, stopped: Path
):
    journal_of(stopped).write_bytes(b"[" * 100_000)
    neuralcodec.encode(source, stopped, resumable=True, **OPTIONS)
    assert stopped.read_bytes() == whole


def test_two_at_once_do_not_write_the_same_file(source: Path, stopped: Path):
    with part_of(stopped).open("rb") as file:
        fcntl = pytest.importorskip("fcntl")
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(OutputError, match="another ncodec is at work"):
            neuralcodec.encode(source, stopped, resumable=True, **OPTIONS)
    assert part_of(stopped).exists()


def test_only_from_file_to_file_and_at_a_quality(source: Path, out: Path):
    with pytest.raises(UsageError, match="pipe"):
        neuralcodec.encode(source, "-", resumable=True)
    with pytest.raises(UsageError, match="pipe"):
        neuralcodec.encode(source, "/dev/null", resumable=True)
    with pytest.raises(UsageError, match="cannot be read again"):
        neuralcodec.encode("-", out, resumable=True)
    rate = neuralcodec.RateTarget(neuralcodec.RateKind.PSNR, 35)
    with pytest.raises(UsageError, match="psnr"):
        neuralcodec.encode(source, out, rate=rate, resumable=True)
    with pytest.raises(UsageError, match="cannot be read again"):
        neuralcodec.encode(out.parent, out, resumable=True)
    with pytest.raises(InputError, match="does not exist"):
        neuralcodec.encode(out.with_name("missing.mp4"), out, resumable=True)
    assert not list(out.parent.iterdir())


def test_the_command_line_says_where_it_went_on(scenes: Path, out: Path):
    options: dict[str, Any] = {"gop": 4, "device": "cpu"}
    alone = out.with_name("alone.nlc")
    neuralcodec.encode(scenes, alone, **options)
    with pytest.raises(Stop):
        neuralcodec.encode(scenes, out, resumable=True, progress=stop_after(12), **options)
    arguments = ["encode", scenes, out, "--resumable", "-g", "4", "--device", "cpu"]
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    assert "went on after frame" in result.stderr
    assert out.read_bytes() == alone.read_bytes()
