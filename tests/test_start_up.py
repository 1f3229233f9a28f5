"""What a start does not pay for."""

import subprocess
import sys
from pathlib import Path


def test_coding_takes_neither_pytorchs_compiler_nor_computer_algebra_along(
    small_source: Path, small_coded: Path, tmp_path: Path
):
    """Both together take more than a second to import, and 70 MiB."""
    code = (
        "import sys, neuralcodec\n"
        "source, coded, out = sys.argv[1:]\n"
        "neuralcodec.encode(source, out + '/o.nlc', frames=2, device='cpu')\n"
        "neuralcodec.decode(coded, out + '/o.yuv', device='cpu')\n"
        "print([name for name in ('torch._dynamo', 'sympy') if name in sys.modules])\n"
    )
    command = [sys.executable, "-P", "-c", code, small_source, small_coded, tmp_path]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"[]\n"
