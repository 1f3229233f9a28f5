"""Shells complete verbs, options, choices and files, and fast: without loading PyTorch."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from neuralcodec.cli import main

RUN = "from neuralcodec.cli import main; main(prog_name='ncodec')"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with files of several kinds in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("one.nlc", "two.nlc", "one.mp4", "other.safetensors"):
        (tmp_path / name).touch()
    return tmp_path


def offered(line: str) -> list[str]:
    """What Click offers for the last word of a command line."""
    *words, last = line.split(" ")
    shell = ShellComplete(main, {}, "ncodec", "_NCODEC_COMPLETE")
    return [
        f"<{i.type}>" if i.type != "plain" else i.value for i in shell.get_completions(words, last)
    ]


def test_all_verbs_are_offered():
    assert offered("") == list(main.commands)
    assert offered("in") == ["info"]


@pytest.mark.parametrize("verb", main.commands)
def test_every_option_of_every_verb_is_offered(verb):
    names = offered(f"{verb} --")
    for parameter in main.commands[verb].params:
        if isinstance(parameter, click.Option):
            assert max(parameter.opts, key=len) in names


@pytest.mark.parametrize("verb", main.commands)
def test_every_choice_is_offered(verb, folder):
    for parameter in main.commands[verb].params:
        if isinstance(parameter.type, click.Choice):
            where = f"{max(parameter.opts, key=len)} " if parameter.opts[0][0] == "-" else ""
            assert offered(f"{verb} {where}") == list(parameter.type.choices)


def test_models_and_devices_are_offered(folder):
    assert offered("encode --model f") == ["fast"]
    assert offered("encode --model o") == ["other.safetensors"]
    assert offered("models ") == ["fast"]
    assert offered("encode --device c") == ["cpu", "cuda"]


def test_nlc_files_are_offered_where_one_is_read(folder):
    assert offered("decode ") == ["one.nlc", "two.nlc"]
    assert offered("info o") == ["one.nlc"]
    assert offered("info ./o") == ["./one.nlc"]
    assert offered("encode one") == ["<file>"]  # any file: the shell knows them


def test_where_a_folder_may_be_meant_the_shell_completes_names(folder):
    (folder / "ongoing").mkdir()
    assert offered("info o") == ["<file>"]
    assert offered("info t") == ["two.nlc"]
    assert offered("info nothing") == ["<file>"]
    assert offered("info no/such/folder/") == ["<file>"]


def test_names_that_a_shell_would_split_are_left_to_it(folder):
    (folder / "three $(x) b.nlc").touch()
    assert offered("info th") == ["<file>"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_printed(shell):
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0
    assert f"_NCODEC_COMPLETE={shell}_complete" in result.stdout
    assert result.stderr == ""


def test_another_shell_is_wrong_usage():
    assert CliRunner().invoke(main, ["completion", "tcsh"]).exit_code == 2


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash here")
def test_bash_really_completes_with_the_script(folder):
    """bash runs the function as it does when the tab key is pressed."""
    program = folder / "bin" / "ncodec"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -P -c "{RUN}" "$@"\n')
    program.chmod(0o755)
    script = folder / "script"
    script.write_text(CliRunner().invoke(main, ["completion", "bash"]).stdout)
    commands = f"""
        compopt() {{ :; }}  # it works only while a key is handled
        source {script}
        press_tab() {{
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            _ncodec_completion ncodec
            echo "${{COMPREPLY[*]}}"
        }}
        press_tab ncodec en
        press_tab ncodec decode --form
        press_tab ncodec decode --format m
        press_tab ncodec info tw
    """
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    result = subprocess.run(
        ["bash", "--norc", "-c", commands],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=True,
    )
    assert result.stdout.splitlines() == ["encode", "--format", "mp4 mov mkv", "two.nlc"]
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--help"], {}),
        (["encode", "--help"], {}),
        (["models"], {}),
        (["completion", "bash"], {}),
        ([], {"COMP_WORDS": "ncodec encode --model f", "COMP_CWORD": "3"}),
    ],
)
def test_help_and_completion_do_not_load_pytorch(arguments, environment):
    if environment:
        environment["_NCODEC_COMPLETE"] = "bash_complete"
    watched = f"""
import atexit, sys
atexit.register(lambda: print("torch" in sys.modules, "av" in sys.modules, file=sys.stderr))
{RUN}
"""
    result = subprocess.run(
        [sys.executable, "-P", "-c", watched, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
        check=True,
        cwd=Path(__file__).parent,
    )
    assert result.stdout
    assert result.stderr == "False False\n"
