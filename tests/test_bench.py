"""`ncodec bench`: the whole comparison, on a few frames of the bundled clip."""

import csv
import json
import sys
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path

import bjontegaard
import numpy as np
import pytest
from click.testing import CliRunner, Result
from codec_clips import CITY
from media_clips import encode_clip, seeded_frames

import neuralcodec
from neuralcodec.bench import clip_run, results
from neuralcodec.bench.cache import default_folder
from neuralcodec.bench.clips import find_sources, write_y4m
from neuralcodec.bench.deltas import deltas_of
from neuralcodec.bench.job import JobReport, JobRequest, gop_payload_bytes
from neuralcodec.bench.peers import PEERS
from neuralcodec.bench.plan import make_plan, qualities_of
from neuralcodec.bench.processes import run_job
from neuralcodec.bench.quality import METRICS, measure
from neuralcodec.bench.results import BenchResults, Point, read_json, write_json
from neuralcodec.bench.run import run_bench
from neuralcodec.bench.settings import CodecSetting, parse_settings
from neuralcodec.bench.tables import CSV_COLUMNS, to_markdown
from neuralcodec.bench.vmaf import run_two_input_filter, vmaf_is_there
from neuralcodec.cli import main
from neuralcodec.container import ContainerReader
from neuralcodec.errors import InputError
from neuralcodec.video import VideoFormat

DOCUMENT = Path(__file__).parent.parent / "docs" / "bench.md"
CODECS = "x265:ultrafast,x264:ultrafast,svtav1:10,vp9:8"
FRAMES = 5


