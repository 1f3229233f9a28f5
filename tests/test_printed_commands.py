"""Commands that `ncodec` prints work for the file at hand, in a shell, as they are."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from neuralcodec.cli import main
from neuralcodec.model.model_file import load_model, model_bytes

SHELL = shutil.which("bash")
# The words that programs get, each with a zero after it.
SHOW_WORDS = 'ncodec() { printf "%s\\0" "$@"; }; ffplay() { cat; }; '


def ncodec(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def words_after(told: str, start: str) -> list[str]:
    """Of a command that stands at the end of a line, as bash gives them to ncodec."""
    (line,) = (line for line in told.splitlines() if start in line)
    command = line[line.index(start) + len(start) :]
    shown = subprocess.run([SHELL, "-c", SHOW_WORDS + command], capture_output=True, check=True)
    assert not shown.stderr
    return [os.fsdecode(word) for word in shown.stdout.split(b"\0")[:-1]]


NAMES = [
    "plain.nlc",
    "two words.nlc",
    "it's.nlc",
    'a"b$c`d`!.nlc',
    "-dash.nlc",
    "--help.nlc",
    "line\nbreak.nlc",
    "\x1b[31mred\t.nlc",
    "back\\slash\x07'.nlc",
    os.fsdecode(b"latin\xe9\xff.nlc"),
    "ümläut 中.nlc",
    "~home.nlc",
]


@pytest.mark.skipif(SHELL is None, reason="no bash here")
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_the_commands_printed_name_the_file_whatever_it_is_called(
    name: str, small_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    encoded = ncodec("encode", "--quiet", small_source, "-n", 1, "--", name)
    assert (encoded.exit_code, os.listdir()) == (0, [name])
    told = ncodec("encode", "-y", small_source, "-n", 1, "--", name).stderr
    verb, source, *options = words_after(told, "play it: ")
    assert (verb, options) == ("decode", ["-", "-f", "mkv"])
    assert os.path.samefile(source, name) and not source.startswith("-")
    refused = ncodec("encode", "--", name, "again.nlc").stderr
    verb, source, _ = words_after(refused, "decode it first: ")
    assert os.path.samefile(source, name) and not source.startswith("-")
    assert len(refused.splitlines()) == 1 and refused[:-1].isprintable()


def test_names_that_are_no_text_are_told_by_every_verb(small_coded: Path, tmp_path: Path):
    name = tmp_path / os.fsdecode(b"\xff\x1b.nlc")
    shutil.copy(small_coded, name)
    code = (
        "import sys; from neuralcodec.cli import main\n"
        "for verb in ('info', 'check'): main([verb, sys.argv[1]], standalone_mode=False)"
    )
    shown = subprocess.run(
        [sys.executable, "-P", "-c", code, name],
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.count("\\udcff\\x1b.nlc: ") == 2


def test_the_command_has_the_options_that_the_file_needs(small_source: Path, tmp_path: Path):
    model = tmp_path / "my model.safetensors"
    model.write_bytes(model_bytes(load_model("fast").model, {"note": "another file"}))
    coded = tmp_path / "coded.nlc"
    told = ncodec("encode", small_source, coded, "-n", 1, "-m", model).stderr
    (line,) = (line for line in told.splitlines() if "play it: " in line)
    command = shlex.split(line.split("play it: ncodec ")[1].split(" | ffplay")[0])
    played = CliRunner().invoke(main, command)
    assert (played.exit_code, played.stdout_bytes[:4]) == (0, b"\x1a\x45\xdf\xa3")


@pytest.mark.parametrize("output", ["-", "/dev/null"])
def test_nothing_is_offered_to_be_played_where_there_is_no_file(output: str, small_source: Path):
    assert "play it" not in ncodec("encode", small_source, output, "-n", 1).stderr


def test_a_large_flat_picture_is_whole_and_can_be_played_as_it_is_told(tmp_path: Path):
    """2560x1440 in 27 KiB: more than `decode` takes unasked of so small a file."""
    coded = tmp_path / "gray.nlc"
    source = Path(__file__).with_name("gray1440.mkv")
    told = ncodec("encode", source, coded, "--preset", "fast").stderr
    assert "play it: " in told
    command = shlex.split(told.split("play it: ncodec ")[1].split(" | ffplay")[0])
    played = CliRunner().invoke(main, command)
    assert (played.exit_code, played.stdout_bytes[:4]) == (0, b"\x1a\x45\xdf\xa3")
    checked = ncodec("check", coded)
    assert (checked.exit_code, "whole" in checked.stdout, checked.stderr) == (0, True, "")
