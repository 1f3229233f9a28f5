"""`ncodec` among other programs: pipes that stay open, close early or stall, and signals.

These tests need processes of their own, each of which takes seconds to import torch.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and pipes as in POSIX")

FRAME = len(b"FRAME\n") + 48 * 32 * 3 // 2
PATIENCE = 90  # seconds until a test gives up; far more than any of this takes


def _heed_signals() -> None:
    """A shell's background job ignores SIGINT, and all that it starts: so may these tests."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def ncodec(*arguments: object, **streams: object) -> Iterator[subprocess.Popen[bytes]]:
    """A running `ncodec` with pipes on all sides, killed if it is still there at the end."""
    # -P: the package that the tests import, whatever the current folder holds.
    command = [sys.executable, "-P", "-c", "from neuralcodec.cli import main; main()"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # Buffered as usual: what is left in a buffer at the end is part of what is tested.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    process = subprocess.Popen(
        [*command, *map(str, arguments)],
        env=environment,
        preexec_fn=_heed_signals,
        **{**pipes, **streams},  # type: ignore[arg-type]
    )
    watchdog = threading.Timer(PATIENCE, process.kill)  # a read that waits for ever then ends
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        process.kill()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe and not pipe.closed:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        process.wait()


def wait_for(condition) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_live_pipe_gives_each_gop_before_the_next_is_over(small_source):
    """Source, encoder and decoder joined: frames come out while the source is still open."""
    data = small_source.read_bytes()
    with (
        ncodec("encode", "-", "-", "-g", 4, "--json", "--quiet") as encoder,
        ncodec("decode", "-", "-", "--json", "--quiet", stdin=encoder.stdout) as decoder,
    ):
        # Some frames more than two GOPs: what has been read ahead may be under way.
        encoder.stdin.write(data[: len(data) - 2 * FRAME])
        encoder.stdin.flush()
        first = decoder.stdout.read(len(b"YUV4MPEG2") + 4 * FRAME)
        assert first.startswith(b"YUV4MPEG2 W48 H32")
        encoder.stdin.write(data[len(data) - 2 * FRAME :])
        encoder.stdin.close()
        rest = decoder.stdout.read()
        assert (first + rest).count(b"FRAME\n") == 12
        assert encoder.wait(PATIENCE) == decoder.wait(PATIENCE) == 0
        coded = json.loads(encoder.stderr.read())  # stdout being the data
        shown = json.loads(decoder.stderr.read())
    assert coded["frames"] == shown["frames"] == 12
    assert coded["ratio"] is None  # the size of a pipe's source is not known
    assert shown["recorded"]["psnr_y"] == pytest.approx(coded["psnr_y"], abs=0.01)


@pytest.mark.parametrize("verb", ["encode", "decode"])
def test_a_closed_pipe_ends_the_program_quietly(verb, small_source, small_coded):
    source = small_source if verb == "encode" else small_coded
    with ncodec(verb, source, "-", *(["-g", 1] if verb == "encode" else [])) as process:
        assert process.stdout.read(10)
        process.stdout.close()
        assert process.wait(PATIENCE) == 128 + signal.SIGPIPE
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    ("verb", "number", "word"),
    [("encode", signal.SIGINT, b"interrupted"), ("decode", signal.SIGTERM, b"terminated")],
)
def test_a_signal_while_the_source_stalls_ends_it_at_once_and_leaves_no_file(
    verb, number, word, small_source, small_coded, tmp_path
):
    data = (small_source if verb == "encode" else small_coded).read_bytes()
    out = tmp_path / ("o.nlc" if verb == "encode" else "o.y4m")
    with ncodec(verb, "-", out) as process:
        process.stdin.write(data[:-1])
        process.stdin.flush()
        wait_for(lambda: list(tmp_path.iterdir()))  # it is at work
        process.send_signal(number)
        assert process.wait(PATIENCE) == 128 + number
        assert process.stderr.read() == b"ncodec: " + word + b"; no output was written\n"
    assert not list(tmp_path.iterdir())


def test_a_hang_up_while_pictures_gather_leaves_none_of_them(small_coded, tmp_path):
    with ncodec("decode", "-", tmp_path / "f%d.png") as process:
        process.stdin.write(small_coded.read_bytes()[:-40])
        process.stdin.flush()
        wait_for(lambda: list(tmp_path.rglob("*.png")))
        process.send_signal(signal.SIGHUP)
        assert process.wait(PATIENCE) == 128 + signal.SIGHUP
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", [["info", "--json"], ["decode", "-"]])
def test_a_full_disk_behind_standard_output_is_told_in_one_line(arguments, small_coded):
    verb, *rest = arguments
    with (
        open("/dev/full", "wb") as full,
        ncodec(verb, small_coded, *rest, stdout=full) as process,
    ):
        assert process.wait(PATIENCE) == 1
        told = process.stderr.read()
    assert told.startswith(b"ncodec: cannot write standard output: No space left")
    assert told.count(b"\n") == 1


@pytest.mark.parametrize("quiet", [False, True])
def test_a_progress_bar_is_shown_on_a_terminal_alone(quiet, small_source, tmp_path):
    terminal, end = os.openpty()
    termios = pytest.importorskip("termios")
    termios.tcsetwinsize(end, (24, 80))
    options = ["--quiet"] if quiet else []
    with ncodec("encode", small_source, tmp_path / "o.nlc", *options, stderr=end) as process:
        os.close(end)
        shown = b""
        with contextlib.suppress(OSError):  # what Linux calls the end of a terminal
            while piece := os.read(terminal, 4096):
                shown += piece
        assert process.wait(PATIENCE) == 0
    os.close(terminal)
    assert (b"encoding" in shown) != quiet


def test_when_the_reader_has_left_a_stalled_source_does_not_keep_the_program(small_source):
    with ncodec("encode", "-", "-", "-g", 2) as process:
        process.stdin.write(small_source.read_bytes()[:-FRAME])
        process.stdin.flush()
        assert process.stdout.read(8)
        process.stdout.close()
        assert process.wait(PATIENCE) == 128 + signal.SIGPIPE
        assert process.stderr.read() == b""
