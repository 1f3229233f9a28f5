"""`ncodec` as it is typed: options, summaries and the files they give."""

import json
import shlex

import av
import pytest
from click.testing import CliRunner, Result

from neuralcodec.cli import main
from neuralcodec.encoder.structure.gop_structure import INTRA_BONUS, OFFSETS
from neuralcodec.version import __version__


def ncodec(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def frames_of(path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_version_is_told_in_both_forms():
    assert __version__ in ncodec("--version").stdout
    assert ncodec("-V").stdout == ncodec("--version").stdout


def test_help_lists_all_verbs_in_the_order_of_use():
    listed = ncodec("--help").stdout.split("Commands:\n")[1].splitlines()
    assert [line.split()[0] for line in listed] == list(main.commands)
    assert list(main.commands) == (
        ["encode", "decode", "info", "check", "repair", "bench", "models", "train", "completion"]
    )
    assert not any(line.endswith("...") for line in listed)


def test_help_tells_the_exit_codes_there_are():
    text = ncodec("--help").stdout.split("Exit codes:\n")[1].split("\n\n")[0]
    codes = [int(line.split()[0]) for line in text.splitlines()]
    assert codes == [0, 1, 2, 129, 130, 141, 143]


@pytest.mark.parametrize("verb", main.commands)
def test_help_has_two_forms_and_explains_every_option(verb):
    text = ncodec(verb, "--help").stdout
    assert ncodec(verb, "-h").stdout == text
    for parameter in main.commands[verb].params:
        if parameter.param_type_name == "option":
            assert parameter.help
            assert max(parameter.opts, key=len) in text


def test_help_of_encode_gives_ranges_and_defaults():
    text = " ".join(ncodec("encode", "--help").stdout.split())
    for expected in ("default: 32", "0<=x<=63", "default: 96", "default: fast", "default: auto"):
        assert expected in text


def test_encode_ends_with_one_line_of_figures_and_what_to_do_next(small_source, tmp_path):
    out = tmp_path / "with space.nlc"
    result = ncodec("encode", small_source, out)
    assert (result.exit_code, result.stdout) == (0, "")
    summary, next_step = result.stderr.splitlines()
    for part in ("12 frames 48x32", "bpp", "smaller than the source", "PSNR-Y", "PSNR-YUV", "fps"):
        assert part in summary
    assert shlex.quote(str(out)) in next_step


def test_a_gop_longer_than_pictures_stay_alike_is_shortened_and_told(small_source, tmp_path):
    result = ncodec("encode", "-n", 2, "-g", 250, small_source, tmp_path / "o.nlc", "--json")
    assert "GOPs have at most 96 frames" in result.stderr
    assert json.loads(result.stdout)["gop"] == 96
    told = ncodec("encode", "-n", 2, "-g", 96, small_source, tmp_path / "o.nlc", "-y").stderr
    assert "at most" not in told


def test_the_next_step_is_no_option_where_the_name_begins_with_a_dash(
    small_source, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    result = ncodec("encode", "-n", 1, small_source, "--", "-lead.nlc")
    summary, next_step = result.stderr.splitlines()
    assert "1 frame 48x32" in summary
    assert "decode ./-lead.nlc" in next_step


def test_json_of_encode_has_the_promised_keys_and_only_it_is_on_stdout(small_source, tmp_path):
    out = tmp_path / "o.nlc"
    result = ncodec("encode", small_source, out, "--json", "--quiet")
    figures = json.loads(result.stdout)
    assert result.stderr == ""
    assert {
        *("frames", "width", "height", "bytes", "bpp", "bitrate", "psnr_y", "psnr_u", "psnr_v"),
        *("psnr_yuv", "fps", "model", "quality", "gop", "seconds", "ratio"),
    } <= set(figures)
    assert figures["bytes"] == out.stat().st_size
    assert figures["bpp"] == pytest.approx(8 * figures["bytes"] / (48 * 32 * 12))


def test_short_and_long_options_mean_the_same(small_source, tmp_path):
    short, long = tmp_path / "short.nlc", tmp_path / "long.nlc"
    assert (
        ncodec(
            "encode", small_source, short, *["-q", "50", "-g", "3", "-n", "7", "-m", "fast"]
        ).exit_code
        == 0
    )
    long_options = [
        "--quality",
        "50",
        "--gop",
        "3",
        "--frames",
        "7",
        "--model",
        "fast",
        "--bframes",
        "15",
        "--device",
        "cpu",
    ]
    assert ncodec("encode", *long_options, small_source, long).exit_code == 0
    assert short.read_bytes() == long.read_bytes()
    info = json.loads(ncodec("info", short, "--json").stdout)
    assert (info["frames"], info["max_gop_frames"]) == (7, 3)
    assert info["gops"] >= 3  # more where the encoder sees prediction break down
    qualities = info["lowest_quality"], info["highest_quality"]
    assert qualities == (50 + min(OFFSETS[2]), 50 + INTRA_BONUS)  # GOPs of an intra frame and two


def test_yes_overwrites_in_both_forms(small_coded, tmp_path):
    out = tmp_path / "o.yuv"
    for yes in ("-y", "--yes"):
        out.write_bytes(b"old")
        assert ncodec("decode", small_coded, out, yes).exit_code == 0
        assert out.stat().st_size == 12 * 48 * 32 * 3 // 2


@pytest.mark.parametrize("name", ["o.y4m", "o.mkv", "o.mp4", "o.mov"])
def test_the_extension_says_what_decode_writes(small_coded, tmp_path, name):
    assert ncodec("decode", small_coded, tmp_path / name).exit_code == 0
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert frames_of(tmp_path / name) == 12


def test_decode_numbers_png_files_by_the_pattern(small_coded, tmp_path):
    assert ncodec("decode", small_coded, tmp_path / "f%02d.png").exit_code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"f{i:02}.png" for i in range(1, 13)]


def test_format_wins_over_the_extension(small_coded, tmp_path):
    assert ncodec("decode", small_coded, tmp_path / "o.dat", "-f", "y4m").exit_code == 0
    assert (tmp_path / "o.dat").read_bytes().startswith(b"YUV4MPEG2 W48 H32")


def test_decode_tells_recorded_psnr_and_measures_against_a_reference(
    small_source, small_coded, tmp_path
):
    out = tmp_path / "o.y4m"
    result = ncodec("decode", small_coded, out, "--json", "--reference", small_source)
    told = result.stderr
    assert "PSNR recorded by the encoder" in told
    assert f"PSNR measured against {small_source}" in told
    assert "SSIM measured" in told
    assert "differ" not in told
    figures = json.loads(result.stdout)
    for plane in ("psnr_y", "psnr_u", "psnr_v", "psnr_yuv"):
        assert figures["measured"][plane] == pytest.approx(figures["recorded"][plane], abs=0.05)


def test_a_reference_that_is_not_the_source_is_told_of(small_source, small_coded, tmp_path):
    other = tmp_path / "other.y4m"
    frames = small_source.read_bytes()
    other.write_bytes(frames.replace(b"\x80", b"\x20"))
    result = ncodec("decode", small_coded, tmp_path / "o.y4m", "-r", other)
    assert "recorded and measured PSNR differ by" in result.stderr


def test_a_shorter_reference_is_measured_as_far_as_it_goes(small_source, small_coded, tmp_path):
    data = small_source.read_bytes()
    frame = len(b"FRAME\n") + 48 * 32 * 3 // 2
    short = tmp_path / "short.y4m"
    short.write_bytes(data[: len(data) - 7 * frame])
    result = ncodec("decode", small_coded, tmp_path / "o.y4m", "-r", short)
    assert result.exit_code == 0
    assert "short.y4m lacks 7 frames" in result.stderr
    assert "differ" not in result.stderr


def test_quiet_says_nothing_when_all_is_well(small_source, tmp_path):
    coded = tmp_path / "o.nlc"
    for result in (
        ncodec("encode", small_source, coded, "--quiet"),
        ncodec("decode", coded, tmp_path / "o.yuv", "--quiet"),
    ):
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_info_describes_the_file_in_words_and_in_json(small_coded):
    words = ncodec("info", small_coded).stdout
    figures = json.loads(ncodec("info", small_coded, "--json").stdout)
    for part in ("48x32", "12 frames", "25.000 fps", "installed", figures["model_sha256"][:16]):
        assert part in words
    assert figures["bytes"] == small_coded.stat().st_size
    assert figures["damage"] == []
