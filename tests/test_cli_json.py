"""`--json` of every verb gives exactly the fields that docs/json.md lists, as it lists them."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from neuralcodec.cli import main
from neuralcodec.files.info import StreamInfo

PAGE = Path(__file__).parent.parent / "docs" / "json.md"
COMMON = "Every verb"
SIMPLE = {"string": str, "integer": int, "number": (int, float), "boolean": bool}
HEAD = ["Field", "Type", "Unit", "null", "Meaning"]

Table = dict[str, tuple[str, bool]]  # field -> type, may be null


def documented() -> dict[str, Table]:
    """The tables of the page by their headings."""
    tables: dict[str, Table] = {}
    title = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("#"):
            title = line.lstrip("# ")
        elif line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert len(cells) == len(HEAD), line
            if cells != HEAD and not set(line) <= set("|- "):
                field = re.fullmatch(r"`(\w+)`", cells[0])
                assert field, line
                tables.setdefault(title, {})[field[1]] = (cells[1], cells[3] != "never")
    return tables


TABLES = documented()
VERBS = ("encode", "decode", "info", "check", "repair", "models", "train")


def check(value: Any, kind: str, where: str) -> None:
    """Fails where a value is not of the documented type, at any depth."""
    if kind.startswith("list of "):
        assert isinstance(value, list), where
        for item in value:
            check(item, kind.removeprefix("list of "), where)
    elif kind.startswith("map of "):
        assert isinstance(value, dict), where
        for item in value.values():
            check(item, kind.removeprefix("map of "), where)
    elif kind in SIMPLE:
        assert isinstance(value, SIMPLE[kind]), where
        assert kind == "boolean" or not isinstance(value, bool), where
    else:
        check_fields(value, TABLES[kind], where)


def check_fields(found: dict[str, Any], table: Table, where: str) -> None:
    assert found.keys() == table.keys(), (
        f"{where}: not in docs/json.md: {sorted(found.keys() - table.keys())}; "
        f"not in the output: {sorted(table.keys() - found.keys())}"
    )
    for field, (kind, may_be_null) in table.items():
        if found[field] is None:
            assert may_be_null, f"{where}.{field} is null"
        else:
            check(found[field], kind, f"{where}.{field}")


def printed(*arguments: object, exit_code: int = 0) -> dict[str, Any]:
    result = CliRunner().invoke(main, [*map(str, arguments), "--json"])
    assert result.exit_code == exit_code, result.output
    assert result.stdout.count("\n") == 1
    figures = json.loads(result.stdout)
    verb = str(arguments[0])
    assert (figures["schema"], figures["version"], figures["verb"]) == ("neuralcodec", 1, verb)
    assert list(figures)[:3] == ["schema", "version", "verb"]
    check_fields(figures, {**TABLES[COMMON], **TABLES[verb]}, verb)
    return figures


def test_every_verb_with_json_is_on_the_page():
    knowing = {
        name
        for name, command in main.commands.items()
        if any("--json" in p.opts and getattr(p, "is_flag", False) for p in command.params)
    }
    assert knowing == set(VERBS)
    assert knowing < TABLES.keys()


def test_encode_prints_what_is_documented(small_source, tmp_path):
    printed("encode", small_source, tmp_path / "a.nlc", "-n", "3")
    figures = printed("encode", small_source, tmp_path / "b.nlc", "--psnr", "30")
    assert figures["quality"] is None
    assert figures["rate"]["kind"] == "psnr"


@pytest.mark.parametrize("reference", [False, True])
def test_decode_prints_what_is_documented(reference, small_source, small_coded, tmp_path):
    options = ["--reference", small_source] if reference else []
    figures = printed("decode", small_coded, tmp_path / "a.yuv", *options)
    chosen = figures["measured"] if reference else figures["recorded"]
    assert (figures["measured"] is not None) == reference
    assert {key: figures[key] for key in chosen} == chosen


def test_info_prints_what_is_documented_and_tables_where_asked_for(small_coded, tmp_path):
    plain = printed("info", small_coded)
    assert plain["gop_table"] is plain["frame_table"] is None
    figures = printed("info", small_coded, "--gops", "--frames")
    assert len(figures["gop_table"]) == figures["gops"]
    assert len(figures["frame_table"]) == figures["frames"]


def test_info_of_a_damaged_file_prints_what_is_documented(small_coded, tmp_path):
    bad = tmp_path / "bad.nlc"
    bad.write_bytes(small_coded.read_bytes()[:-200])
    assert printed("info", bad, exit_code=1)["damage"]


def test_a_stream_is_documented_even_where_no_file_has_any():
    check_fields(asdict(StreamInfo("audio", "aac", None, 3, 900)), TABLES["stream"], "stream")


def test_check_and_repair_print_what_is_documented(small_coded, tmp_path):
    assert printed("check", small_coded)["files"][0]["damage"] == []
    bad = tmp_path / "bad.nlc"
    bad.write_bytes(small_coded.read_bytes()[:-200])
    figures = printed("check", bad, small_coded, tmp_path / "none.nlc", exit_code=1)
    assert [len(file["damage"]) for file in figures["files"]] == [1, 0, 1]
    assert printed("repair", bad, tmp_path / "good.nlc")["damage"]
    assert printed("check", tmp_path / "good.nlc")["files"][0]["damage"] == []


def test_models_prints_what_is_documented():
    installed = printed("models")["models"]
    assert printed("models", "fast")["models"] == [
        m for m in installed if Path(m["file"]).stem == "fast"
    ]