def bench(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["bench", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def request_(folder: Path) -> list[str]:
    """A bench of four codecs at four qualities, and everything it can write but HTML."""
    outputs = [f"--{kind}={folder / f'out.{kind}'}" for kind in ("json", "csv", "markdown")]
    return [
        *(str(CITY), "--frames", str(FRAMES), "--codecs", CODECS, "--points", "4"),
        *("--repeats", "1", "--cache", str(folder / "cache"), *outputs),
        *("--plot", str(folder / "out.png"), "--yes"),
    ]


@pytest.fixture(scope="module")
def first(request_: list[str]) -> Result:
    result = bench(*request_)
    assert result.exit_code == 0, result.stderr
    return result


@pytest.fixture(scope="module")
def found(first: Result, folder: Path) -> BenchResults:
    return read_json(folder / "out.json")


def no_job(request: JobRequest) -> JobReport:
    raise AssertionError(f"{request.verb} of what was measured before")


# What it finds


def test_bd_rates_agree_with_the_bjontegaard_package(found):
    def curve(codec: str) -> tuple[list[float], list[float]]:
        points = [p for p in found.points if p.codec == codec]
        return [8 * p.payload_bytes for p in points], [p.psnr_yuv for p in points]

    assert [delta.codec for delta in found.deltas] == CODECS.split(",")[1:]
    for delta in found.deltas:
        pair = (*curve("x265:ultrafast"), *curve(delta.codec))
        rate = bjontegaard.bd_rate(*pair, method="pchip", min_overlap=0)
        psnr = bjontegaard.bd_psnr(*pair, method="pchip", min_overlap=0)
        assert delta.bd_rate == pytest.approx(rate, abs=0.01)
        assert delta.bd_psnr == pytest.approx(psnr, abs=0.001)


def test_a_codec_handicapped_by_ten_percent_of_bits_has_a_bd_rate_of_ten_percent(found):
    anchor = [p for p in found.points if p.codec == "x265:ultrafast"]
    handicapped = [replace(p, codec="handicapped", bpp=1.1 * p.bpp) for p in anchor]
    (delta,) = deltas_of([*anchor, *handicapped], "x265:ultrafast")
    assert delta.bd_rate == pytest.approx(10)
    assert delta.bd_psnr is not None and delta.bd_psnr < 0


def test_every_point_has_the_same_frames_and_bits_that_pay_for_quality(found):
    assert found.clips[0].frames == FRAMES
    for codec in found.codecs:
        curve = found.curve("city.mp4", codec.label)
        assert len(curve) == 4
        assert [p.psnr_yuv for p in curve] == sorted(p.psnr_yuv for p in curve)
        assert [p.ms_ssim for p in curve] == sorted(p.ms_ssim for p in curve)
    low, high = found.common_psnr_range("city.mp4")
    assert high - low > 1


def test_figures_of_a_point_fit_together(found):
    for point in found.points:
        assert point.bpp == pytest.approx(8 * point.payload_bytes / (432 * 240 * FRAMES))
        assert point.kbps == pytest.approx(point.bpp * 432 * 240 * 25 / 1000)
        assert point.psnr_yuv == pytest.approx((6 * point.psnr_y + point.psnr_u + point.psnr_v) / 8)
        assert 300 < point.container_bytes < 1500
        assert point.encode_fps.count == 1
        assert point.encode_fps.lowest <= point.encode_fps.median <= point.encode_fps.highest
        assert 10e6 < point.decode_memory.median < 1e9


def test_pictures_of_the_same_chosen_frames_are_kept_for_source_and_codecs(
    found, folder, monkeypatch
):
    monkeypatch.setattr(clip_run, "run_job", no_job)
    settings = parse_settings(CODECS, None, dict.fromkeys(PEERS, ""))
    plan = make_plan(
        *(find_sources([CITY]), settings, settings[0]),
        points=4,
        gop=96,
        frames=FRAMES,
        repeats=1,
        metrics=METRICS,
        model="fast",
        device="auto",
        command="",
    )
    again = run_bench(plan, folder / "cache", lambda done, total, what: None).results
    assert again.without_pictures().points == found.points
    chosen = [picture.frame for picture in again.clips[0].pictures]
    assert chosen == [1, 4]
    assert {picture.psnr_yuv for picture in again.clips[0].pictures} == {None}
    for owner in (*again.clips, *again.points):
        assert [picture.frame for picture in owner.pictures] == chosen
        for picture in owner.pictures:
            assert Path(picture.path).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_what_a_reader_needs_to_repeat_it_is_stored(found):
    setup = found.setup
    assert "bench" in setup.command or setup.command.startswith("ncodec")
    assert {"ncodec", "pyav", "libavcodec", "python"} <= set(setup.versions)
    assert setup.anchor == "x265:ultrafast"
    assert found.codecs[0].parameters.startswith("libx265 preset=ultrafast tune=psnr crf={quality}")
    assert "crf=14 " in next(p for p in found.points if p.quality == 14).parameters


def test_vmaf_is_said_to_be_absent_where_pyav_lacks_it(found, first):
    if vmaf_is_there():
        assert all(point.vmaf is not None for point in found.points)
    else:
        assert [metric.name for metric in found.setup.absent_metrics] == ["vmaf"]
        assert "vmaf: absent, this PyAV is built without libvmaf" in first.stdout


# What it writes


def test_the_terminal_shows_each_codec_with_its_bd_rate_and_parameters(first, found):
    for codec in found.codecs:
        assert codec.label in first.stdout
        assert codec.parameters in " ".join(first.stdout.split())
    assert f"{found.deltas[0].bd_rate:+.1f} %" in first.stdout


def test_csv_has_a_line_for_each_point(found, folder):
    with (folder / "out.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(found.points) == 16
    for line, point in zip(lines, found.points, strict=True):
        assert (line["clip"], line["codec"]) == (point.clip, point.codec)
        assert float(line["bpp"]) == point.bpp
        assert float(line["encode_fps_lowest"]) == point.encode_fps.lowest
        assert line["vmaf"] == "" or vmaf_is_there()


def test_json_is_documented_and_comes_back_as_it_was(found, folder, tmp_path):
    write_json(found, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == (folder / "out.json").read_text()
    text = DOCUMENT.read_text()
    assert f'"schema": {results.SCHEMA}' in text
    for name in ("BenchResults", "Setup", "Clip", "Codec", "Point", "Spread", "Delta", "Skipped"):
        for field in fields(getattr(results, name)):
            assert f"`{field.name}`" in text, f"{name}.{field.name} is not documented"
    for column in CSV_COLUMNS:
        stem = column.removesuffix("_lowest").removesuffix("_highest")
        assert f"`{stem}`" in text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": 99}, "schema 99"),
        ({"points": [{}]}, "not the results of a bench"),
        ({"clips": 3}, "not the results of a bench"),
    ],
)
def test_json_of_another_kind_is_refused(found, folder, tmp_path, change, reason):
    path = tmp_path / "other.json"
    path.write_text(json.dumps(json.loads((folder / "out.json").read_text()) | change))
    with pytest.raises(InputError, match=reason):
        read_json(path)


def test_markdown_has_the_tables_that_a_readme_shows(found, folder):
    text = (folder / "out.markdown").read_text()
    assert text == to_markdown(found)
    assert "| x265:ultrafast | 0 % | 0 dB |" in text


def test_the_plot_is_a_picture_with_something_on_it(first, folder):
    import matplotlib.image

    pixels = matplotlib.image.imread(folder / "out.png")[..., :3]
    assert min(pixels.shape[:2]) > 400
    colors = np.unique((pixels.reshape(-1, 3) * 15).astype(int), axis=0)
    assert len(colors) > 30


# What it does not do twice


def test_a_second_bench_measures_nothing_and_finds_the_same(
    first, found, request_, folder, monkeypatch
):
    monkeypatch.setattr(clip_run, "run_job", no_job)
    assert bench(*request_).exit_code == 0
    assert read_json(folder / "out.json").points == found.points


def test_another_number_of_frames_is_not_taken_from_the_cache(first, folder, monkeypatch):
    monkeypatch.setattr(clip_run, "run_job", no_job)
    with pytest.raises(AssertionError, match="encode of what"):
        bench(CITY, "-n", 4, "--codecs", CODECS, "--points", 4, "--cache", folder / "cache")


def test_a_measurement_kept_by_an_older_version_is_made_anew(tmp_path):
    arguments = (CITY, "-n", 2, "--codecs", "x264:ultrafast", "--points", 1, "--repeats", 1)
    arguments += ("--anchor", "x264", "--cache", tmp_path, "--metrics", "psnr", "--quiet")
    assert bench(*arguments).exit_code == 0
    (path,) = tmp_path.glob("*/*.json")
    record = json.loads(path.read_text())
    del record["found"]["pictures"]
    path.write_text(json.dumps(record))
    assert bench(*arguments).exit_code == 0
    assert [p["frame"] for p in json.loads(path.read_text())["found"]["pictures"]] == [0, 1]


def test_an_interrupted_bench_goes_on_where_it_was(tmp_path, monkeypatch):
    arguments = (CITY, "-n", 2, "--codecs", "x264:ultrafast", "--points", 3, "--repeats", 2)
    arguments += ("--anchor", "x264", "--cache", tmp_path, "--metrics", "psnr", "--quiet")
    done: list[str] = []

    def interrupted(request: JobRequest) -> JobReport:
        if len(done) == 5:  # in the third encoding of six
            raise KeyboardInterrupt
        done.append(request.verb)
        return run_job(request)

    def counted(request: JobRequest) -> JobReport:
        done.append(request.verb)
        return run_job(request)

    monkeypatch.setattr(clip_run, "run_job", interrupted)
    assert bench(*arguments).exit_code != 0
    assert not list(tmp_path.glob(".*work*"))
    monkeypatch.setattr(clip_run, "run_job", counted)
    done.clear()
    assert bench(*arguments, "--json", tmp_path / "out.json").exit_code == 0
    assert done == ["encode", "decode"] * 4
    for point in read_json(tmp_path / "out.json").points:
        assert point.encode_fps.count == 2


def test_the_cache_has_its_place_among_the_users_caches(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert default_folder() == Path("/caches/neuralcodec/bench")


# ncodec among the others


def test_of_ncodec_only_the_gops_count_and_its_pictures_are_measured_like_others(tmp_path):
    arguments = ("-n", 2, "--codecs", "ncodec", "--anchor", "ncodec", "--points", 1)
    out = tmp_path / "out.json"
    result = bench(
        CITY, *arguments, "--repeats", 1, "--cache", tmp_path / "cache", "--json", out, "--quiet"
    )
    assert (result.exit_code, result.output) == (0, "")
    (point,) = read_json(out).points
    coded = tmp_path / "city.nlc"
    made = neuralcodec.encode(CITY, coded, frames=2, quality=int(point.quality))
    assert point.psnr_yuv == pytest.approx(made.psnr_yuv, abs=1e-3)
    assert point.payload_bytes == pytest.approx(gop_payload_bytes(coded), abs=8)
    with coded.open("rb") as file:
        frames = [f for gop, _ in ContainerReader(file, "city").gops() for f in gop.frames]
    assert 0 < gop_payload_bytes(coded) - sum(len(f.payload) for f in frames) < 60
    assert 100 < point.container_bytes < 500


def test_qualities_are_spread_over_the_whole_range():
    assert qualities_of(CodecSetting("ncodec", ""), 4) == [63, 42, 21, 0]
    assert qualities_of(CodecSetting("x264", "slow"), 5) == [16, 24, 31, 38, 46]
    assert len(qualities_of(CodecSetting("x265", "slow"), 54)) == 31


# What it refuses


def test_a_corrupt_clip_a_cut_one_and_one_of_one_frame_end_in_clear_messages(tmp_path):
    corrupt, cut, single = (tmp_path / n for n in ("corrupt.mkv", "cut.mkv", "single.y4m"))
    corrupt.write_bytes(b"no video at all" * 100)
    encode_clip(tmp_path / "whole.mkv", "ffv1", "yuv420p")
    whole = (tmp_path / "whole.mkv").read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    fmt = VideoFormat(64, 48, Fraction(1, 25), frame_rate=Fraction(25))
    write_y4m(seeded_frames(fmt, range(1)), single, fmt)
    for path, reason in (
        (corrupt, "corrupt.mkv is not a video"),
        (cut, "a bench needs whole clips"),
        (single, "single.y4m: one frame only; a bench needs at least two"),
        (tmp_path / "none.mkv", "none.mkv: cannot be read (No such file"),
    ):
        result = bench(path, "--codecs", "x265", "--cache", tmp_path / "cache", "--quiet")
        assert result.exit_code == 1
        (line,) = result.stderr.splitlines()
        assert reason in line


def test_a_codec_that_cannot_take_a_clip_is_left_out_with_the_reason(tmp_path):
    odd = VideoFormat(49, 32, Fraction(1, 25), frame_rate=Fraction(25))
    write_y4m(seeded_frames(odd, range(2)), tmp_path / "odd.y4m", odd)
    encode_clip(tmp_path / "deep.mkv", "ffv1", "yuv420p10le", pts=range(2))
    result = bench(
        *(tmp_path / "odd.y4m", tmp_path / "deep.mkv", "--codecs", "vp9:8,x264:ultrafast"),
        *("--anchor", "x264", "--points", 1, "--repeats", 1, "--metrics", "psnr"),
        *("--cache", tmp_path / "cache", "--json", tmp_path / "out.json"),
    )
    assert result.exit_code == 0
    found = read_json(tmp_path / "out.json")
    assert [(p.clip, p.codec) for p in found.points] == [("deep.mkv", "x264:ultrafast")]
    told = " ".join(result.stdout.split())
    for reason in (
        "x264:ultrafast on odd.y4m: not measured, x264 takes even sizes only, not 49x32",
        "vp9:8 on deep.mkv: not measured, vp9 cannot encode 10-bit video here",
    ):
        assert reason in told


def test_curves_that_overlap_by_less_than_a_dB_have_a_reason_instead_of_a_figure(found):
    anchor = [p for p in found.points if p.codec == "x265:ultrafast"]
    best = max(p.psnr_yuv for p in anchor)
    worst = min(p.psnr_yuv for p in anchor)

    def lifted(point: Point) -> Point:
        return replace(point, codec="far", psnr_yuv=point.psnr_yuv + best - worst - 0.9)

    (delta,) = deltas_of([*anchor, *map(lifted, anchor)], "x265:ultrafast")
    assert (delta.bd_rate, delta.bd_psnr) == (None, None)
    assert delta.reason is not None and "overlap by less than 1 dB" in delta.reason


def test_a_process_that_crashes_is_reported_with_its_last_words(tmp_path):
    report = run_job(
        JobRequest(
            *("encode", str(CITY), str(tmp_path / "out"), str(tmp_path / "report")),
            *("vvc", "", False, 1, 1, 8, "", "cpu"),
        )
    )
    assert report.error is not None
    assert report.error.startswith("its process ended with code 1: ")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--codecs", "x264", "--anchor", "x265"), "the anchor 'x265' is not measured"),
        (("--codecs", "x265:swift"), "libx265 refuses"),
        (("--metrics", "psnr,mos"), "unknown metric mos"),
        (("--codecs", "x265", "--plot", "no/such/folder.png"), "folder"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_measured(arguments, reason, monkeypatch):
    monkeypatch.setattr(clip_run, "run_job", no_job)
    result = bench(CITY, *arguments)
    assert result.exit_code in (1, 2)
    assert reason in result.stderr


@pytest.mark.parametrize(("module", "option"), [("rich", None), ("matplotlib", "--plot=p.png")])
def test_a_missing_extra_is_named_before_anything_is_measured(module, option, monkeypatch):
    monkeypatch.setattr(clip_run, "run_job", no_job)
    monkeypatch.setitem(sys.modules, module, None)
    result = bench(CITY, *filter(None, [option]))
    assert result.exit_code == 2
    assert f"needs {module}: pip install 'neuralcodec[bench]'" in result.stderr


# How it measures


def test_missing_and_surplus_pictures_are_not_overlooked(tmp_path):
    fmt = VideoFormat(64, 48, Fraction(1, 25), frame_rate=Fraction(25))
    frames = seeded_frames(fmt, range(4))
    long, short = tmp_path / "long.y4m", tmp_path / "short.y4m"
    assert (write_y4m(frames, long, fmt), write_y4m(frames[:3], short)) == (4, 3)
    with pytest.raises(InputError, match="only 3 frames were decoded"):
        measure(long, short, ["psnr"])
    with pytest.raises(InputError, match="more than 3 frames were decoded"):
        measure(short, long, ["psnr"])
    same = measure(long, long, ["psnr", "ssim", "ms-ssim"])
    assert (same.psnr_yuv, same.ssim, same.ms_ssim) == (100, pytest.approx(1), None)


def test_two_videos_go_through_a_comparing_filter_frame_by_frame(tmp_path):
    # libvmaf is in few builds of PyAV; FFmpeg's psnr is driven in the same way.
    fmt = VideoFormat(64, 48, Fraction(1, 25), frame_rate=Fraction(25))
    frames = seeded_frames(fmt, range(3))
    darker = [replace(f, y=f.y - np.minimum(f.y, 1)) for f in frames]
    paths = tmp_path / "a.y4m", tmp_path / "b.y4m"
    for path, clip in zip(paths, (frames, darker), strict=True):
        write_y4m(clip, path, fmt)
    log = tmp_path / "log"
    run_two_input_filter("psnr", f"stats_file={log}", *paths)
    lines = log.read_text().splitlines()
    assert len(lines) == 3
    assert all("psnr_y:48." in line and "psnr_u:inf" in line for line in lines)
