"""docs/cli.md says what the commands themselves say."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "make_cli_reference.py"


def test_the_reference_of_the_command_line_is_up_to_date():
    spec = importlib.util.spec_from_file_location("make_cli_reference", SCRIPT)
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    if script.PAGE.read_text() != script.reference_text():
        pytest.fail("docs/cli.md is stale: run `make docs` and commit what it writes")
