"""What a start does not pay for."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from container_files import written

from neuralcodec.container import (
    Extras,
    FrameRecord,
    GopContent,
    GopRecord,
    GopStats,
    StreamHeader,
)
from neuralcodec.references import chain
from neuralcodec.video import VideoFormat

SAYS_WHETHER_TORCH_IS_LOADED = """
import sys
from neuralcodec.cli import main
try:
    main(sys.argv[1:])
finally:
    print("torch" in sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        ["encode", "--help"],
        ["completion", "bash"],
        ["models"],
        ["info", "FILE"],
        ["info", "FILE", "--frames", "--json"],
        ["check", "FILE"],  # its model is not installed: the symbols cannot be checked
    ],
    ids=" ".join,
)
def test_no_network_is_loaded_where_none_is_needed(arguments: list[str], tmp_path: Path):
    header = StreamHeader(VideoFormat(320, 240, Fraction(1, 25)), 2, "theirs", bytes(32))
    frames = FrameRecord(0, 44, b"intra", chain(0)), FrameRecord(1, 32, b"inter", chain(1))
    gop = GopRecord(0, 0, frames)
    content = GopContent(gop, GopStats(0, ((40.0, 41.0, 42.0),) * 2))
    path = tmp_path / "a.nlc"
    path.write_bytes(written([content], header, Extras()))
    command = [str(path) if a == "FILE" else a for a in arguments]
    run = subprocess.run(
        [sys.executable, "-c", SAYS_WHETHER_TORCH_IS_LOADED, *command],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr.splitlines()[-1] == "False"


@pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 9),
    reason="older ones load SymPy anyway",
)
def test_coding_takes_neither_pytorchs_compiler_nor_computer_algebra_along(
    small_source: Path, small_coded: Path, tmp_path: Path
):
    """Both together take more than a second to import, and 70 MiB."""
    code = (
        "import sys, torch, neuralcodec\n"
        "before = set(sys.modules)\n"
        "source, coded, out = sys.argv[1:]\n"
        "neuralcodec.encode(source, out + '/o.nlc', frames=2, device='cpu')\n"
        "neuralcodec.decode(coded, out + '/o.yuv', device='cpu')\n"
        "print([name for name in ('torch._dynamo', 'sympy')"
        " if name in sys.modules.keys() - before])\n"
    )
    command = [sys.executable, "-P", "-c", code, small_source, small_coded, tmp_path]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"[]\n"
